"""A verdict is a test of a hypothesis: what a seed says is an interval, and the rule is fixed in advance.

*Holds*: the interval of every seed lies within the tolerance around the prediction, and no more than half of the seeds
had to be left out. *Fails*: the interval of a seed lies outside, and the seed is deep enough by a criterion that does
not contain the claim; a theorem is about every seed, so one refutes it. Otherwise *not reached*. An interval covers
fitting windows and next orders, not chance: the curves of a seed are exact, and other seeds and data have intervals of
their own.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

HOLDS, FAILS, NOT_REACHED = "holds", "fails", "not reached"
_UNKNOWN = (np.nan, np.nan)


class Estimate(NamedTuple):
    """What one seed says of a claim."""

    low: float
    high: float
    predicted: float = 0.0
    deep: bool = True  # whether a value outside refutes the claim
    needed: tuple[float, float] = _UNKNOWN  # nats that would bring it within the tolerance, as its decay says


@dataclass
class Evidence:
    """What all seeds of runs that differ in their data's seed alone say of a claim."""

    estimates: list[Estimate] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # why, a seed each

    def add(self, found: "Estimate | str") -> None:
        """Another seed's estimate, or why it has none."""
        if isinstance(found, str):
            self.left_out.append(found)
        else:
            self.estimates.append(found)


class Verdict(NamedTuple):
    """The hull of the estimates and what follows."""

    predicted: float
    low: float
    high: float
    verdict: str
    needed_low: float
    needed_high: float
    used: int
    left_out: int
    reasons: str


def judge(evidence: Evidence, tolerance: float, one_sided: bool = False) -> Verdict:
    """Apply the rule. With `one_sided` anything up to the prediction plus the tolerance is within."""
    reasons = Counter(evidence.left_out)
    why = "; ".join(f"{count} seeds: {reason}" if count > 1 else reason for reason, count in reasons.items())
    estimates = evidence.estimates
    if not estimates:
        return Verdict(np.nan, np.nan, np.nan, NOT_REACHED, *_UNKNOWN, 0, len(evidence.left_out), why)
    within = [_within(one, tolerance, one_sided) for one in estimates]
    refuted = any(_outside(one, tolerance, one_sided) and one.deep for one in estimates)
    enough = len(estimates) >= len(evidence.left_out)
    verdict = FAILS if refuted else HOLDS if enough and all(within) else NOT_REACHED
    missing = [one.needed for one, fits in zip(estimates, within, strict=True) if not fits]
    known = bool(missing) and verdict == NOT_REACHED and bool(np.isfinite(missing).all())
    needed = np.max(missing, axis=0) if known else _UNKNOWN
    predicted = float(np.mean([one.predicted for one in estimates]))
    errors = np.array([(one.low - one.predicted, one.high - one.predicted) for one in estimates])
    low, high = predicted + errors[:, 0].min(), predicted + errors[:, 1].max()
    return Verdict(
        predicted=predicted,
        low=float(low),
        high=float(high),
        verdict=verdict,
        needed_low=float(needed[0]),
        needed_high=float(needed[1]),
        used=len(estimates),
        left_out=len(evidence.left_out),
        reasons=why,
    )


def _within(one: Estimate, tolerance: float, one_sided: bool) -> bool:
    return one.high <= one.predicted + tolerance and (one_sided or one.low >= one.predicted - tolerance)


def _outside(one: Estimate, tolerance: float, one_sided: bool) -> bool:
    return one.low > one.predicted + tolerance or (not one_sided and one.high < one.predicted - tolerance)
