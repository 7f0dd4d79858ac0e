"""The claims on trained runs, and mutations of the code that must not go unnoticed."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import compose
from wnexp import runner, theory
from wnexp.nn.losses import Loss
from wnexp.nn.network import Network
from wnexp.nn.weightnorm import ExponentialWeightNorm, StandardWeightNorm, Unnormalized
from wnexp.runs.reader import Run
from wnexp.theory.runs import DEEP
from wnexp.training.loop import make_train


def with_steps(seed, **columns):
    return replace(seed, steps=seed.steps | columns)


def falling_margin(seed):
    return with_steps(seed, smoothed_margin=np.where(seed.depth > 5000, 0.9, seed.steps["smoothed_margin"]))


def drifting_layers(seed):
    drift = np.where(seed.layers == 0, 0.01, 0)
    return replace(seed, norms=seed.norms * seed.depth[:, None] ** drift)


def stronger_neuron(seed):
    """Another gradient for the first neuron alone."""
    return replace(seed, log_gradients=seed.log_gradients + 0.1 * (np.arange(len(seed.layers)) == 0))


# Claim -> what makes it fail, on the records of a seed.
BREAKS = {
    "C2": lambda seed: replace(seed, alignments=0.9 * seed.alignments),
    "C3": stronger_neuron,
    "C4": stronger_neuron,
    "C6": lambda seed: with_steps(seed, log_time=seed.steps["log_time"] + 0.1 * np.log(seed.depth)),
    "C7": lambda seed: with_steps(seed, weight_norm=seed.steps["weight_norm"] * seed.depth**0.1),
    "C8": falling_margin,
    "C9": lambda seed: with_steps(seed, kkt_delta=0 * seed.depth + 0.1),
    "C10": drifting_layers,
    "C11": lambda seed: with_steps(seed, log_time=seed.steps["log_time"] + 0.1),
}


def verdicts(claim, runs):
    """The verdict on every run of the battery that is deep enough, by its folder's name."""
    deep = [run for run in runs if run.depth >= DEEP and claim.applies(run)]
    found = {run.directory.name: claim.measure(run, runs, claim.tolerance(run)) for run in deep}
    return {name: measurement.verdict for name, measurement in found.items() if measurement is not None}


@pytest.mark.parametrize("name", [*BREAKS, "C1", "C12"])
def test_a_claim_holds_in_the_limit(standing, name):
    found = verdicts(theory.CLAIMS[name], standing)
    assert found and set(found.values()) == {theory.HOLDS}, found


@pytest.mark.parametrize("name", BREAKS)
def test_a_claim_fails_where_the_limit_is_another(standing, name):
    broken = [replace(run, seeds=[BREAKS[name](seed) for seed in run.seeds]) for run in standing]
    found = verdicts(theory.CLAIMS[name], broken)
    if BREAKS[name] is stronger_neuron:  # stronger than the others of its layer
        found = {key: verdict for key, verdict in found.items() if "linear1" not in key}
    assert found and set(found.values()) == {theory.FAILS}, found


FLOW = ("data=gaussian", "data.inputs=3", "model.widths=[3]", "optimizer=flow", "record.every=2", "loss=exponential")

SQUARED = ("model.activation=relu_squared", "data.inputs=2", "data.train_per_class=8", "model.widths=[8]")


@pytest.fixture
def judged(tmp_path):
    """Train flow in a folder of its own and judge it: `(norm, more overrides)` -> claim -> row."""
    make_train.cache_clear()  # a mutation must not find a program compiled without it

    def judge(*settings):
        found = []
        for index, overrides in enumerate(settings):
            runner.run_in(tmp_path / str(index), compose(*FLOW, *overrides))
            found.append(Run(tmp_path / str(index)))
        return {row["claim"]: row for row in theory.judge(theory.load_runs(found))}

    yield judge
    make_train.cache_clear()


@pytest.mark.slow
def test_ewn_to_ten_thousand_nats(judged):
    """Two-layer linear: conservation to 1e-6, the finite-time bound, `p = 2`, and the twin in the parameters."""
    flow = ("norm=ewn", "model.activation=linear", "snapshots=[-10,-1000]")
    found = judged((*flow, "stop.log_loss=-10000"), (*flow, "stop.log_loss=-1000", "optimizer.variables=parameters"))
    assert found["C1"]["verdict"] == found["C10"]["verdict"] == found["C11"]["verdict"] == theory.HOLDS
    assert found["C6"]["measured"] == pytest.approx(2, abs=0.02)
    assert found["C7"]["measured"] == pytest.approx(0.5, abs=0.02)
    assert "C8" not in found and "C9" not in found and "C4" not in found


def swap_ewn_and_swn(monkeypatch):
    ewn, swn = ExponentialWeightNorm.metric, StandardWeightNorm.metric
    monkeypatch.setattr(ExponentialWeightNorm, "metric", swn)
    monkeypatch.setattr(StandardWeightNorm, "metric", ewn)


def drop_the_squared_norm(monkeypatch):
    monkeypatch.setattr(ExponentialWeightNorm, "metric", Unnormalized.metric)


def depth_for_degree(monkeypatch):
    monkeypatch.setattr(Network, "degrees", property(lambda self: (1,) * len(self.layers)))


MUTATIONS = {
    swap_ewn_and_swn: ("norm=ewn", {"C10"}),
    drop_the_squared_norm: ("norm=ewn", {"C10"}),
    depth_for_degree: ("norm=none", {"C6", "C7", "C10"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutations_are_noticed(judged, monkeypatch, mutation):
    norm, failing = MUTATIONS[mutation]
    mutation(monkeypatch)
    found = judged((norm, *SQUARED, "stop.log_loss=-3000"))
    assert {claim for claim, row in found.items() if row["verdict"] == theory.FAILS} >= failing


@pytest.mark.slow
def test_the_plain_loss_for_its_log_is_noticed(judged, monkeypatch):
    log_loss = Loss.log_loss
    monkeypatch.setattr(Loss, "log_loss", lambda *arguments: np.e ** log_loss(*arguments))
    found = judged(("norm=none", "model.activation=linear", "stop.log_loss=-300"))
    assert not {"C6", "C10"} & {claim for claim, row in found.items() if row["verdict"] == theory.HOLDS}
