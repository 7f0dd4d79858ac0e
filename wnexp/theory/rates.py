"""Claims on rates: of the loss and its constant, of the weight norm, of both losses, and the finite-time bound."""

from dataclasses import dataclass

import numpy as np

from wnexp.nn.law import rate_exponent
from wnexp.nn.losses import CrossEntropy, Exponential
from wnexp.theory import reference
from wnexp.theory.base import Claim, of_bound, of_exponent
from wnexp.theory.fits import exponent, limit
from wnexp.theory.hypothesis import Estimate, Evidence
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import SeedRecords

_UNDECIDED = "neurons still compete"
_DECIDED = 0.05  # how far a layer's sum of squared shares may be from that of equal shares, relative


@dataclass(frozen=True)
class Rate(Claim):
    """C6: the decay of the loss in time.

    `U = t L` obeys `dU/dtau = 1/S - U`, so `-log L - log t` is `log S` up to `1/tau`. With `a_u` the neurons' shares of
    the Euler sum `S = Q^2 sum_u a_u^2 / ||w_u||^(2/P_l)`, and the layer margin `tau / prod_l ||W_l||^k_l` converges, so

        S = const tau^(2 - 2/D) K,   K = sum_u a_u^2 / ||w_u||^(2/P_l) prod_l ||W_l||^(2 k_l/D),   D = sum_l P_l k_l.

    `K` is the competition of the neurons, `sum_u a_u^2` under EWN, a function of the shares and of the norms' ratios.
    It tends to a constant where the ratios do, so it takes no part in the exponent, but drifts for long, and is taken
    off as the neurons' records have it. C14 judges its value.
    """

    against = "degree"
    statement = "L = Theta(1/(t (log t)^p)), p = 2 - 2/sum_l P_l k_l: 2 at any depth for EWN, 2 - 2/D for none and SWN"
    measured_as = "slope of -log L - log t - log K against log log t"
    reason = "the next order beyond the fitted terms at 1e4 nats"
    allowance: float = 0.01

    def applies(self, run):
        return bool(run.laws) and run.has_time and not run.in_family

    def estimate(self, run, seed):
        curve = seed.depth - seed.steps["log_time"] - shortening(run, seed) - np.log(competition(run, seed))
        degrees = run.trained_degrees
        predicted = rate_exponent(list(run.laws.values()), [degrees[layer] for layer in run.laws])
        return of_exponent(exponent(seed, curve), predicted, seed.steady)


