"""Claims on neurons and their gradients: alignment, the relation of norm and gradient, sparsity."""

from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np

from wnexp.theory.base import Claim, active_spread
from wnexp.theory.fits import limit
from wnexp.theory.hypothesis import Estimate, Evidence
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import DEEP, SeedRecords

_ALONE = "no two active neurons to compare"
_FEWEST_UNITS = 3
_CONFIDENCE = 0.975


@dataclass(frozen=True)
class Alignment(Claim):
    """C2: `w_u` and `-grad_u L` align.

    What a neuron had across its limit direction at the start stays (none, EWN: the gradient vanishes there) while its
    norm grows, so `1 - cos` falls as `||w_u||^-2`; under SWN it is forgotten.
    """

    statement = "w_u and -grad_u L align, for active neurons"
    measured_as = "limit of the largest 1 - cos"
    reason = "an angle of 2.6 degrees"
    most = 2.0
    allowance: float = 0.001

    def estimate(self, run, seed):
        misaligned = np.max(1 - seed.alignments[:, seed.active], axis=1, initial=0.0)
        return self.of_limit(seed, limit(seed.depth, misaligned), seed.settled)


@dataclass(frozen=True)
class EqualProducts(Claim):
    """C3, where the norm and the gradient of a neuron are inversely proportional (EWN)."""

    statement = "||w_u|| ||grad_u L|| becomes equal over the active neurons of a layer"
    measured_as = "limit of the largest spread of log||w_u|| + log||grad_u L|| (nats)"
    reason = "5 % of the product; a neuron that stands still to 2 % is active"
    allowance: float = 0.05

    def applies(self, run):
        return any(law.slope == -1 for law in run.laws.values())

    def estimate(self, run, seed):
        chosen = np.array([run.laws[layer].slope == -1 for layer in seed.layers])
        spread = active_spread(seed, np.log(seed.norms) + seed.log_gradients, seed.layers, chosen)
        return _ALONE if spread is None else self.of_limit(seed, limit(seed.depth, spread), seed.settled)


@dataclass(frozen=True)
class EqualRatios(Claim):
    """C4, where a normalization makes them proportional (SWN)."""

    statement = "||grad_u L|| / ||w_u|| becomes equal over all active neurons"
    measured_as = "limit of the spread of log||grad_u L|| - log||w_u|| (nats)"
    reason = "5 % of the ratio; a neuron that stands still to 2 % is active"
    allowance: float = 0.05

    def applies(self, run):
        return any(law.normalizes and law.slope == 1 for law in run.laws.values())

    def estimate(self, run, seed):
        laws = [run.laws[layer] for layer in seed.layers]
        chosen = np.array([law.normalizes and law.slope == 1 for law in laws])
        ratios = seed.log_gradients - np.log(seed.norms)
        spread = active_spread(seed, ratios, np.zeros_like(seed.layers), chosen)
        return _ALONE if spread is None else self.of_limit(seed, limit(seed.depth, spread), seed.settled)


@dataclass(frozen=True)
class Sparsity(Claim):
    """C5: relative sparsity, against runs that differ in the norm alone.

    `d log||w_u||/dt = -w_u.grad_u L` under EWN: the neuron with the larger product wins, and its share grows. This is a
    tendency, so the interval is of a mean: over data seeds where there are several, else over seeds.
    """

    statement = "EWN concentrates the norm of the first layer on fewer neurons than none and SWN"
    measured_as = "log of the ratio of effective numbers of neurons at equal loss, EWN over each of the others"
    reason = "at least 1 % fewer than under either, by the 95 % interval of the mean"
    one_sided = True
    key: ClassVar[str] = "norm.name"
    allowance: float = -0.01

    def applies(self, run):
        first = run.laws.get(min(run.trained_degrees))
        return first is not None and np.isinf(first.power) and self.is_of_several(run)

    def is_of_several(self, run: TrainedRun) -> bool:
        """Whether the first layer has several scales."""
        return run.units(min(run.trained_degrees)) > 1

    def is_rival(self, run: TrainedRun, other: TrainedRun) -> bool:
        """Whether a run that differs in the key alone should be less sparse."""
        return not other.has_limit_law

    def evidence(self, group, runs):
        found, compared = Evidence(), False
        partners = [
            [one for one in run.partners(runs, self.key) if one.laws and self.is_rival(run, one)] for run in group
        ]
        for norm in sorted({one.norm for ones in partners for one in ones}):
            compared, units = True, []
            for run, ones in zip(group, partners, strict=True):
                twins = [one for one in ones if one.norm == norm]
                ratios = [run.silent(seed) or _log_ratio(run, seed, twins) for seed in run.seeds]
                found.left_out += [ratio for ratio in ratios if isinstance(ratio, str)]
                units.append([ratio for ratio in ratios if not isinstance(ratio, str)])
            independent = [np.mean(logs) for logs in units if logs] if len(group) >= _FEWEST_UNITS else [*chain(*units)]
            if len(independent) >= _FEWEST_UNITS:
                found.add(_mean(independent, deep=all(run.depth >= DEEP for run in group)))
            else:
                found.left_out += [f"fewer than {_FEWEST_UNITS} to take a mean of"] * len(independent)
        return found if compared else None


def _mean(values: list[float], deep: bool) -> Estimate:
    """The interval of the mean of independent values."""
    from scipy.stats import t as student_t

    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(student_t.ppf(_CONFIDENCE, len(values) - 1)) * error
    return Estimate(float(np.mean(values)) - reach, float(np.mean(values)) + reach, deep=deep)


def _log_ratio(run: TrainedRun, seed: SeedRecords, others: list[TrainedRun]) -> float | str:
    """The log ratio of effective numbers at the same loss, the same seed under another norm."""
    layer = min(run.trained_degrees)
    twin = next((twin for other in others for twin in other.reached if twin.seed == seed.seed), None)
    if twin is None:
        return "no such seed under another norm"
    depth = min(seed.depth[-1], twin.depth[-1])
    if depth < 0.9 * max(seed.depth[-1], twin.depth[-1]):
        return f"norms compared at {depth:.3g} nats, where one of them stopped"
    return _log_effective(seed, layer, depth) - _log_effective(twin, layer, depth)


def _log_effective(seed: SeedRecords, layer: int, depth: float) -> float:
    norms = seed.norms[:, seed.layers == layer]
    effective = np.square(norms.sum(axis=1)) / np.square(norms).sum(axis=1)
    return float(np.interp(depth, seed.depth, np.log(effective)))
