"""Claims on neurons and their gradients: alignment, the relation of norm and gradient, sparsity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wnexp.theory.base import Claim, active_spread, limit
from wnexp.theory.fits import FAILS, HOLDS, NOT_REACHED, Measurement
from wnexp.theory.runs import DEEP, SeedRecords, TrainedRun


@dataclass(frozen=True)
class Alignment(Claim):
    """C2: `w_u` and `-grad_u L` align."""

    statement = "w_u and -grad_u L align, for active neurons"
    measured_as = "largest 1 - cos"
    reason = "an angle of 8 degrees"
    allowance: float = 0.01

    def measure(self, run, runs, tolerance):
        curves = [np.max(1 - seed.alignments[:, seed.active], axis=1, initial=0.0) for seed in run.reached]
        return limit(run, curves, tolerance)


@dataclass(frozen=True)
class EqualProducts(Claim):
    """C3, where the norm and the gradient of a neuron are inversely proportional (EWN)."""

    statement = "||w_u|| ||grad_u L|| becomes equal over the active neurons of a layer"
    measured_as = "largest spread of log||w_u|| + log||grad_u L|| (nats)"
    reason = "5 % of the product"
    allowance: float = 0.05

    def applies(self, run):
        return run.law is not None and run.law.slope == -1

    def measure(self, run, runs, tolerance):
        curves = [active_spread(seed, np.log(seed.norms) + seed.log_gradients, seed.layers) for seed in run.reached]
        return limit(run, curves, tolerance)


@dataclass(frozen=True)
class EqualRatios(Claim):
    """C4, where a normalization makes them proportional (SWN)."""

    statement = "||grad_u L|| / ||w_u|| becomes equal over all active neurons"
    measured_as = "spread of log||grad_u L|| - log||w_u|| (nats)"
    reason = "5 % of the ratio"
    allowance: float = 0.05

    def applies(self, run):
        return run.law is not None and run.law.normalizes and run.law.slope == 1

    def measure(self, run, runs, tolerance):
        curves = []
        for seed in run.reached:
            ratios = seed.log_gradients - np.log(seed.norms)
            curves.append(active_spread(seed, ratios, np.zeros_like(seed.layers)))
        return limit(run, curves, tolerance)


@dataclass(frozen=True)
class Sparsity(Claim):
    """C5: relative sparsity, against runs that differ in the norm alone."""

    statement = "EWN concentrates the norm of the first layer on fewer neurons than none and SWN"
    measured_as = "ratio of effective numbers of neurons at equal loss, EWN over the others"
    reason = "below 1 by two standard errors over seeds"
    allowance: float = 1.0

    def applies(self, run):
        return run.has_limit_law

    def measure(self, run: TrainedRun, runs: Sequence[TrainedRun], tolerance: float) -> Measurement | None:
        others = [other for other in run.partners(runs, "norm.name") if other.law and not other.has_limit_law]
        layer = min(run.trained_degrees)
        ratios = []
        for other in sorted(others, key=lambda other: bool(other.law and other.law.normalizes)):
            twins = {seed.seed: seed for seed in other.reached}
            for seed in run.reached:
                if seed.seed in twins and (seed.layers == layer).sum() > 1:
                    ratios.append(_effective_neurons(seed, layer) / _effective_neurons(twins[seed.seed], layer))
        if not ratios:
            return None
        logs = np.log(ratios)
        uncertainty = float(2 * logs.std(ddof=1) / np.sqrt(len(logs))) if len(logs) > 2 else np.inf
        measured = float(np.exp(logs.mean()))
        verdict = HOLDS if logs.mean() + uncertainty < 0 else FAILS if logs.mean() - uncertainty > 0 else NOT_REACHED
        if verdict == FAILS and run.depth < DEEP:
            verdict = NOT_REACHED
        needed = DEEP if verdict == NOT_REACHED and run.depth < DEEP else np.nan
        return Measurement(
            predicted=1.0, measured=measured, uncertainty=measured * uncertainty, verdict=verdict, needed=needed
        )


def _effective_neurons(seed: SeedRecords, layer: int) -> float:
    norms = seed.norms[-1, seed.layers == layer]
    return float(norms.sum() ** 2 / np.square(norms).sum())
