"""Claims on the family between SWN and EWN, `w_u = (1 + alpha_u/P)^P vhat_u` with other `P` than 1 and infinity.

What they say of a run follows from the `Law` of its layers; C1, C2 and C10 to C14 are about the family as they stand.
"""

from dataclasses import dataclass

import numpy as np

from wnexp.theory.base import Claim, active_spread, of_exponent
from wnexp.theory.fits import exponent, limit
from wnexp.theory.rates import Rate
from wnexp.theory.relations import Sparsity


@dataclass(frozen=True)
class RateOfPower(Rate):
    """P1: C6, as the power decides it."""

    against = "effective_degree"
    statement = "L = Theta(1/(t (log t)^p)), p = 2 - 2/sum_l P_l k_l"

    def applies(self, run):
        return run.in_family and run.has_time


@dataclass(frozen=True)
class Relation(Claim):
    """P2: C3 and C4 for any power: slope +1 at `P = 1`, 0 at 2, -1 in the limit."""

    statement = "||grad_u L|| becomes proportional to ||w_u||^(2/P - 1) over the active neurons of a layer"
    measured_as = "limit of the largest spread of log||grad_u L|| - (2/P - 1) log||w_u|| (nats)"
    reason = "5 % of the quotient; a neuron that stands still to 2 % is active"
    allowance: float = 0.05

    def applies(self, run):
        return run.in_family

    def estimate(self, run, seed):
        slopes = np.array([run.laws[layer].slope for layer in seed.layers])
        with np.errstate(divide="ignore"):
            quotients = seed.log_gradients - slopes * np.log(seed.norms)
        spread = active_spread(seed, quotients, seed.layers, np.ones(len(slopes), bool))
        if spread is None:
            return "no two active neurons to compare"
        return self.of_limit(seed, limit(seed.depth, spread), seed.settled)


@dataclass(frozen=True)
class KktOfPower(Claim):
    """P3: the direction, where all layers have one power.

    `sum_u ||w_u||^(2/P)` has the gradient `||w_u||^(2/P - 2) w_u`, up to a factor; at a stationary point `-grad L` is
    parallel to it as a whole, layers included, which alignment and P2 say neuron by neuron.
    """

    statement = "the direction tends to a KKT point of min sum_u ||w_u||^(2/P) s.t. s_i >= 1"
    measured_as = "limit of 1 - cos(-grad L, ||w_u||^(2/P - 2) w_u) over the active neurons"
    reason = "an angle of 4.4 degrees"
    most = 2.0
    allowance: float = 0.003

    def applies(self, run):
        return run.in_family and run.law is not None

    def estimate(self, run, seed):
        normals = seed.norms[:, seed.active] ** next(iter(run.laws.values())).slope
        gradients, cosines = seed.gradients[:, seed.active], seed.cosines[:, seed.active]
        product = np.sum(normals * gradients * cosines, axis=1)
        sizes = np.linalg.norm(normals, axis=1) * np.linalg.norm(gradients, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.of_limit(seed, limit(seed.depth, np.maximum(0, 1 - product / sizes)), seed.settled)


@dataclass(frozen=True)
class GrowthOfPower(Claim):
    """P4: C7 for a finite power.

    Flow conserves the differences of `(P_l/2) sum_u ||w_u||^(2/P_l) / k_l`, so `||W_l||` grows as the power `P_l` of
    one number, and the margin as its power `sum_l P_l k_l`.
    """

    statement = "||w|| grows as (log t)^(max_l P_l / sum_l P_l k_l): (log t)^(1/D) where all layers have one power"
    measured_as = "slope of log||w|| against log log t"
    reason = "the next order beyond the fitted terms at 1e4 nats"
    allowance: float = 0.01

    def applies(self, run):
        return run.in_family and run.has_time and not run.has_limit_law

    def estimate(self, run, seed):
        powers = {layer: law.power for layer, law in run.laws.items()}
        predicted = max(powers.values()) / sum(powers[layer] * k for layer, k in run.trained_degrees.items())
        return of_exponent(exponent(seed, np.log(seed.steps["weight_norm"])), predicted, seed.settled)


@dataclass(frozen=True)
class SparsityOfPower(Sparsity):
    """P5: C5 along the family: beyond SWN against SWN and before.

    Not of any two powers: `P > 1` leaves a linear net one neuron, whatever it is, and how far the others have fallen
    behind at a given depth is no function of it beyond 2.
    """

    statement = "P > 1 concentrates the norm of the first layer on fewer neurons than P of 1 and less"
    measured_as = "log of the ratio of effective numbers of neurons at equal loss, over those of P of 1 and less"
    key = "norm.power"

    def applies(self, run):
        first = min(run.trained_degrees)
        return run.in_family and run.laws[first].power > 1 and self.is_of_several(run)

    def is_rival(self, run, other):
        return other.laws[min(run.trained_degrees)].power <= 1
