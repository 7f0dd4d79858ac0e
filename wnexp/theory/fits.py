"""Numbers from curves: exponents of `log t`, limits, and the verdict on a prediction."""

from typing import NamedTuple

import numpy as np

from wnexp.theory.runs import DEEP, SeedRecords

HOLDS, FAILS, NOT_REACHED = "holds", "fails", "not reached"
_FEWEST_RECORDS = 12
_WINDOWS = (1.0, 1.5)  # decades of `tau` that a slope is fitted over
_SLOWEST_DECAY = 0.02  # power of `tau`


class Measurement(NamedTuple):
    """What a claim says of one run: prediction, measurement, verdict."""

    predicted: float
    measured: float
    uncertainty: float  # the spread over seeds or over fitting windows, whichever is larger
    verdict: str
    needed: float = np.nan  # nats, where the run was not deep enough


def exponent(seed: SeedRecords, values: np.ndarray, decades: float) -> float:
    """`p` of `values ~ p log log t + const` over the last decades of `tau`; NaN with too few records.

    The next order is fitted along: with `x = log t` the terms `log x, 1, log x / x, 1 / x`. Without it exponents at 1e4
    nats are off by 0.01 to 0.03.
    """
    with np.errstate(invalid="ignore"):
        window = seed.window(decades) & (seed.steps["log_time"] > 1) & np.isfinite(values)
    if window.sum() < _FEWEST_RECORDS:
        return np.nan
    x = seed.steps["log_time"][window]
    terms = np.stack([np.log(x), np.ones_like(x), np.log(x) / x, 1 / x], axis=1)
    scale = np.abs(terms).max(axis=0)
    return float(np.linalg.lstsq(terms / scale, values[window], rcond=None)[0][0] / scale[0])


def judge_exponent(
    seeds: list[SeedRecords], curves: list[np.ndarray], predicted: float, tolerance: float
) -> Measurement:
    """An exponent, mean over seeds. Not reached where the windows disagree by more than the tolerance."""
    slopes = np.array([[exponent(seed, curve, d) for d in _WINDOWS] for seed, curve in zip(seeds, curves, strict=True)])
    slopes = slopes.reshape(-1, len(_WINDOWS))
    slopes = slopes[np.isfinite(slopes).all(axis=1)]
    depth = min((seed.depth[-1] for seed in seeds), default=np.nan)
    if not len(slopes):
        return Measurement(predicted, np.nan, np.nan, NOT_REACHED, float(np.nanmax([DEEP, 10 * depth])))
    measured = float(slopes[:, 0].mean())
    uncertainty = float(max(slopes[:, 0].std(), np.abs(slopes[:, 0] - slopes[:, 1]).mean()))
    if abs(measured - predicted) <= tolerance:
        return Measurement(predicted, measured, uncertainty, HOLDS)
    if depth < DEEP:
        return Measurement(predicted, measured, uncertainty, NOT_REACHED, DEEP)
    if uncertainty > tolerance:  # the terms left out fall like 1/tau
        return Measurement(predicted, measured, uncertainty, NOT_REACHED, depth * uncertainty / tolerance)
    return Measurement(predicted, measured, uncertainty, FAILS)


def judge_limit(
    seeds: list[SeedRecords], curves: list[np.ndarray], settled: list[bool], tolerance: float
) -> Measurement:
    """A quantity that tends to 0, the largest over seeds; its uncertainty is its spread over the last tenth of `tau`.

    Above the tolerance it fails if it does not fall although the neurons' competition has settled; otherwise it is not
    reached, and the power of `tau` that it falls with gives the depth it needs.
    """
    if not seeds:
        return Measurement(0.0, np.nan, np.nan, NOT_REACHED, DEEP)
    finals, spreads, needed, fails = [], [], [], False
    for seed, curve, steady in zip(seeds, curves, settled, strict=True):
        last, late = seed.window(1.0), seed.depth >= 0.9 * seed.depth[-1]
        finals.append(float(np.abs(curve[-1])))
        spreads.append(float(np.ptp(curve[late])))
        if not finals[-1] <= tolerance:
            power = -np.polyfit(np.log(seed.depth[last]), np.log(np.abs(curve[last]) + 1e-300), 1)[0]
            falls = last.sum() >= _FEWEST_RECORDS and power > _SLOWEST_DECAY
            fails |= steady and not falls
            deep = seed.depth[-1] >= DEEP
            needed.append(seed.depth[-1] * (finals[-1] / tolerance) ** (1 / power) if falls and deep else DEEP)
    verdict = HOLDS if not needed else FAILS if fails else NOT_REACHED
    depth = max(*needed, 2 * min(seed.depth[-1] for seed in seeds)) if verdict == NOT_REACHED else np.nan
    return Measurement(0.0, max(finals), max(spreads), verdict, depth)


def judge_bound(values: list[float], tolerance: float) -> Measurement:
    """A quantity that is 0 at every moment: the largest over seeds against the tolerance."""
    if not values or not np.isfinite(values).all():
        return Measurement(0.0, np.nan, np.nan, NOT_REACHED)
    return Measurement(0.0, max(values), float(np.std(values)), HOLDS if max(values) <= tolerance else FAILS)
