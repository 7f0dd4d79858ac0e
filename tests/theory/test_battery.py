"""The standing battery has what every claim is about, as its configurations say; nothing is trained."""

import re

import numpy as np

from tests.helpers import compose
from wnexp.nn.weightnorm import NORMS
from wnexp.theory import CLAIMS, battery
from wnexp.theory.runs import DEEP

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


def test_every_claim_is_measured_on_a_run_that_is_deep_enough(standing):
    """As `judge` does, for every claim and the norms that it is about, with finite numbers."""
    says, depths = {}, {}
    for name, claim in CLAIMS.items():
        for run in standing:
            if not claim.applies(run) or (found := claim.measure(run, standing, claim.tolerance(run))) is None:
                continue
            assert np.isfinite(found.predicted), (name, run.directory.name)
            if run.depth >= DEEP:
                assert np.isfinite([found.measured, found.uncertainty]).all(), (name, run.directory.name)
                says.setdefault(name, set()).add(run.norm)
            depths[name] = max(depths.get(name, 0), run.depth)
    assert says == SAYS
    assert min(depths.values()) >= DEEP


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
    name = "linear4-ewn-exponential"
    assert compose(*deep[name]).stop.log_loss == -1_000_000 and compose(*usual[name]).stop.log_loss == -10_000


def test_claims_ask_the_law_and_never_a_name(untrained, monkeypatch):
    """With the names of the normalizations passed on to others, every claim is about the same objects as before."""

    def about():
        """Claim -> the classes of the norms that it applies to."""
        jobs = {name: words for name, words in battery.jobs().items() if re.fullmatch("linear2-.*-exponential", name)}
        runs = [untrained(name, words) for name, words in jobs.items()]
        assert len(runs) == 3
        return {name: {type(run.config.norm) for run in runs if one.applies(run)} for name, one in CLAIMS.items()}

    before, (none, swn, ewn) = about(), NORMS.values()
    assert all(before.values())
    for name, other in ((NONE, ewn), (SWN, none), (EWN, swn)):
        monkeypatch.setitem(NORMS, name, other)
    assert about() == before
