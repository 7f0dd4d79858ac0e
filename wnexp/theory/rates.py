"""Claims on rates: of the loss, of the weight norm, of both losses, and the finite-time bound."""

from dataclasses import dataclass

import numpy as np

from wnexp.nn.losses import CrossEntropy, Exponential
from wnexp.theory import reference
from wnexp.theory.base import Claim
from wnexp.theory.fits import FAILS, HOLDS, NOT_REACHED, Measurement, judge_bound, judge_exponent
from wnexp.theory.runs import SeedRecords, TrainedRun


@dataclass(frozen=True)
class _Exponent(Claim):
    """Claims whose next order is larger under EWN."""

    allowance: float = 0.005
    allowance_of_limit_law: float = 0.02

    def tolerance(self, run):
        return self.allowance_of_limit_law if run.has_limit_law else self.allowance


def _competition(run: TrainedRun, seed: SeedRecords) -> np.ndarray:
    """`K = sum_u a_u^2` at every record."""
    degrees = np.array([run.trained_degrees[layer] for layer in seed.layers])
    return np.sum(np.square(seed.shares() * degrees), axis=1)


@dataclass(frozen=True)
class Rate(_Exponent):
    """C6: the decay of the loss in time."""

    against_degree = True
    statement = "L = Theta(1/(t (log t)^p)), p = 2 at any depth for EWN, 2 - 2/D for none and SWN"
    measured_as = "slope of -log L - log t (EWN: - log K) against log log t"
    reason = "the next order beyond the fitted terms at 1e4 nats"

    def applies(self, run):
        return run.law is not None and run.has_time

    def measure(self, run, runs, tolerance):
        curves = []
        for seed in run.reached:
            curve = seed.depth - seed.steps["log_time"]
            curves.append(curve - np.log(_competition(run, seed)) if run.has_limit_law else curve)
        assert run.law is not None
        predicted = run.law.exponent(sum(run.trained_degrees.values()))
        return judge_exponent(run.reached, curves, predicted, tolerance)


@dataclass(frozen=True)
class Growth(_Exponent):
    """C7: the growth of the weight norm in time."""

    statement = "||w|| grows as (log t)^(1/D); EWN: max_l(k_l/m_l) / sum_l(k_l^2/m_l), m_l active neurons in layer l"
    measured_as = "slope of log||w|| against log log t"
    reason = "as for C6"

    def applies(self, run):
        return run.law is not None and run.has_time

    def measure(self, run, runs, tolerance):
        seeds = [seed for seed in run.reached if not run.has_limit_law or run.settled(seed)]
        powers = [max(run.powers(seed).values()) for seed in seeds] or [1 / sum(run.trained_degrees.values())]
        curves = [np.log(seed.steps["weight_norm"]) for seed in seeds]
        return judge_exponent(seeds, curves, float(np.mean(powers)), tolerance)


@dataclass(frozen=True)
class FiniteTimeBound(Claim):
    """C11: the finite-time bound of EWN flow under the summed exponential loss."""

    statement = (
        "t - t_0 <= (1/kappa) int dr/(log r)^2 from x_0 to x = 1/L, kappa = sum_l k_l^2/m_l, m_l neurons in layer l"
    )
    measured_as = "largest excess of log(t - t_0) over the log of the bound (nats)"
    reason = "rounding"
    allowance: float = 1e-9

    def applies(self, run):
        loss = run.config.loss
        return run.has_limit_law and run.is_flow and isinstance(loss, Exponential) and loss.reduction == "sum"

    def measure(self, run, runs, tolerance):
        counts = {layer: run.network.layers[layer].shape[-1] for layer in run.trained_degrees}
        kappa = sum(k * k / counts[layer] for layer, k in run.trained_degrees.items())
        return judge_bound([max(0.0, reference.excess_time(seed, kappa)) for seed in run.reached], tolerance)


@dataclass(frozen=True)
class AllLosses(_Exponent):
    """C12: both margin losses have the same exponents."""

    statement = "exponential and logistic loss have the same exponents"
    measured_as = "difference of the two p of C6"
    reason = "as for C6"

    def applies(self, run):
        return run.law is not None and run.has_time and isinstance(run.config.loss, Exponential)

    def measure(self, run, runs, tolerance):
        twin = next((o for o in run.partners(runs, "loss.name") if isinstance(o.config.loss, CrossEntropy)), None)
        if twin is None:
            return None
        ours, theirs = (Rate().measure(one, runs, tolerance) for one in (run, twin))
        difference = abs(ours.measured - theirs.measured)
        uncertainty = ours.uncertainty + theirs.uncertainty
        unclear = not np.isfinite(difference) or (difference > tolerance and uncertainty > tolerance)
        verdict = NOT_REACHED if unclear else HOLDS if difference <= tolerance else FAILS
        needed = 10 * run.depth if unclear else np.nan
        return Measurement(predicted=0.0, measured=difference, uncertainty=uncertainty, verdict=verdict, needed=needed)
