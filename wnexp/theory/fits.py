"""Numbers from curves, as intervals: exponents of `log t`, and limits of quantities that fall as powers of `tau`."""

from typing import NamedTuple

import numpy as np

from wnexp.theory.seeds import SeedRecords

FEWEST_RECORDS = 12
_WINDOWS = ((1.0, 1.0), (1.5, 1.0), (1.0, 0.3))  # decades of `tau`, and the share of the final `tau` that they end at
_FURTHER = 3.0  # times the change from the last window to the first: a bias that falls as `tau^-0.25` is gone then
_ERRORS = 3.0  # standard errors
_ENDS = (1.0, 0.7)  # shares of the final `tau` that an extrapolation starts from
_RATIOS = tuple(10 ** (third / 6) for third in (2, 3, 4))  # between the three points that it uses
_STRAIGHT = 0.97  # of the step before; a curve that slows down less does not tell where it ends
_STANDS = 1e-3  # of the value: a curve that changes so little between the points may still go on for ...
_REACH = 30  # ... so many times the change
_MOST_RISE = 100.0
_ROUNDING = 1e-12  # a change that is none


class Interval(NamedTuple):
    """From the lowest to the highest of the values found in different ways."""

    low: float
    high: float


def exponent(seed: SeedRecords, values: np.ndarray) -> Interval | str:
    """`p` of `values ~ p log log t + const`, or why there is none.

    The next order is fitted along: with `x = log t` the terms `log x, 1, log x / x, 1 / x`. Without it exponents at 1e4
    nats are off by 0.01 to 0.03. The interval covers three windows, each with three standard errors of the fit, and
    where the trend from the earlier to the later window leads: terms that fall as small powers are not fitted.
    """
    found = []
    for decades, end in _WINDOWS:
        with np.errstate(invalid="ignore"):
            window = seed.window(decades, end) & (seed.steps["log_time"] > 1) & np.isfinite(values)
        if window.sum() < FEWEST_RECORDS:
            return f"{window.sum()} records in a window, {FEWEST_RECORDS} are needed"
        slope, error = _slope(seed.steps["log_time"][window], values[window])
        found.append((slope, _ERRORS * error))
    trend = found[0][0] + _FURTHER * (found[0][0] - found[-1][0])
    found.append((trend, 0.0))
    return Interval(min(slope - error for slope, error in found), max(slope + error for slope, error in found))


def _slope(x: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The slope and its standard error."""
    terms = np.stack([np.log(x), np.ones_like(x), np.log(x) / x, 1 / x], axis=1)
    orthogonal, triangle = np.linalg.qr(terms / np.abs(terms).max(axis=0))
    weights = np.linalg.solve(triangle, orthogonal.T @ values)
    rest = values - terms / np.abs(terms).max(axis=0) @ weights
    inverse = np.linalg.inv(triangle)[0]
    error = np.sqrt(rest @ rest / (len(x) - 4)) * np.linalg.norm(inverse)
    scale = np.abs(terms[:, 0]).max()
    return float(weights[0] / scale), float(error / scale)


def deepening(depth: np.ndarray) -> np.ndarray:
    """The records that are deeper than all before, a mask: the loss of batches or of a constant step may rise."""
    return depth > np.append(-np.inf, np.maximum.accumulate(depth)[:-1])


class Limit(NamedTuple):
    """Where a curve goes."""

    low: float
    high: float
    now: float
    powers: tuple[float, float]  # of `tau` that it falls with, NaN where it does not fall as a power


def limit(depth: np.ndarray, values: np.ndarray, signed: bool = False, fewest: int = FEWEST_RECORDS) -> Limit | str:
    """Where a curve over `tau` that is not negative (or is `signed`) goes for ever, or why that cannot be said.

    For `q = q_inf + c tau^-nu` three values at `tau/r^2, tau/r, tau` give `q_inf` whatever `nu` is (Aitken). The
    interval covers three ratios from two ends. A curve that stands still to a thousandth ends within thirty times its
    last change. One that does not slow down (it changes as much a decade as before, or turns) may end anywhere from 0
    to its present value, and that much further up if it rises.
    """
    from scipy.interpolate import PchipInterpolator

    usable = (depth > 1) & np.isfinite(values) & deepening(depth)
    depth, values = depth[usable], values[usable]
    reach = _RATIOS[-1] ** 2 / _ENDS[-1]
    if len(depth) < 2 or depth[0] * reach > depth[-1]:
        return f"too shallow for a limit, which is read off a factor of {reach:.0f} in nats"
    if (window := depth >= depth[-1] / reach).sum() < fewest:
        return f"{window.sum()} records in a window, {fewest} are needed"
    with np.errstate(over="ignore"):  # of slopes next to nothing, inside
        curve = PchipInterpolator(np.log(depth), values)
    found, powers = [], []
    for end in _ENDS:
        for ratio in _RATIOS:
            last = np.log(end * depth[-1])
            first, second, third = (float(curve(last - steps * np.log(ratio))) for steps in (2, 1, 0))
            before, after = second - first, third - second
            change = max(abs(before), abs(after))
            if abs(after) <= _ROUNDING:
                found.append(third)
            elif before and 0 < (shrinking := after / before) < _STRAIGHT:
                found.append(third + after * shrinking / (1 - shrinking))
                powers.append(-np.log(shrinking) / np.log(ratio))
            elif change <= _STANDS * abs(third):
                found += [third - _REACH * change, third + _REACH * change]
            else:
                found.append(np.nan)
    clear = bool(np.isfinite(found).all())
    decay = (min(powers), max(powers)) if clear and powers else (np.nan, np.nan)
    now, recent = float(values[-1]), float(np.abs(values[depth >= _ENDS[-1] * depth[-1]]).max())
    if signed:
        low, high = (min(found), max(found)) if clear else (-recent, recent)
    else:
        low = max(0.0, min(found)) if clear else 0.0
        earlier = abs(float(curve(np.log(depth[-1]) - np.log(10) / 2)))
        top = recent * min(max(1.0, now / max(earlier, _ROUNDING)), _MOST_RISE) ** 2
        high = min(max(map(abs, found)), top) if clear else top
    return Limit(low, max(low, high), now, decay)


def needed_depth(depth: float, found: Limit, tolerance: float) -> tuple[float, float]:
    """The nats at which the curve comes within the tolerance, from its fastest and slowest decay; NaN if unclear, or if
    it does not."""
    slow, fast = found.powers
    if not (found.low <= tolerance and slow > 0.1 and fast < 2 * slow and abs(found.now) > tolerance):
        return np.nan, np.nan
    return depth * (abs(found.now) / tolerance) ** (1 / fast), depth * (abs(found.now) / tolerance) ** (1 / slow)
