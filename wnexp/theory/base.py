"""What a claim is: where it applies, what is measured on a run, with which tolerance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wnexp.theory.fits import Measurement, judge_limit
from wnexp.theory.runs import SeedRecords, TrainedRun


@dataclass(frozen=True)
class Claim:
    """A row of `CLAIMS`."""

    statement: ClassVar[str]
    measured_as: ClassVar[str]
    reason: ClassVar[str]  # for the tolerance
    against_degree: ClassVar[bool] = False  # whether its predictions are a curve over the degree of the network
    allowance: float  # the tolerance, in the unit of what is measured

    def applies(self, run: TrainedRun) -> bool:
        """Whether the claim is about such a run; it asks the run's objects, never for a name."""
        return run.law is not None

    def tolerance(self, run: TrainedRun) -> float:
        """How far the measurement may be from the prediction."""
        return self.allowance

    def measure(self, run: TrainedRun, runs: Sequence[TrainedRun], tolerance: float) -> Measurement | None:
        """Hold the claim against a run that it applies to; None where the run, or its twin in `runs`, has no say."""
        raise TypeError(f"{type(self).__name__} has no measure")


def limit(run: TrainedRun, curves: list[np.ndarray], tolerance: float) -> Measurement:
    """A quantity of every seed that tends to 0."""
    return judge_limit(run.reached, curves, [run.settled(seed) for seed in run.reached], tolerance)


def active_spread(seed: SeedRecords, values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Largest minus smallest value `(r, u)` over the active neurons of a group, the largest over groups, `(r,)`."""
    spreads = [np.zeros(len(values))]
    for group in np.unique(groups):
        chosen = values[:, seed.active & (groups == group)]
        if chosen.shape[1] > 1:
            spreads.append(np.ptp(chosen, axis=1))
    return np.max(spreads, axis=0)
