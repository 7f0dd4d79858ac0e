"""Claims on gradient flow itself: its path, the smoothed margin, what it conserves."""

from dataclasses import dataclass

import numpy as np

from wnexp.nn.losses import MarginLoss
from wnexp.theory import reference
from wnexp.theory.base import Claim
from wnexp.theory.fits import judge_bound
from wnexp.theory.runs import SeedRecords, TrainedRun


@dataclass(frozen=True)
class _OfFlow(Claim):
    """Claims held to the solver's tolerance."""

    reason = "a hundred times the solver's tolerance"
    allowance: float = 1e-6

    def applies(self, run):
        return run.law is not None and run.is_flow


@dataclass(frozen=True)
class SameFlow(_OfFlow):
    """C1: one flow in two sets of variables."""

    statement = "the flow in (scale, v) follows the path of the effective weights under the norm's metric"
    measured_as = "largest relative distance at equal loss"

    def applies(self, run):
        return super().applies(run) and run.law.normalizes and run.config.optimizer.steps_on_weights

    def measure(self, run, runs, tolerance):
        twins = run.partners(runs, "optimizer.variables", to_same_depth=False)
        distances = reference.path_distances(run, twins[0]) if twins else []
        return judge_bound(distances, tolerance) if distances else None


@dataclass(frozen=True)
class MonotoneMargin(_OfFlow):
    """C8: the smoothed margin of unnormalized flow."""

    statement = "the smoothed normalized margin never decreases once the data are separated"
    measured_as = "largest relative drop between records"

    def applies(self, run):
        return super().applies(run) and not run.law.normalizes and isinstance(run.config.loss, MarginLoss)

    def measure(self, run, runs, tolerance):
        drops = []
        for seed in run.reached:
            margins = seed.steps["smoothed_margin"][(seed.steps["margin"] > 0) & (seed.depth > 0)]
            if len(margins) > 1:
                drops.append(float(np.max((np.maximum.accumulate(margins) - margins) / margins)))
        return judge_bound(drops, tolerance) if drops else None


@dataclass(frozen=True)
class Conserved(_OfFlow):
    """C10: what flow conserves between layers."""

    statement = "S_l/k_l - S_m/k_m is conserved, S_l = sum_u ||w_u||^2 (EWN: sum_u log||w_u||)"
    measured_as = "largest drift over the largest S_l/k_l"

    def applies(self, run):
        layers = run.network.layers
        trained_all = all(run.network.trained) and not any(layer.bias for layer in layers)
        return super().applies(run) and trained_all and len(layers) > 1

    def measure(self, run, runs, tolerance):
        return judge_bound([_drift(run, seed) for seed in run.reached], tolerance)


def _drift(run: TrainedRun, seed: SeedRecords) -> float:
    assert run.law is not None
    sizes = run.law.sizes(seed.norms)
    sums = np.stack([sizes[:, seed.layers == layer].sum(axis=1) / k for layer, k in run.trained_degrees.items()])
    differences = sums[1:] - sums[:1]
    return float(np.max(np.abs(differences - differences[:, :1])) / np.max(np.abs(sums)))
