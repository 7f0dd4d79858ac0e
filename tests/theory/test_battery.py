"""The standing battery has what every claim is about, as its configurations say; nothing is trained."""

import re

import numpy as np

from tests.helpers import compose
from wnexp.nn.weightnorm import NORMS
from wnexp.theory import CLAIMS, battery
from wnexp.theory.optimizers import OfRule
from wnexp.theory.reference import hard_margin_normal
from wnexp.theory.seeds import DEEP

# Claim -> the normalizations that the battery has something to say on.
NONE, SWN, POWER, EWN = "none", "swn", "power", "ewn"
SAYS = {
    "C1": {SWN, EWN},
    "C2": {NONE, SWN, POWER, EWN},
    "C3": {EWN},
    "C4": {SWN},
    "C5": {EWN},
    "C6": {NONE, SWN, EWN},
    "C7": {NONE, SWN, EWN},
    "C8": {NONE},
    "C9": {NONE, SWN},
    "C10": {NONE, SWN, POWER, EWN},
    "C11": {EWN},
    "C12": {NONE, SWN, EWN},
    "C13": {NONE, SWN, POWER, EWN},
    "C14": {NONE, SWN, POWER, EWN},
    "P1": {POWER},
    "P2": {POWER},
    "P3": {POWER},
    "P4": {POWER},
    "P5": {POWER},
    "SVM": {NONE, SWN},
    "margin": {NONE, SWN},
}


def test_every_claim_is_measured_on_a_run_that_is_deep_enough(standing):
    """For every claim and the norms that it is about, with finite numbers."""
    says = {}
    for name, claim in CLAIMS.items():
        for run in standing:
            if claim.applies(run) and run.depth >= DEEP and (found := claim.evidence([run], standing)) is not None:
                assert np.isfinite([one[:3] for one in found.estimates]).all(), (name, run.directory)
                says.setdefault(name, set()).update([run.config.names["norm"]] * bool(found.estimates))
    assert says == SAYS


def test_twins_are_what_the_claims_compare_with(standing):
    """C5 has runs without normalization and under SWN beside EWN, three seeds each; C12 the logistic loss."""
    compared = {"C5": set(), "C12": set()}
    for run in standing:
        if CLAIMS["C5"].applies(run):
            compared["C5"] |= {(other.norm, len(other.reached)) for other in run.partners(standing, "norm.name")}
        if CLAIMS["C12"].applies(run):
            compared["C12"] |= {other.config.names["loss"] for other in run.partners(standing, "loss.name")}
    assert compared == {"C5": {(NONE, 3), (SWN, 3)}, "C12": {"cross_entropy"}}


def test_the_deep_battery_is_the_same_but_for_its_depth():
    usual, deep = battery.jobs(), battery.jobs(deep=True)
    assert usual.keys() == deep.keys()
    name = "linear3/ewn/exponential/0"
    assert compose(*deep[name]).stop.log_loss == -1_000_000 and compose(*usual[name]).stop.log_loss == -100_000


def test_the_data_are_of_many_kinds():
    """Four draws of each; support vectors that span the space and that do not, correlation, copies, five classes."""
    jobs = battery.jobs()
    assert {f"linear2/none/exponential/{seed}" for seed in range(4)} <= jobs.keys()
    assert len(battery.jobs(data_seeds=7)) > len(jobs)
    words = [(*network, f"data.seed={seed}") for network in battery.NETWORKS.values() for seed in range(2)]
    spans, sources = set(), [compose(*one).data for one in words]
    for source in sources:
        data = source.load()
        if data.outputs == 1:
            normal, signed = hard_margin_normal(data.train_x, data.train_y), data.train_x * data.train_y[:, None]
            support = signed[signed @ normal <= (signed @ normal).min() * (1 + 1e-6)]
            spans.add(np.linalg.matrix_rank(support) == data.train_x.shape[1])
    assert spans == {True, False}
    assert {source.classes for source in sources} == {2, 5} and {source.copies for source in sources} == {1, 2}
    assert any(source.correlation for source in sources)
    assert len({(source.inputs, source.train_per_class) for source in sources}) >= 5


def test_claims_ask_the_law_and_never_a_name(untrained, monkeypatch):
    """With the names of the normalizations passed on to others, every claim is about the same objects as before."""

    def about():
        """Claim -> the classes of the norms that it applies to."""
        jobs = {
            name: words
            for name, words in battery.jobs().items()
            if re.fullmatch("linear2/(.*/exponential|power-2)/0", name)
        }
        runs = [untrained(name, words) for name, words in jobs.items()]
        assert len(runs) == 4
        claims = {name: claim for name, claim in CLAIMS.items() if not isinstance(claim, OfRule)}
        return {name: {type(run.config.norm) for run in runs if one.applies(run)} for name, one in claims.items()}

    before, (none, swn, ewn) = about(), (NORMS[name] for name in (NONE, SWN, EWN))
    assert all(before.values())
    for name, other in ((NONE, ewn), (SWN, none), (EWN, swn)):
        monkeypatch.setitem(NORMS, name, other)
    assert about() == before
