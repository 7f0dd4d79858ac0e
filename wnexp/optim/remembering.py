"""What some transformed rules have: a memory of one gradient or the other, a first moment, a step on `L`."""

from dataclasses import dataclass

import jax.numpy as jnp

from wnexp.optim.descent import LossBased
from wnexp.optim.transformed import Transformed
from wnexp.settings import setting


@dataclass(frozen=True)
class WithMemory(Transformed):
    """The choice of what is remembered."""

    memory: str = setting(
        "loss", "what is remembered: loss: grad L; log_loss: grad log L", choices=("loss", "log_loss")
    )

    @property
    def remembers_loss(self):
        return self.memory == "loss"

    @property
    def varied(self):
        return True


@dataclass(frozen=True)
class Remembering(WithMemory):
    """The settings of a first moment."""

    b1: float = setting(0.9, "decay of the first moment", least=0, below=1, traced=True)

    @property
    def may_point_uphill(self):
        return True

    def hyperparameters(self):
        return super().hyperparameters() | {"b1": self.b1}

    def slack(self, hyperparameters):
        return -jnp.log(hyperparameters["b1"])


@dataclass(frozen=True)
class LossScaled(LossBased, Transformed):
    """Rules whose direction is a step on `L`: `lr Lref^(1/frac - 1)`, accept/reject; or constant by `accept=any`."""

    accept: str = setting(
        "lower",
        "lower: the loss-based step, refused where the loss is higher; any: a step of lr on L, always taken",
        choices=("any", "lower"),
    )
    reference: str = setting(
        "previous",
        "Lref is the loss one accepted step earlier (the paper), or where the step starts",
        choices=("previous", "present"),
    )

    def check(self, network, norm, precision):
        super(LossBased, self).check(network, norm, precision)  # a first step may be shorter by the schedule

    def hyperparameters(self):
        return super(LossBased, self).hyperparameters() | LossBased.hyperparameters(self)

    @property
    def descends(self):
        return self.accept == "lower"

    @property
    def is_scale_free(self):
        return False

    def _log_reference(self, now):
        return now.log_loss if self.reference == "present" else now.memory.log_reference

    def _log_factor(self, hyperparameters, log_reference):
        """The log of what a step on `L` is multiplied by: the loss-based rule's power of `Lref`, or 1."""
        return hyperparameters["exponent"] * log_reference if self.accept == "lower" else 0.0

    def log_scale(self, hyperparameters, log_reference, frame, log_loss):
        return self._log_factor(hyperparameters, log_reference) + (frame if self.remembers_loss else log_loss)
