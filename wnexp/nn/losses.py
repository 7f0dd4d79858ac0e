"""The log of the training loss from outputs and labels: the one home of the loss numerics.

Notation (Lyu and Li, arXiv 1906.05890; Morwani and Ramaswamy, arXiv 2010.12909):

* margin `s_ij`: how far sample `i` prefers its own class to the class `j`. Two classes, labels
  -1/+1 and one output: `s_i = y_i Phi(x_i)`. More classes: `s_ij = Phi_{y_i}(x_i) - Phi_j(x_i)`.
* soft margin `z_i = -logsumexp_j(-s_ij)`; with two classes `z_i = s_i`.
* loss of a sample: exponential `exp(-z_i)`, cross-entropy `log(1 + exp(-z_i))` (the logistic loss
  when there are two classes).

The loss `L` itself is never formed: at -750 nats it underflows in float64. The interface is `log L` from outputs and
labels, and its gradient by autodiff. For a margin loss `log L = logsumexp_i lambda(z_i)`, `lambda(z) = log loss(z)`.

At -1,000,000 nats one rounding of `z_i` is 1e-10, which would be the relative error of every softmax
over samples. So `lambda(z_i)` is carried as a sum `high + low` of a part copied exactly from a margin
and a small correction; only differences of high parts, which are exact where they matter, are
exponentiated. The high parts are shifts that cancel, so gradients flow through the low parts alone.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float, Int, Real

from wnexp.settings import setting

# Beyond this soft margin log(log(1 + exp(-z))) = -z - exp(-z)/2 equals -z in float64 and float32.
_LOGISTIC_IS_EXPONENTIAL = 40.0


def margins(outputs: Float[Array, "n k"], labels: Int[Array, " n"]) -> Float[Array, "n c"]:
    """Margins `s_ij` of shape `(n, 1)` for one output, labels -1/+1, and `(n, k)` for `k` outputs, labels 0..k-1.

    With `k` outputs the entry of the own class is `+inf`: no constraint.
    """
    if outputs.shape[1] == 1:
        return outputs * labels[:, None].astype(outputs.dtype)
    own = labels[:, None] == jnp.arange(outputs.shape[1])
    own_output = jnp.sum(jnp.where(own, outputs, 0.0), axis=1, keepdims=True)
    return jnp.where(own, jnp.inf, own_output - outputs)


def soft_margins(s: Float[Array, "n c"]) -> Float[Array, " n"]:
    """Soft margins `z_i = -logsumexp_j(-s_ij)` of shape `(n,)`."""
    high, low = _soft_margin_parts(s)
    return high + low


def _soft_margin_parts(s):
    high = stop_gradient(jnp.min(s, axis=1))
    return high, -jnp.log(jnp.sum(jnp.exp(-(s - high[:, None])), axis=1))


Parts = tuple[Float[Array, " n"], Float[Array, " n"]]


@dataclass(frozen=True)
class Loss:
    """A loss of every sample, added up or averaged over the set; a row of `LOSSES`."""

    reduction: str = setting("sum", "over the samples", choices=("sum", "mean"))
    log_penalty: float | None = setting(None, "log of lambda in L + lambda R (nats)", null="for no penalty")
    penalty: str = setting(
        "weights",
        "R, the squared norm of the trained weights; or of parameters: scales in the place of normalized weights",
        choices=("weights", "parameters"),
    )
    exponential_tail: ClassVar[bool] = False

    @property
    def falls_exponentially(self) -> bool:
        """Whether it falls for ever, exponentially in the margins: what theory of largest margins is about."""
        return self.exponential_tail and self.log_penalty is None

    def penalized(self, log_loss: Float[Array, ""], square: Float[Array, ""], share: float) -> Float[Array, ""]:
        """`log(L + lambda R)` in nats, from `log L` of a batch that stands for a share of `L`, and from `R`."""
        assert self.log_penalty is not None
        log_square = jnp.log(jnp.maximum(square, jnp.finfo(square.dtype).tiny))  # an exact 0 has a gradient of 0
        return jnp.logaddexp(log_loss, self.log_penalty + math.log(share) + log_square)

    def log_losses(self, outputs: Float[Array, "n k"], labels: Real[Array, " n"]) -> Parts:
        """The log of every sample's loss (nats), as a sum of two parts `high, low` of shape `(n,)`.

        Gradients flow through `low` alone: `high` must not depend on the outputs but by `stop_gradient`.
        """
        raise TypeError(f"{type(self).__name__} has no log_losses")

    def log_loss(self, outputs: Float[Array, "n k"], labels: Real[Array, " n"]) -> Float[Array, ""]:
        """`log L` in nats, of the sum or the mean over the samples, from outputs `(n, k)` and labels `(n,)`."""
        return self._reduced(*self.log_losses(outputs, labels))

    def loss_shares(self, outputs: Float[Array, "n k"], labels: Real[Array, " n"]) -> Float[Array, " n"]:
        """The loss-share vector `l_i / ||l||_2`, shape `(n,)`, without forming any `l_i`."""
        return _shares(*self.log_losses(outputs, labels))

    def log_sum(self, log_loss: Float[Array, ""], samples: int) -> Float[Array, ""]:
        """The log of the summed loss of so many samples, from the log loss in the reduction."""
        return log_loss + (jnp.log(samples) if self.reduction == "mean" else 0.0)

    def share(self, batch: int, samples: int) -> float:
        """The part of `L` that the loss of a batch stands for: a mean for all of it, a sum for its samples' own."""
        return 1.0 if self.reduction == "mean" else batch / samples

    def _reduced(self, high, low):
        shift = stop_gradient(jnp.max(high + low))
        log_sum = shift + jnp.log(jnp.sum(jnp.exp((high - shift) + low)))
        return log_sum - math.log(high.shape[0]) if self.reduction == "mean" else log_sum


