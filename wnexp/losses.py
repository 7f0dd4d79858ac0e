"""The log of the training loss, from margins: the one home of the loss numerics.

Notation (Lyu and Li, arXiv 1906.05890; Morwani and Ramaswamy, arXiv 2010.12909):

* margin `s_ij`: how far sample `i` prefers its own class to the class `j`. Two classes, labels
  -1/+1 and one output: `s_i = y_i Phi(x_i)`. More classes: `s_ij = Phi_{y_i}(x_i) - Phi_j(x_i)`.
* soft margin `z_i = -logsumexp_j(-s_ij)`; with two classes `z_i = s_i`.
* loss of a sample: exponential `exp(-z_i)`, cross-entropy `log(1 + exp(-z_i))` (the logistic loss
  when there are two classes).

The loss `L` itself is never formed: at -750 nats it underflows in float64. The interface is
`log L = logsumexp_i lambda(z_i)` with `lambda(z) = log loss(z)`, and its gradient by autodiff.

At -1,000,000 nats one rounding of `z_i` is 1e-10, which would be the relative error of every softmax
over samples. So `lambda(z_i)` is carried as a sum `high + low` of a part copied exactly from a margin
and a small correction; only differences of high parts, which are exact where they matter, are
exponentiated. The high parts are shifts that cancel, so gradients flow through the low parts alone.
"""

import math

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float, Int

# Beyond this soft margin log(log(1 + exp(-z))) = -z - exp(-z)/2 equals -z in float64 and float32.
_LOGISTIC_IS_EXPONENTIAL = 40.0


def _exponential(high, low):
    return -high, -low


def _cross_entropy(high, low):
    z = high + low
    deep = z > _LOGISTIC_IS_EXPONENTIAL
    # Both branches stay finite everywhere, or the gradient of the one not taken would be NaN.
    shallow = jnp.log(jax.nn.softplus(-jnp.where(deep, 0.0, z)))
    return jnp.where(deep, -high, 0.0), jnp.where(deep, -low, shallow)


LOSSES = {"exponential": _exponential, "cross_entropy": _cross_entropy}
REDUCTIONS = ("sum", "mean")


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


def log_losses(s: Float[Array, "n c"], loss: str) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """`lambda(z_i)`, the log of every sample's loss (nats), as a sum of two parts `high, low` of shape `(n,)`."""
    return LOSSES[loss](*_soft_margin_parts(s))


def log_loss(s: Float[Array, "n c"], loss: str, reduction: str) -> Float[Array, ""]:
    """`log L` in nats, of the sum or the mean over the samples, from margins of shape `(n, c)`.

    Value and gradient are exact to 1e-12 relative in float64 for margins from -1e4 to 1e6.
    """
    high, low = log_losses(s, loss)
    shift = stop_gradient(jnp.max(high + low))
    log_sum = shift + jnp.log(jnp.sum(jnp.exp((high - shift) + low)))
    return log_sum - math.log(s.shape[0]) if reduction == "mean" else log_sum


def loss_shares(s: Float[Array, "n c"], loss: str) -> Float[Array, " n"]:
    """The loss-share vector `l_i / ||l||_2`, shape `(n,)`, without forming any `l_i`."""
    high, low = log_losses(s, loss)
    relative = jnp.exp((high - jnp.max(high + low)) + low)
    return relative / jnp.linalg.norm(relative)


def inverse_loss(log_sum: Float[Array, ""], loss: str) -> Float[Array, ""]:
    """`loss^{-1}(L)`: the soft margin at which one sample alone has the loss `L`, given `log L` of the sum.

    Exponential `-log L`; logistic `-log(exp(L) - 1)`, which is `-log L - L/2 + ...` for small `L`
    (Lyu-Li, the numerator of the smoothed normalized margin).
    """
    if loss == "exponential":
        return -log_sum
    small = log_sum < -_LOGISTIC_IS_EXPONENTIAL
    large = log_sum > math.log(_LOGISTIC_IS_EXPONENTIAL)
    total = jnp.exp(jnp.where(small | large, 0.0, log_sum))
    middle = -jnp.log(jnp.expm1(total))
    return jnp.where(small, -log_sum, jnp.where(large, -jnp.exp(log_sum), middle))
