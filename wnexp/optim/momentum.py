"""Momentum: the gradient's trace as a step on `L`, and dual acceleration, a trace of `grad log L`.

    momentum:  m' = b1 m + grad L,   theta' = theta - eta m'                     (Polyak)
    nesterov:  m' = b1 m + grad L,   theta' = theta - eta (grad L + b1 m')       (as practised)

The limits are those of gradient descent (Wang et al., arXiv 2110.03891). With `eta ~ 1/L` older, larger gradients are
divided by a newer, smaller loss: beyond `|log b1|` nats a step every step is longer than the one before by what the
speed exceeds it, and on data where long steps still lower the loss accept/reject does not stop that. So `Lref` is by
default no lower than what the memory has faded to, `e^s`. Beyond that speed the trace is then a direction that stands
still, and the run coasts along it at the length of step that it had: no longer faster at every step in the weights, but
deep nets and EWN still gain nats with every one. Small first steps and a cap keep the speed below, where the limit is
the theory's; `accept=any` is a constant step on `L`.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import optax

from wnexp.optim.moments import accelerated_trace
from wnexp.optim.remembering import LossScaled, Remembering
from wnexp.optim.transformed import Transformed
from wnexp.settings import setting


@dataclass(frozen=True)
class Momentum(LossScaled, Remembering):
    """A trace of gradients as a step on the loss."""

    reference: str = setting(
        "memory",
        "Lref is the loss one accepted step earlier, where the step starts, or the former but no lower than the fading "
        "memory",
        choices=("memory", "previous", "present"),
    )
    nesterov: bool = False

    def log_scale(self, hyperparameters, log_reference, frame, log_loss):
        fades = self.remembers_loss and self.reference == "memory"
        lowest = jnp.maximum(log_reference, frame) if fades else log_reference
        return super().log_scale(hyperparameters, lowest, frame, log_loss)

    def transformation(self, numbers):
        return optax.trace(numbers["b1"], self.nesterov)


@dataclass(frozen=True)
class DualAcceleration(Transformed):
    """Constant steps along an accelerated trace of `grad log L`: on linear models a margin gap of `1/t^2`."""

    step_size: float = setting(1.0, "the step, called lr; 1 for inputs of norm at most 1", above=0, traced=True)

    @property
    def remembers_loss(self):
        return False

    @property
    def varied(self):
        return True

    @property
    def gap_power(self):
        return 2.0

    @property
    def is_scale_free(self):
        return False

    def transformation(self, numbers):
        return accelerated_trace()
