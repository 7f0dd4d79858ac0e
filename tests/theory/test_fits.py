"""Fits that recover known numbers, as intervals that say how well."""

import numpy as np
import pytest

from tests.helpers import seed_records
from wnexp.theory import fits

TAU = np.geomspace(1, 1e4, 400)


def records(tau=TAU):
    return seed_records(tau, np.ones((len(tau), 1)))


@pytest.mark.parametrize("p", [0.0, 4 / 3, 2.0])
def test_exponents_are_recovered_with_their_next_order(p):
    curve = p * np.log(TAU) + 0.7 + 3 * np.log(TAU) / TAU - 5 / TAU + 20 / TAU**2
    low, high = fits.exponent(records(), curve)
    assert low == pytest.approx(p, abs=2e-4) and high == pytest.approx(p, abs=2e-4)


def test_the_interval_of_an_exponent_covers_what_windows_and_noise_make_of_it():
    """A term that is not fitted along, and noise: the truth lies inside or the interval is wide."""
    for power in (0.25, 0.3, 0.5):
        slow = fits.exponent(records(), 2 * np.log(TAU) + TAU**-power)
        assert slow.low < 2 < slow.high
    rng = np.random.default_rng(0)
    misses = 0
    for _ in range(50):
        noisy = fits.exponent(records(), 2 * np.log(TAU) + 0.01 * rng.standard_normal(400))
        misses += not noisy.low <= 2 <= noisy.high
        assert noisy.high - noisy.low > 0.05
    assert misses <= 1


def test_too_few_records_are_said_to_be_too_few():
    """And not that the run ought to be deeper."""
    assert fits.exponent(records(np.geomspace(1, 1e6, 60)), np.zeros(60)) == "10 records in a window, 12 are needed"
    assert fits.limit(np.geomspace(1, 1e6, 30), np.zeros(30)) == "8 records in a window, 12 are needed"
    assert "read off a factor of 31" in fits.limit(np.linspace(20, 100, 50), np.zeros(50))


@pytest.mark.parametrize("power", [0.1, 0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("end", [0.0, 0.3])
def test_limits_are_found_whatever_the_power_of_the_decay(power, end):
    found = fits.limit(TAU, end + 0.5 * TAU**-power)
    assert found.low == pytest.approx(end, abs=2e-3) and found.high == pytest.approx(end, abs=2e-3)
    if end == 0:
        assert found.powers == pytest.approx((power, power), rel=0.1)


def test_a_decay_that_does_not_slow_down_may_end_anywhere_below():
    for curve in (0.3 * TAU**-0.02, 1 - 0.1 * np.log10(TAU), 0.2 + 0.1 * np.cos(np.log(TAU))):
        found = fits.limit(TAU, curve)
        assert found.low == 0 and found.high >= curve[-1] * (1 - 1e-9)
        assert np.isnan(fits.needed_depth(1e4, found, 0.01)).all(), "no depth can be told from it"


def test_a_standing_curve_is_its_own_limit():
    found = fits.limit(TAU, np.full(400, 0.3))
    assert (found.low, found.high) == pytest.approx((0.3, 0.3))


def test_a_rising_curve_may_rise_further():
    found = fits.limit(TAU, 0.01 * TAU**0.3)
    assert found.low == 0 and found.high > 1.5 * found.now


def test_signed_curves_are_not_taken_for_positive_ones():
    found = fits.limit(TAU, -0.2 + TAU**-0.5, signed=True)
    assert found.low == pytest.approx(-0.2, abs=1e-3) and found.high == pytest.approx(-0.2, abs=1e-3)


def test_the_needed_depth_follows_from_the_decay():
    found = fits.limit(TAU, 2 * TAU**-0.5)
    low, high = fits.needed_depth(1e4, found, 0.002)
    assert low == pytest.approx(1e6, rel=0.05) and high == pytest.approx(1e6, rel=0.05)


def test_records_that_rise_again_are_passed_over():
    depth = np.array([1.0, 3.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(fits.deepening(depth), [True, True, False, False, True])
