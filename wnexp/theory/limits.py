"""Claims on where the direction ends up: KKT points, the hard-margin separator."""

import math
from dataclasses import dataclass

import numpy as np

from wnexp.nn.losses import MarginLoss
from wnexp.theory import reference
from wnexp.theory.base import Claim
from wnexp.theory.fits import limit

_FEWEST_SNAPSHOTS = 5


@dataclass(frozen=True)
class _OfFiniteP(Claim):
    """Claims for a penalty `sum_u ||w_u||^2`: none and SWN."""

    def applies(self, run):
        squares = bool(run.laws) and all(law.power == 1 for law in run.laws.values())
        return squares and isinstance(run.config.loss, MarginLoss)


@dataclass(frozen=True)
class KktPoint(_OfFiniteP):
    """C9: the whole direction, where the penalty is the squared norm.

    Without normalization what the weights had across the limit direction at the start stays, so `epsilon` falls as
    `1/||w|| ~ tau^(-1/D)`; `delta` falls as `1/tau`.
    """

    statement = "the direction tends to a KKT point of min 0.5||w||^2 s.t. s_i >= 1"
    measured_as = "limit of the larger residual of (epsilon, delta)"
    reason = "epsilon is of the order of an angle: 3 degrees"
    allowance: float = 0.05

    def estimate(self, run, seed):
        residual = np.maximum(seed.steps["kkt_epsilon"], seed.steps["kkt_delta"])
        return self.of_limit(seed, limit(seed.depth, residual), seed.settled)


@dataclass(frozen=True)
class HardMargin(_OfFiniteP):
    """SVM: the direction of a linear network, at its snapshots.

    Within the span of the support vectors the margins solve `s_i = tau - log p_i` with constant shares `p_i`, so the
    angle falls as `1/tau`. Across that span the gradient vanishes: without normalization the first layer keeps what it
    had there at the start while its norm grows as `tau^(1/D)`, so where the support vectors do not span the space the
    angle falls as `tau^(-1/D)` only. Under SWN the direction of a neuron forgets it as `exp(-||w_u||^2/2)`.
    """

    statement = "a linear network of any depth tends to the hard-margin separator"
    measured_as = "limit of the angle to the hard-margin SVM's normal (radians)"
    reason = "half a degree"
    most = math.pi
    allowance: float = 0.01

    def applies(self, run):
        return super().applies(run) and reference.is_linear(run)

    def estimate(self, run, seed):
        depth, angles, _ = reference.to_hard_margin(run, seed.seed)
        return self.of_limit(seed, limit(depth, angles, fewest=_FEWEST_SNAPSHOTS), seed.steady)


@dataclass(frozen=True)
class LargestMargin(HardMargin):
    """SVM margin: that direction's margin. Its gap falls as `1/tau`, or as the angle's square."""

    statement = "and its margin to the largest one there is"
    measured_as = "limit of the gap to the hard-margin SVM's margin, relative"
    reason = "0.2 %"
    most = math.inf
    allowance: float = 0.002

    def estimate(self, run, seed):
        depth, _, gaps = reference.to_hard_margin(run, seed.seed)
        return self.of_limit(seed, limit(depth, gaps, fewest=_FEWEST_SNAPSHOTS), seed.steady)