def competition(run: TrainedRun, seed: SeedRecords) -> np.ndarray:
    """`K (r,)`, see `Rate`."""
    degrees = run.trained_degrees
    effective = sum(law.power * degrees[layer] for layer, law in run.laws.items())
    total, log_scale = 0.0, 0.0
    for layer, law in run.laws.items():
        norms, shares = seed.norms[:, seed.layers == layer], seed.shares[:, seed.layers == layer]
        log_scale = log_scale + 2 * degrees[layer] / effective * np.log(np.linalg.norm(norms, axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            total = total + np.nansum(shares**2 / law.penalty(norms), axis=1)
    return total * np.exp(log_scale)


@dataclass(frozen=True)
class RateConstant(Claim):
    """C14: the constant of the rate, and with it the theory's power of `tau`, from the norms alone.

    With C2 and the relation of norm and gradient `S = Q^2 sum_l k_l^2 / Omega_l`, `Omega_l = sum_u ||w_u||^(2/P_l)`
    over the active neurons of the layer (EWN: the number of those that survive), `Q = tau` up to a constant.
    """

    statement = "t L -> 1/(tau^2 sum_l k_l^2/Omega_l), Omega_l = sum_u ||w_u||^(2/P), EWN: how many neurons survive"
    measured_as = "limit of the log of their ratio (nats)"
    reason = "2 % of the time"
    allowance: float = 0.02

    def applies(self, run):
        return bool(run.laws) and run.has_time and run.config.optimizer.full_batch

    def estimate(self, run, seed):
        total = np.zeros(len(seed.depth))
        for layer, law in run.laws.items():
            k, own = run.trained_degrees[layer], seed.layers == layer
            if not np.isinf(law.power):
                total += k**2 / law.penalty(seed.norms[:, own & seed.active]).sum(axis=1)
            elif count := _survivors(seed, layer, k):
                total += k**2 / count
            else:
                return _UNDECIDED
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = seed.steps["log_time"] - seed.depth + 2 * np.log(seed.depth) + np.log(total)
        ratio += shortening(run, seed)
        return self.of_limit(seed, limit(seed.depth, ratio, signed=True), seed.steady and seed.settled)


def shortening(run: TrainedRun, seed: SeedRecords) -> np.ndarray:
    """What the length of steps takes off the log of the time (nats), `(r,)`.

    Descent by `d` nats a step adds up `d/(L S)` where flow has `int e^s ds/(L S) = (e^d - 1)/(L S)`: its time is
    shorter by `log((e^d - 1)/d)`, with `d` as recorded.
    """
    if run.is_flow or not run.config.optimizer.full_batch:  # of an epoch's many steps none is recorded
        return np.zeros(len(seed.depth))
    nats = np.gradient(seed.depth, seed.steps["step"].astype(float))
    length = np.where(np.abs(nats) > 1e-6, np.abs(nats), 1.0)
    of_length = np.maximum(nats, 0) + np.log(-np.expm1(-length) / length)  # log((e^d - 1)/d) for either sign of d
    return np.where(np.abs(nats) > 1e-6, of_length, nats / 2)


def _survivors(seed: SeedRecords, layer: int, k: int) -> int:
    """The number `m` of neurons that share the Euler sum `k` of an EWN layer in the end; 0 where they still compete.

    Those with half of the largest share and more, where `sum_u a_u^2` is within 5 % of `k^2/m`.
    """
    shares = seed.shares[-1, seed.layers == layer]
    count = int((shares >= shares.max() / 2).sum())
    return count if abs(np.square(shares).sum() / (k**2 / count) - 1) <= _DECIDED else 0


@dataclass(frozen=True)
class Growth(Claim):
    """C7: the growth of the weight norm in time.

    Under EWN `d log||w_u||/d log tau = a_u/K`, so the prediction counts the neurons that survive.
    """

    statement = "||w|| grows as (log t)^(1/D); EWN: max_l(k_l/m_l) / sum_l(k_l^2/m_l), m_l active neurons in layer l"
    measured_as = "slope of log||w|| against log log t"
    reason = "the next order beyond the fitted terms at 1e4 nats; EWN: the shares' distance from equal ones"
    allowance: float = 0.01
    allowance_of_limit_law: float = 0.02

    def applies(self, run):
        return run.law is not None and run.law.power in (1, np.inf) and run.has_time

    def tolerance(self, run):
        return self.allowance_of_limit_law if run.has_limit_law else self.allowance

    def estimate(self, run, seed):
        degrees = run.trained_degrees
        predicted = _limit_growth(degrees, seed) if run.has_limit_law else 1 / sum(degrees.values())
        if isinstance(predicted, str):
            return predicted
        return of_exponent(exponent(seed, np.log(seed.steps["weight_norm"])), predicted, seed.settled)


def _limit_growth(degrees: dict[int, int], seed: SeedRecords) -> float | str:
    counts = {layer: _survivors(seed, layer, k) for layer, k in degrees.items()}
    if not all(counts.values()):
        return _UNDECIDED
    return max(k / counts[layer] for layer, k in degrees.items()) / sum(
        k**2 / counts[layer] for layer, k in degrees.items()
    )


@dataclass(frozen=True)
class FiniteTimeBound(Claim):
    """C11: the finite-time bound of EWN flow under the summed exponential loss.

    `-dL/dt >= sum_u (w_u.G_u)^2 >= sum_l (k_l L tau)^2/m_l` over the EWN layers (Cauchy-Schwarz, Euler).
    """

    statement = (
        "t - t_0 <= (1/kappa) int dr/(log r)^2 from x_0 to x = 1/L, kappa = sum_l k_l^2/m_l, m_l neurons in layer l"
    )
    measured_as = "largest excess of log(t - t_0) over the log of the bound (nats)"
    reason = "rounding"
    one_sided = True
    allowance: float = 1e-9

    def applies(self, run):
        loss = run.config.loss
        return run.has_limit_law and run.is_flow and isinstance(loss, Exponential) and loss.reduction == "sum"

    def estimate(self, run, seed):
        layers = [layer for layer, law in run.laws.items() if np.isinf(law.power)]
        kappa = sum(run.trained_degrees[layer] ** 2 / run.units(layer) for layer in layers)
        excess = reference.excess_time(seed, kappa)
        return of_bound(excess) if np.isfinite(excess) else "fewer than 2 records beyond 1 nat"


@dataclass(frozen=True)
class AllLosses(Claim):
    """C12: both margin losses have the same exponents."""

    statement = "exponential and logistic loss have the same exponents"
    measured_as = "difference of the two p of C6"
    reason = "twice that of C6"
    allowance: float = 0.02

    def applies(self, run):
        return bool(run.laws) and run.has_time and isinstance(run.config.loss, Exponential)

    def evidence(self, group, runs):
        found, twins = Evidence(), False
        for run in group:
            for other in run.partners(runs, "loss.name"):
                if isinstance(other.config.loss, CrossEntropy):
                    twins = True
                    _compare(found, run, other)
        return found if twins else None


def _compare(found: Evidence, run: TrainedRun, other: TrainedRun) -> None:
    theirs = {seed.seed: seed for seed in other.seeds}
    for seed in run.seeds:
        twin = theirs.get(seed.seed)
        why = "no such seed under the other loss" if twin is None else run.silent(seed) or other.silent(twin)
        if twin is None or why is not None:
            found.add(why or "")
            continue
        one, two = Rate().estimate(run, seed), Rate().estimate(other, twin)
        if isinstance(one, str) or isinstance(two, str):
            found.add(one if isinstance(one, str) else str(two))
        else:
            found.add(Estimate(one.low - two.high, one.high - two.low, deep=one.deep and two.deep))
