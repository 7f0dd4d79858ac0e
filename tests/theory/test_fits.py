"""Fits that recover known numbers, and the verdicts on them."""

import numpy as np
import pytest

from tests.helpers import seed_records
from wnexp import theory
from wnexp.theory import fits

TAU = np.geomspace(1, 1e4, 400)


@pytest.mark.parametrize("p", [0.0, 4 / 3, 2.0])
def test_exponents_are_recovered_with_their_next_order(p):
    x = TAU
    one = seed_records(TAU, np.ones((400, 1)), log_time=x)
    curve = p * np.log(x) + 0.7 + 3 * np.log(x) / x - 5 / x + 20 / x**2
    assert fits.exponent(one, curve, 1.0) == pytest.approx(p, abs=1e-4)
    measured = fits.judge_exponent([one], [curve], p, 0.005)
    assert measured.verdict == theory.HOLDS and measured.uncertainty < 1e-3
    assert fits.judge_exponent([one], [curve], p + 0.1, 0.005).verdict == theory.FAILS


def test_exponents_of_shallow_runs_are_not_reached():
    tau = np.geomspace(1, 300, 100)
    one = seed_records(tau, np.ones((100, 1)))
    measured = fits.judge_exponent([one], [3 * np.log(tau)], 2.0, 0.005)
    assert measured.verdict == theory.NOT_REACHED and measured.needed == 1000
    assert fits.judge_exponent([], [], 2.0, 0.005).verdict == theory.NOT_REACHED


def test_limits_hold_fall_or_fail():
    one = seed_records(TAU, np.ones((400, 1)))
    falling, standing = TAU**-0.25, np.full_like(TAU, 0.3)
    assert fits.judge_limit([one], [falling], [True], 0.2).verdict == theory.HOLDS
    slow = fits.judge_limit([one], [falling], [True], 0.05)
    assert slow.verdict == theory.NOT_REACHED and slow.needed == pytest.approx(20**4, rel=1e-6)
    assert fits.judge_limit([one], [standing], [True], 0.05).verdict == theory.FAILS
    assert fits.judge_limit([one], [standing], [False], 0.05).verdict == theory.NOT_REACHED
    assert fits.judge_limit([one], [np.full_like(TAU, np.nan)], [True], 0.05).verdict == theory.FAILS


def test_bounds_are_the_largest_over_seeds():
    assert fits.judge_bound([0.1, 0.3], 0.3)[:2] == (0.0, 0.3)
    assert [fits.judge_bound([0.1, 0.3], tolerance).verdict for tolerance in (0.3, 0.2)] == [theory.HOLDS, theory.FAILS]
    assert fits.judge_bound([], 0.3).verdict == fits.judge_bound([0.1, np.nan], 0.3).verdict == theory.NOT_REACHED