def _shares(high, low):
    relative = jnp.exp((high - jnp.max(high + low)) + low)
    return relative / jnp.linalg.norm(relative)


@dataclass(frozen=True)
class MarginLoss(Loss):
    """A loss of the soft margins alone; value and gradient exact to 1e-12 relative in float64 from -1e4 to 1e6."""

    exponential_tail: ClassVar[bool] = True

    def of_soft_margins(self, high: Float[Array, " n"], low: Float[Array, " n"]) -> Parts:
        """`lambda(high + low)` as a sum of two parts, the first one without gradient."""
        raise TypeError(f"{type(self).__name__} has no of_soft_margins")

    def inverse(self, log_sum: Float[Array, ""]) -> Float[Array, ""]:
        """`loss^{-1}(L)`: the soft margin at which one sample alone has the loss `L`, given `log L` of the sum.

        The numerator of Lyu and Li's smoothed normalized margin.
        """
        raise TypeError(f"{type(self).__name__} has no inverse")

    def log_losses(self, outputs, labels):
        return self.of_soft_margins(*_soft_margin_parts(margins(outputs, labels)))

    def log_loss_of_margins(self, s: Float[Array, "n c"]) -> Float[Array, ""]:
        """`log L` in nats from margins `(n, c)`."""
        return self._reduced(*self.of_soft_margins(*_soft_margin_parts(s)))


@dataclass(frozen=True)
class Exponential(MarginLoss):
    """`exp(-z)`, `z` the soft margin.

    Inverse `-log L`.
    """

    def of_soft_margins(self, high, low):
        return -high, -low

    def inverse(self, log_sum):
        return -log_sum


@dataclass(frozen=True)
class CrossEntropy(MarginLoss):
    """`log(1 + exp(-z))`, the logistic loss of two classes.

    Inverse `-log(exp(L) - 1)`, which is `-log L - L/2 + ...` for small `L`.
    """

    def of_soft_margins(self, high, low):
        z = high + low
        deep = z > _LOGISTIC_IS_EXPONENTIAL
        # Both branches stay finite everywhere, or the gradient of the one not taken would be NaN.
        shallow = jnp.log(jax.nn.softplus(-jnp.where(deep, 0.0, z)))
        return jnp.where(deep, -high, 0.0), jnp.where(deep, -low, shallow)

    def inverse(self, log_sum):
        small = log_sum < -_LOGISTIC_IS_EXPONENTIAL
        large = log_sum > math.log(_LOGISTIC_IS_EXPONENTIAL)
        total = jnp.exp(jnp.where(small | large, 0.0, log_sum))
        middle = -jnp.log(jnp.expm1(total))
        return jnp.where(small, -log_sum, jnp.where(large, -jnp.exp(log_sum), middle))


@dataclass(frozen=True)
class Polynomial(MarginLoss):
    """`(1 + z)^-k` for `z >= 0`, continued by `exp(-k z)`, which has its value and slope at 0.

    Its tail is heavier than exponential: on linear models gradient descent ends at the margin that the loss itself asks
    for, not at the largest one (Ji, Dudik, Schapire, Telgarsky, arXiv 2006.11226). Inverse `L^(-1/k) - 1`.
    """

    degree: float = setting(1.0, "k of (1 + z)^-k", above=0)
    exponential_tail: ClassVar[bool] = False

    def of_soft_margins(self, high, low):
        z = high + low
        positive = z > 0
        tail = -self.degree * jnp.log1p(jnp.where(positive, z, 0.0))
        return jnp.where(positive, 0.0, -self.degree * high), jnp.where(positive, tail, -self.degree * low)

    def inverse(self, log_sum):
        scaled = -log_sum / self.degree
        return jnp.where(scaled > 0, jnp.expm1(jnp.maximum(scaled, 0.0)), scaled)


@dataclass(frozen=True)
class Squared(Loss):
    """`(Phi - y)^2` for real labels `y` and those of two classes; for more classes `||Phi - e_y||^2`, of unit vectors.

    No margin loss: it ends where outputs equal labels, and no lower than rounding of their difference, at some -70 nats
    a sample in float64.
    """

    def log_losses(self, outputs, labels):
        one = outputs.shape[1] == 1
        wanted = labels[:, None] if one else labels[:, None] == jnp.arange(outputs.shape[1])
        squares = jnp.sum(jnp.square(outputs - wanted.astype(outputs.dtype)), axis=1)
        low = jnp.log(jnp.maximum(squares, jnp.finfo(squares.dtype).tiny))  # an exact 0 has a gradient of 0
        return jnp.zeros_like(low), low


LOSSES: dict[str, Loss] = {
    "exponential": Exponential(),
    "cross_entropy": CrossEntropy(),
    "polynomial": Polynomial(),
    "squared": Squared(),
}
