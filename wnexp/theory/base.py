"""What a claim is: where it applies, what a seed says of it, with which tolerance.

A new claim is a class here beside with its `statement`, quantity, prediction, next order and tolerance, and a row of
`CLAIMS`. It gives an interval for a seed; `hypothesis.py` makes the verdict.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wnexp.theory.fits import Interval, Limit, needed_depth
from wnexp.theory.hypothesis import Estimate, Evidence
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import SeedRecords

Runs = Sequence[TrainedRun]


@dataclass(frozen=True)
class Claim:
    """A row of `CLAIMS`."""

    statement: ClassVar[str]
    measured_as: ClassVar[str]
    reason: ClassVar[str]  # for the tolerance
    against: ClassVar[str] = ""  # the column that its predictions are a curve over: degree, effective_degree
    one_sided: ClassVar[bool] = False  # whether the prediction is a bound from above
    most: ClassVar[float] = math.inf  # that what is measured can be; an extrapolation does not know it
    allowance: float  # the tolerance, in the unit of what is measured

    def applies(self, run: TrainedRun) -> bool:
        """Whether the claim is about such a run; it asks the run's objects, never for a name."""
        return bool(run.laws)

    def tolerance(self, run: TrainedRun) -> float:
        """How far the measurement may be from the prediction."""
        return self.allowance

    def evidence(self, group: Runs, runs: Runs) -> Evidence | None:
        """What runs that differ in their data's seed alone say; None where their twins in `runs` are missing."""
        found = Evidence()
        for run in group:
            for seed in run.seeds:
                found.add(run.silent(seed) or self.estimate(run, seed))
        return found

    def estimate(self, run: TrainedRun, seed: SeedRecords) -> Estimate | str:
        """What one seed says, or why it says nothing."""
        raise TypeError(f"{type(self).__name__} has no estimate")

    def of_limit(self, seed: SeedRecords, found: Limit | str, deep: bool) -> Estimate | str:
        """A quantity that tends to 0; `deep` says whether another limit refutes the claim."""
        if isinstance(found, str):
            return found
        needed = needed_depth(float(seed.depth[-1]), found, self.allowance)
        return Estimate(min(found.low, self.most), min(found.high, self.most), deep=deep, needed=needed)


def of_exponent(found: Interval | str, predicted: float, deep: bool) -> Estimate | str:
    """A power of `log t`; `deep` says whether another one refutes the claim."""
    return found if isinstance(found, str) else Estimate(found.low, found.high, predicted, deep)


def of_bound(value: float) -> Estimate:
    """A quantity that is at most 0, or 0, at every moment, to the solver's accuracy."""
    return Estimate(value, value)


def active_spread(seed: SeedRecords, values: np.ndarray, groups: np.ndarray, chosen: np.ndarray) -> np.ndarray | None:
    """Largest minus smallest value `(r, u)` over the chosen active neurons of a group, the largest over groups.

    None where no group has two of them.
    """
    spreads = []
    for group in np.unique(groups):
        members = values[:, chosen & seed.active & (groups == group)]
        if members.shape[1] > 1:
            spreads.append(np.ptp(members, axis=1))
    return np.max(spreads, axis=0) if spreads else None
