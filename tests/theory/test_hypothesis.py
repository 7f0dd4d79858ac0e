"""The rule of a verdict, fixed in advance."""

import numpy as np
import pytest

from wnexp.theory import FAILS, HOLDS, NOT_REACHED
from wnexp.theory.hypothesis import Estimate, Evidence, judge


def verdict(*estimates, left_out=(), tolerance=0.01, **more):
    return judge(Evidence(list(estimates), list(left_out)), tolerance, **more)


def test_the_whole_interval_of_every_seed_has_to_lie_within_the_tolerance():
    assert verdict(Estimate(1.995, 2.005, 2.0), Estimate(1.99, 2.0, 2.0)).verdict == HOLDS
    assert verdict(Estimate(1.995, 2.005, 2.0), Estimate(1.98, 2.0, 2.0)).verdict == NOT_REACHED
    assert verdict(Estimate(0.5, 4.0, 2.0)).verdict == NOT_REACHED, "an interval around the prediction is no proof"


def test_seeds_that_contradict_each_other_do_not_hold_on_average():
    """Exponents 0, 4 and 2 have the mean that was predicted."""
    found = verdict(*(Estimate(p - 0.001, p + 0.001, 2.0) for p in (0, 4, 2)))
    assert found.verdict == FAILS and (found.low, found.high) == pytest.approx((-0.001, 4.001))


def test_one_seed_refutes_if_it_is_deep_enough():
    good = [Estimate(0, 0.001)] * 14
    assert verdict(*good, Estimate(0.02, 0.03)).verdict == FAILS
    assert verdict(*good, Estimate(0.02, 0.03, deep=False)).verdict == NOT_REACHED
    assert verdict(*good, Estimate(-0.03, -0.02)).verdict == FAILS
    assert verdict(*good, Estimate(-0.03, -0.02), one_sided=True).verdict == HOLDS


def test_left_out_seeds_are_counted_with_their_reasons_and_may_not_be_most():
    good = [Estimate(0, 0.001)] * 2
    found = verdict(*good, left_out=["few records", "few records"])
    assert found.verdict == HOLDS and (found.used, found.left_out) == (2, 2)
    assert found.reasons == "2 seeds: few records"
    assert verdict(*good, left_out=["few records"] * 3).verdict == NOT_REACHED
    nothing = verdict(left_out=["few records", "does not separate"])
    assert nothing.verdict == NOT_REACHED and nothing.reasons == "few records; does not separate"


def test_a_needed_depth_is_given_only_where_every_missing_seed_has_one():
    missing = Estimate(0, 0.02, needed=(2e4, 3e4)), Estimate(0, 0.03, needed=(1e4, 5e4))
    found = verdict(Estimate(0, 0.001), *missing)
    assert (found.needed_low, found.needed_high) == (2e4, 5e4)
    assert np.isnan(verdict(*missing, Estimate(0, 0.02)).needed_low)
    assert np.isnan(verdict(Estimate(0, 0.001)).needed_low) and np.isnan(verdict(left_out=["few"]).needed_low)


def test_errors_are_hulled_where_predictions_differ():
    found = verdict(Estimate(0.49, 0.51, 0.5), Estimate(0.66, 0.67, 2 / 3), tolerance=0.02)
    mean = (0.5 + 2 / 3) / 2
    assert found.verdict == HOLDS and found.predicted == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - 0.01, mean + 0.01))
