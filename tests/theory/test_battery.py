"""The standing battery has what every claim is about, as its configurations say; nothing is trained."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.helpers import compose, seed_records
from wnexp.config.schema import flat
from wnexp.nn.initializers import initialize
from wnexp.nn.network import Network
from wnexp.nn.weightnorm import NORMS
from wnexp.nn.weights import to_arrays
from wnexp.runner import Reopened
from wnexp.runs.reader import Run
from wnexp.theory import CLAIMS, battery
from wnexp.theory.runs import DEEP, TrainedRun
from wnexp.training.program import build_network

# Claim -> the normalizations that the battery has something to say on.
NONE, SWN, EWN = "none", "swn", "ewn"
SAYS = {
    "C1": {SWN, EWN},
    "C2": {NONE, SWN, EWN},
    "C3": {EWN},
    "C4": {SWN},
    "C5": {EWN},
    "C6": {NONE, SWN, EWN},
    "C7": {NONE, SWN, EWN},
    "C8": {NONE},
    "C9": {NONE, SWN},
    "C10": {NONE, SWN, EWN},
    "C11": {EWN},
    "C12": {NONE, SWN, EWN},
    "SVM": {NONE, SWN},
    "margin": {NONE, SWN},
}


@dataclass(frozen=True)
class Untrained(Run):
    """A run of which there is a configuration alone; every snapshot that it would have holds its initial weights."""

    made: Any
    network: Network

    @property
    def seeds(self):
        return list(range(self.made.seed, self.made.seed + self.made.seeds))

    @property
    def levels(self):
        return [level for level in self.made.snapshots if level >= self.made.stop.log_loss]

    def weights(self, seed, name):
        return to_arrays(initialize(self.network, seed, "uniform", "float64"))


def records(config, network, seed):
    """Made-up records to the target: the neurons grow as in the limit, which is what a claim needs to have a say."""
    tau = np.geomspace(0.5, -config.stop.log_loss, 200)
    layers = np.concatenate([[index] * layer.shape[-1] for index, layer in enumerate(network.layers) if not layer.fixed])
    counts, degree = [layer.shape[-1] for layer in network.layers], dict(enumerate(network.degrees))
    total = sum(degree[layer] ** 2 / counts[layer] for layer in set(layers))
    ewn = config.norm.law.power == np.inf
    powers = [degree[layer] / counts[layer] / total if ewn else 1 / network.degree for layer in layers]
    norms = tau[:, None] ** powers * np.linspace(1, 2, len(layers))
    curves = {"log_time": tau + np.log1p(tau), "weight_norm": np.linalg.norm(norms, axis=1)}
    curves |= {"smoothed_margin": 1 - 1 / (1 + tau), "kkt_epsilon": 1 / tau, "kkt_delta": 1 / tau}
    made = seed_records(tau, norms, -np.log(norms) - tau[:, None], layers=layers, **curves)
    return replace(made, seed=seed)


def untrained(name, overrides, folder):
    """The job of the battery as `theory.load` would give it."""
    config = compose(*overrides)
    dataset = config.data.load()
    network = build_network(config, dataset)
    run = Untrained(folder / name, config, network)
    seeds = [records(config, network, seed) for seed in run.seeds]
    return TrainedRun(run, Reopened(config, flat(config), dataset, network), seeds, {})


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The standing battery."""
    folder = tmp_path_factory.mktemp("battery")
    return [untrained(name, overrides, folder) for name, overrides in battery.jobs().items()]


def test_every_claim_is_measured_on_a_run_that_is_deep_enough(runs):
    """As `judge` does, for every claim and the norms that it is about, with finite numbers."""
    says, depths = {}, {}
    for name, claim in CLAIMS.items():
        for run in runs:
            if not claim.applies(run) or (found := claim.measure(run, runs, claim.tolerance(run))) is None:
                continue
            assert np.isfinite(found.predicted), (name, run.directory.name)
            if run.depth >= DEEP:
                assert np.isfinite([found.measured, found.uncertainty]).all(), (name, run.directory.name)
                says.setdefault(name, set()).add(run.norm)
            depths[name] = max(depths.get(name, 0), run.depth)
    assert says == SAYS
    assert min(depths.values()) >= DEEP


def test_twins_are_what_the_claims_compare_with(runs):
    """C5 has runs without normalization and under SWN beside EWN, three seeds each; C12 the logistic loss."""
    compared = {"C5": set(), "C12": set()}
    for run in runs:
        if CLAIMS["C5"].applies(run):
            compared["C5"] |= {(other.norm, len(other.reached)) for other in run.partners(runs, "norm.name")}
        if CLAIMS["C12"].applies(run):
            compared["C12"] |= {other.config.names["loss"] for other in run.partners(runs, "loss.name")}
    assert compared == {"C5": {(NONE, 3), (SWN, 3)}, "C12": {"cross_entropy"}}


def test_the_deep_battery_is_the_same_but_for_its_depth():
    standing, deep = battery.jobs(), battery.jobs(deep=True)
    assert standing.keys() == deep.keys()
    name = "linear4-ewn-exponential"
    assert compose(*deep[name]).stop.log_loss == -1_000_000 and compose(*standing[name]).stop.log_loss == -10_000


def test_claims_ask_the_law_and_never_a_name(tmp_path, monkeypatch):
    """With the names of the normalizations passed on to others, every claim is about the same objects as before."""

    def about():
        """Claim -> the classes of the norms that it applies to."""
        jobs = {name: words for name, words in battery.jobs().items() if re.fullmatch("linear2-.*-exponential", name)}
        runs = [untrained(name, words, tmp_path) for name, words in jobs.items()]
        assert len(runs) == 3
        return {name: {type(run.config.norm) for run in runs if one.applies(run)} for name, one in CLAIMS.items()}

    before, (none, swn, ewn) = about(), NORMS.values()
    assert all(before.values())
    for name, other in ((NONE, ewn), (SWN, none), (EWN, swn)):
        monkeypatch.setitem(NORMS, name, other)
    assert about() == before
