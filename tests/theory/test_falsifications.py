"""Every falsification is caught by the claims that are about it, and the true runs are not taken for false ones.

`characteristics.py` counts how often, on many data sets; here two of each are enough to see that nothing is blind.
"""

from dataclasses import replace

import pytest

from tests.theory import characteristics
from tests.theory.falsifications import FALSIFICATIONS, concerns, falsified
from wnexp import theory


@pytest.mark.parametrize("title", [title for title, what in FALSIFICATIONS.items() if not what.trains])
def test_doctored_records_are_caught_where_the_theory_is_exact(standing, title):
    """On records that are in the limit every claim has a run that fails, and none without the falsification.

    The direction of a linear network is in no record here, so it is left to trained runs.
    """
    what = FALSIFICATIONS[title]
    claims = set(what.claims) - {"SVM", "margin"}
    runs = [run for run in standing if concerns(what, run)]
    others = [run for run in standing if not concerns(what, run)]
    true = characteristics.verdicts(runs, claims, others)
    assert not any(counts[theory.FAILS] for counts in true.values()), true
    counts = characteristics.verdicts([falsified(run, replace(what, turned=False)) for run in runs], claims, others)
    for claim in claims:
        assert counts[claim][theory.FAILS], (claim, counts[claim])


@pytest.mark.slow
def test_true_runs_do_not_fail_and_false_ones_do_not_hold(tmp_path):
    """Two data sets of each kind, trained."""
    true, found = characteristics.characteristics(tmp_path, range(3, 5))
    assert {claim: counts[theory.FAILS] for claim, counts in true.items()} == dict.fromkeys(true, 0)
    assert all(counts[theory.HOLDS] for counts in true.values())
    for title, by_claim in found.items():
        caught = {
            claim: by_claim[claim][theory.FAILS] / by_claim[claim].total()
            for claim in filter(by_claim.get, FALSIFICATIONS[title].claims)
        }
        assert max(caught.values()) >= 0.5, (title, caught)
