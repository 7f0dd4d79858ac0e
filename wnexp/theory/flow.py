"""Claims on gradient flow itself: its path, its metric, the smoothed margin, what it conserves."""

from dataclasses import dataclass

import numpy as np

from wnexp.nn.losses import MarginLoss
from wnexp.theory import reference
from wnexp.theory.base import Claim, of_bound
from wnexp.theory.hypothesis import Estimate, Evidence
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import SeedRecords

_BLURRED = 1e-5  # what the rounding of a cosine may do to a neuron's part of the speed, relative
_RESOLVED = 1000.0  # how far a conserved sum may have outgrown its start, for the solver to resolve it


@dataclass(frozen=True)
class _OfFlow(Claim):
    """Claims held to the solver's tolerance."""

    reason = "a hundred times the solver's tolerance"
    one_sided = True
    allowance: float = 1e-6

    def applies(self, run):
        return bool(run.laws) and run.is_flow

    def tolerance(self, run):
        return self.allowance * max(1.0, run.config.optimizer.tolerance / 1e-8)


@dataclass(frozen=True)
class SameFlow(_OfFlow):
    """C1: one flow in two sets of variables."""

    statement = "the flow in (scale, v) follows the path of the effective weights under the norm's metric"
    measured_as = "largest relative distance at equal loss"
    reason = "a thousand times the solver's tolerance: its errors grow where neurons part"
    allowance: float = 1e-5

    def applies(self, run):
        normalizes = any(law.normalizes for law in run.laws.values())
        return super().applies(run) and normalizes and run.config.optimizer.steps_on_weights

    def evidence(self, group, runs):
        found = Evidence()
        for run in group:
            for twin in run.partners(runs, "optimizer.variables", to_same_depth=False)[:1]:
                distances = reference.path_distances(run, twin)
                found.add(of_bound(max(distances)) if distances else "no snapshot in common")
        return found if found.estimates or found.left_out else None


@dataclass(frozen=True)
class LawOfNorm(Claim):
    """C13: what the records say of the metric, neuron by neuron, and of the time.

    With `S = sum_u (R_u cos^2 + T_u sin^2) ||g_u||^2`, `g = grad log L`, `R_u` and `T_u` the radial and tangential
    rates of the norm: `d log||w_u||/dtau = R_u ||g_u|| cos_u / (||w_u|| S)`, and `U = t L` obeys `dU/dtau = 1/S - U`.
    The first is integrated between records, the second solved to third order in `1/tau`. No other claim tells the norms
    apart without a twin run.
    """

    statement = "neurons grow by the radial rate of their norm, and time passes by its metric"
    measured_as = "largest deviation of log||w_u|| or of log t from its integral (nats)"
    reason = "interpolation between records; another norm's metric is off by 0.05 and more"
    allowance: float = 0.005

    def applies(self, run):
        layers = run.network.layers
        plain = not any(norm.starts_as_weights for norm in run.config.norm.by_layer(len(layers)))
        return bool(run.laws) and run.is_flow and plain and not any(layer.bias for layer in layers)

    def estimate(self, run, seed):
        rates = [law_rates(run, layer, seed.norms[:, seed.layers == layer]) for layer in run.laws]
        radial, tangential = (np.concatenate([pair[index] for pair in rates], axis=1) for index in (0, 1))
        with np.errstate(divide="ignore"):
            if np.nanmax(tangential[:, seed.active] / radial[:, seed.active]) * np.finfo(float).eps > _BLURRED:
                return "its cosines are not recorded to what the tangential rate multiplies"
        growth = reference.excess_growth(seed, radial, tangential)
        time = reference.excess_log_time(seed, radial, tangential)
        if isinstance(growth, str) or isinstance(time, str):
            return growth if isinstance(growth, str) else str(time)
        return Estimate(max(growth.low, time.low), max(growth.high, time.high))


def law_rates(run: TrainedRun, layer: int, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The radial and the tangential rates of a layer's neurons, `(r, neurons)` each."""
    law, norm = run.laws[layer], run.config.norm.by_layer(len(run.network.layers))[layer]
    length = norm.v_norm if law.normalizes else 1.0
    return law.radial_rate(norms), law.tangential_rate(norms) / length**2


@dataclass(frozen=True)
class MonotoneMargin(_OfFlow):
    """C8: the smoothed margin of unnormalized flow."""

    statement = "the smoothed normalized margin never decreases once the data are separated"
    measured_as = "largest relative drop between records"

    def applies(self, run):
        normalizes = any(law.normalizes for law in run.laws.values())
        return super().applies(run) and not normalizes and isinstance(run.config.loss, MarginLoss)

    def estimate(self, run, seed):
        margins = seed.steps["smoothed_margin"][(seed.steps["margin"] > 0) & (seed.depth > 0)]
        if len(margins) < 2:
            return "fewer than 2 records after the data are separated"
        return of_bound(float(np.max((np.maximum.accumulate(margins) - margins) / margins)))


@dataclass(frozen=True)
class Conserved(_OfFlow):
    """C10: what flow conserves between layers.

    Judged as long as the sums are less than a thousand times what they were at the start: beyond, the solver's relative
    error is no longer small against the conserved difference.
    """

    statement = "S_l/k_l - S_m/k_m is conserved, S_l = sum_u (P/2)(||w_u||^(2/P) - 1), EWN: sum_u log||w_u||"
    measured_as = "largest drift over the largest sum of |S_u|/k_l"

    def applies(self, run):
        layers = run.network.layers
        trained_all = all(run.network.trained) and not any(layer.bias for layer in layers)
        return super().applies(run) and trained_all and len(layers) > 1

    def estimate(self, run, seed):
        return of_bound(_drift(run, seed))


def _drift(run: TrainedRun, seed: SeedRecords) -> float:
    sizes = [law.conserved(seed.norms[:, seed.layers == layer]) for layer, law in run.laws.items()]
    degrees = list(run.trained_degrees.values())
    sums = np.stack([size.sum(axis=1) / k for size, k in zip(sizes, degrees, strict=True)])
    units = np.max([np.abs(size).sum(axis=1) / k for size, k in zip(sizes, degrees, strict=True)], axis=0)
    judged = np.maximum.accumulate(units) <= _RESOLVED * units[0]
    differences = sums[1:] - sums[:1]
    return float(np.max(np.abs(differences - differences[:, :1])[:, judged] / np.maximum.accumulate(units)[judged]))
