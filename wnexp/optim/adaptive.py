"""Adaptive rules: every entry of the gradient over the root of its own second moment.

| rule        | direction                                     | limit on linear models                        |
|-------------|-----------------------------------------------|-----------------------------------------------|
| adam, adamw | `m / (sqrt(v) + eps)`, corrected for starts 0 | linf; l2 once the loss is far below `log_eps` |
| rmsprop     | `g / (sqrt(v) + eps)`                         | the same                                      |
| adagrad     | `g / sqrt(sum of g^2 + eps^2)`, a step on `L` | none of the geometries                        |

(Zhang et al., arXiv 2406.10650; Fan et al., arXiv 2502.04664, Theorem 2; Wang et al., arXiv 2012.06244; Qian and Qian,
arXiv 1906.03559.) `eps` is next to nothing relative to the loss unless `log_eps` gives an absolute one. The second
moment cannot fall faster than `|log b2|/2` nats an update, which caps the speed in the long run whatever the step.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from wnexp.optim.moments import root_of_sum, scale_by_adam, scale_by_rms
from wnexp.optim.remembering import LossScaled, Remembering, WithMemory
from wnexp.optim.transformed import Transformed
from wnexp.settings import setting


@dataclass(frozen=True)
class Eps(Transformed):
    """The setting of an absolute eps."""

    log_eps: float | None = setting(
        None,
        "log of an absolute eps, in nats of the gradient that is remembered",
        null="for next to nothing beside it",
        traced=True,
    )

    def hyperparameters(self):
        return super().hyperparameters() | {"log_eps": -math.inf if self.log_eps is None else self.log_eps}


@dataclass(frozen=True)
class RmsProp(Eps, WithMemory):
    """The gradient over the root of its second moment."""

    b2: float = setting(0.999, "decay of the second moment", least=0, below=1, traced=True)

    @property
    def geometry(self):
        return "linf" if self.log_eps is None else "l2"

    @property
    def speed_limit(self):
        """`|log b2|/2`: the second moment of `grad L` fades no faster, and every later step is shorter."""
        fades = self.remembers_loss and self.log_eps is None and self.accept == "any" and self.b2 > 0
        return -math.log(self.b2) / 2 if fades else None

    def waits(self, state):
        """After a loss that fell faster than the second moment, until that has faded to it."""
        return self.remembers_loss and state.memory.frame > state.log_loss

    def hyperparameters(self):
        return super().hyperparameters() | {"b2": self.b2}

    @property
    def is_scale_free(self):
        return self.log_eps is None

    def slack(self, hyperparameters):
        return -jnp.log(hyperparameters["b2"]) / 2

    def transformation(self, numbers):
        return scale_by_rms(numbers["b2"], numbers["eps"])


@dataclass(frozen=True)
class Adam(RmsProp, Remembering):
    """The running average of the gradient over the root of its second moment."""

    @property
    def speed_limit(self):
        """None where the first moment outlives the root of the second, or fades alike."""
        return super().speed_limit if self.b1 < math.sqrt(self.b2) else None

    def slack(self, hyperparameters):
        return jnp.minimum(super().slack(hyperparameters), -jnp.log(hyperparameters["b1"]))

    def transformation(self, numbers):
        return scale_by_adam(numbers["b1"], numbers["b2"], numbers["eps"])


@dataclass(frozen=True)
class AdaGrad(LossScaled, Eps):
    """The gradient over the root of the sum of all squares, entry by entry; the sum never fades.

    On a loss that falls the denominator stands still, so the direction is a fixed preconditioner's, which depends on
    the start and the step.
    """

    @property
    def geometry(self):
        return None

    def slack(self, hyperparameters):
        return 0.0

    def transformation(self, numbers):
        return root_of_sum()

    def direction(self, slope, share, state, numbers):
        """The present loss is left out of the direction, in units of the frame it is soon 0; `log_scale` has it."""
        root, state = super().direction(slope, share, state, numbers)
        return jax.tree.map(lambda g, r: g / jnp.hypot(r, numbers["eps"]), slope, root), state

    def log_scale(self, hyperparameters, log_reference, frame, log_loss):
        return self._log_factor(hyperparameters, log_reference) + (log_loss - frame)
