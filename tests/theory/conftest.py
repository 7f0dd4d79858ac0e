"""Runs that several files of this folder judge: two trained ones, and the standing battery with made-up records."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.helpers import LIN_SEP, compose, seed_records
from wnexp import runner
from wnexp.config.schema import flat
from wnexp.nn.initializers import initialize
from wnexp.nn.law import rate_exponent
from wnexp.nn.network import Network
from wnexp.nn.weights import to_arrays
from wnexp.runner import Reopened
from wnexp.runs.reader import Run
from wnexp.theory import battery
from wnexp.theory.runs import TrainedRun
from wnexp.training.program import build_network


@pytest.fixture(scope="session")
def lin_sep_runs(tmp_path_factory):
    """A folder with `none` and `ewn`: lin-sep to -20 nats by discrete descent, two seeds. To read, or to copy."""
    folder = tmp_path_factory.mktemp("lin_sep")
    for norm in ("none", "ewn"):
        runner.train((f"norm={norm}", *LIN_SEP), folder / norm)
    return folder


@dataclass(frozen=True, kw_only=True)
class Untrained(Run):
    """A run of which there is a configuration alone; every snapshot that it would have holds its initial weights."""

    made: Any
    network: Network

    @property
    def seeds(self):
        return list(range(self.made.seed, self.made.seed + self.made.seeds))

    @property
    def snapshot_losses(self):
        return [level for level in self.made.snapshots if level >= self.made.stop.log_loss]

    def weights(self, seed, name):
        return to_arrays(initialize(self.network, seed, "uniform", "float64"))


def limit_records(law, network, target, seed):
    """Records that are in the limit of the theory from the first one on, to the target; neurons of unequal norms.

    Time is the solution of `dU/dtau = 1/S - U` to third order for `S = c tau^p`.
    """
    tau = np.geomspace(8, -target, 400)
    trained = [index for index, layer in enumerate(network.layers) if layer.fixed is None]
    counts = {index: network.layers[index].shape[-1] for index in trained}
    degrees = {index: network.degrees[index] for index in trained}
    total = sum(degrees[index] ** 2 / counts[index] for index in trained)
    powers = {index: degrees[index] / counts[index] / total for index in trained}
    powers = powers if np.isinf(law.power) else dict.fromkeys(trained, 1 / network.degree)
    layers = np.repeat(trained, list(counts.values()))
    k = np.array([degrees[index] for index in layers])
    unequal = np.concatenate([1.0 + np.arange(count) for count in counts.values()])
    sums = np.array([np.sum(1.0 + np.arange(counts[index])) for index in layers])
    limit_law = np.isinf(law.power)
    shares = k / [counts[index] for index in layers] if limit_law else k * unequal / sums  # a_u
    norms = tau[:, None] ** [powers[index] for index in layers] * (unequal if limit_law else shares ** (law.power / 2))
    gradients = shares * tau[:, None] / norms
    speed = np.sum(law.radial_rate(norms) * gradients**2, axis=1)
    p = rate_exponent([law] * len(trained), list(degrees.values()))
    made = seed_records(
        tau,
        norms,
        np.log(gradients) - tau[:, None],
        layers=layers,
        degrees=k,
        log_time=tau - np.log(speed) + np.log1p(p / tau + p * (p + 1) / tau**2),
        margin=tau,
        step=np.round(1e6 * tau),
        weight_norm=np.linalg.norm(norms, axis=1),
        smoothed_margin=1 - 1 / (1 + tau),
        kkt_epsilon=1 / tau,
        kkt_delta=1 / tau,
    )
    return replace(made, seed=seed)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """`(name, overrides)` -> the job of the battery as `theory.load` would give it, with records in the limit."""
    folder = tmp_path_factory.mktemp("battery")

    def make(name, overrides):
        config = compose(*overrides)
        dataset = config.data.load()
        network = build_network(config, dataset)
        run = Untrained(directory=folder / name, made=config, network=network)
        seeds = [limit_records(config.norm.law, network, config.stop.log_loss, seed) for seed in run.seeds]
        return TrainedRun(run, Reopened(config, flat(config), dataset, network), seeds, {})

    return make


@pytest.fixture(scope="session")
def standing(untrained):
    """The standing battery, one data set of a kind, without the linear nets that are like others in the limit.

    Nor the runs by other rules than descent along the gradient, of which these records in the limit are none.
    """
    alike = ("linear2-correlated/", "linear3/", "linear4-copies/", "rules/")
    jobs = battery.jobs(data_seeds=1).items()
    return [untrained(name, overrides) for name, overrides in jobs if not name.startswith(alike)]
