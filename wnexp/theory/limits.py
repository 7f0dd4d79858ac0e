"""Claims on where the direction ends up: KKT points, the hard-margin separator."""

from dataclasses import dataclass

import numpy as np

from wnexp.nn.losses import MarginLoss
from wnexp.theory import reference
from wnexp.theory.base import Claim, limit
from wnexp.theory.fits import judge_bound


@dataclass(frozen=True)
class _OfFiniteP(Claim):
    """Claims for a penalty `sum_u ||w_u||^2`: none and SWN."""

    def applies(self, run):
        return run.law is not None and run.law.power == 1 and isinstance(run.config.loss, MarginLoss)


@dataclass(frozen=True)
class KktPoint(_OfFiniteP):
    """C9: the whole direction, where the penalty is the squared norm."""

    statement = "the direction tends to a KKT point of min 0.5||w||^2 s.t. s_i >= 1"
    measured_as = "the larger residual of (epsilon, delta)"
    reason = "epsilon is of the order of an angle: 3 degrees"
    allowance: float = 0.05

    def measure(self, run, runs, tolerance):
        curves = [np.maximum(seed.steps["kkt_epsilon"], seed.steps["kkt_delta"]) for seed in run.reached]
        return limit(run, curves, tolerance)


@dataclass(frozen=True)
class HardMargin(_OfFiniteP):
    """SVM: the direction of a linear network."""

    statement = "a linear network of any depth tends to the hard-margin separator"
    measured_as = "angle to the hard-margin SVM's normal (radians)"
    reason = "the angle falls like 1/tau, by a number of the data's size"
    allowance: float = 10.0  # over the depth in nats

    def applies(self, run):
        return super().applies(run) and reference.is_linear(run)

    def tolerance(self, run):
        return self.allowance / run.depth

    def measure(self, run, runs, tolerance):
        angles, _ = reference.to_hard_margin(run)
        return judge_bound(angles, tolerance) if angles else None


@dataclass(frozen=True)
class LargestMargin(HardMargin):
    """SVM margin: that direction's margin."""

    statement = "and its margin to the largest one there is"
    measured_as = "gap to the hard-margin SVM's margin, relative"
    reason = "as for the angle"

    def measure(self, run, runs, tolerance):
        _, gaps = reference.to_hard_margin(run)
        return judge_bound(gaps, tolerance) if gaps else None
