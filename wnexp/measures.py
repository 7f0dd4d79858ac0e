"""What is recorded, as pure functions of effective weights, the gradient of `log L` and margins.

One gradient serves all: `g = grad_w log L` with respect to the effective weights. Since `grad L = L g`, every
direction of `grad L` is a direction of `g`, and `log ||grad_u L|| = log L + log ||g_u||` needs no `L`.
Norms are scaled by the largest entry first, so a neuron whose gradient is 1e-200 still has a direction.
What has no meaning (the margin of data not separated, the direction of a zero gradient) is NaN or infinite
here and null in the records.

Formulas, with `q = min_i s_i`, `L` the homogeneity degree in an exponent and the loss elsewhere:

* normalized margin `q / ||w||^L`; layer margin `q / prod_l ||W_l||_F^{k_l}`;
* smoothed margin `loss^{-1}(L) / ||w||^L` with `L` the summed loss (Lyu-Li);
* alignment `b = cos(w, -grad L)`, per neuron `cos(w_u, -grad_u L)`;
* (epsilon, delta)-KKT residuals of the direction `w/||w||` for `min 0.5 ||w||^2 s.t. s_ij >= 1`, when `q > 0`:
  `epsilon = sqrt(2 (1 - b)) (q/||w||^L)^(-1/L)`,
  `lambda_ij = q^(1-2/L) ||w|| (-d log L/d s_ij) / ||g||`, `delta = max_ij lambda_ij (s_ij/q - 1)`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wnexp import losses


class Evaluation(NamedTuple):
    """One look at the training set: everything the measures need."""

    weights: tuple  # effective weights, None for layers that are not trained
    gradient: tuple  # of log L, the same structure
    log_loss: Float[Array, ""]
    margins: Float[Array, "n c"]


def _neuron_log_norm(array: Float[Array, "... neurons"]) -> Float[Array, " neurons"]:
    largest, scaled = _neuron_scaled(array)
    return jnp.log(largest) + 0.5 * jnp.log(jnp.sum(jnp.square(scaled), axis=tuple(range(array.ndim - 1))))


def _neuron_units(array: Float[Array, "... neurons"]) -> Float[Array, "... neurons"]:
    """Every neuron's direction. Not by `exp` of the log of its norm, which costs as many roundings as that log says."""
    _, scaled = _neuron_scaled(array)
    return scaled / jnp.sqrt(jnp.sum(jnp.square(scaled), axis=tuple(range(array.ndim - 1))))


def _neuron_scaled(array: Float[Array, "... neurons"]) -> tuple[Float[Array, " neurons"], Float[Array, "... neurons"]]:
    """The largest entry of every neuron, and the neurons divided by theirs."""
    largest = jnp.max(jnp.abs(array), axis=tuple(range(array.ndim - 1)))
    return largest, array / jnp.where(largest > 0, largest, 1.0)


def _cosine(product: Array) -> Array:
    """A product of unit vectors without its rounding beyond 1: the arc cosine of it must exist."""
    return jnp.clip(product, -1.0, 1.0)


def _flat(tree) -> Float[Array, " p"]:
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def _unit(vector: Float[Array, " p"]) -> Float[Array, " p"]:
    scaled = vector / jnp.max(jnp.abs(vector))
    return scaled / jnp.linalg.norm(scaled)


def _log_norm(vector: Float[Array, " p"]) -> Array:
    return _neuron_log_norm(vector[:, None])[0]


def _over(value: Array, log_scale: Array) -> Array:
    """`value / exp(log_scale)`, also where that power of a norm is no number: `q / inf` would be a margin of 0."""
    return jnp.sign(value) * jnp.exp(jnp.log(jnp.abs(value)) - log_scale)


def step_row(evaluation: Evaluation, degrees: tuple[int, ...], loss: str, reduction: str) -> dict[str, Array]:
    """The scalar columns of `steps` that one evaluation of the training set gives."""
    s, w = evaluation.margins, _flat(evaluation.weights).astype(evaluation.log_loss.dtype)
    g = _flat(evaluation.gradient).astype(w.dtype)
    trained = [(k, layer) for k, layer in zip(degrees, evaluation.weights, strict=True) if layer is not None]
    degree = sum(k for k, _ in trained)
    q, log_norm = jnp.min(s), _log_norm(w)
    log_layer_scale = jnp.sum(jnp.stack([k * _log_norm(_flat(layer).astype(w.dtype)) for k, layer in trained]))
    log_sum = evaluation.log_loss + (jnp.log(s.shape[0]) if reduction == "mean" else 0.0)
    w_unit, h_unit = _unit(w), _unit(-g)
    separated = q > 0
    safe_q = jnp.where(separated, q, 1.0)
    pull = -jax.grad(losses.log_loss)(s, loss, reduction)
    multipliers = safe_q ** (1 - 2 / degree) * pull * jnp.exp(log_norm - _log_norm(g))
    slack = jnp.where(pull > 0, multipliers * (s / safe_q - 1), 0.0)
    epsilon = jnp.linalg.norm(w_unit - h_unit) * jnp.exp(log_norm - jnp.log(safe_q) / degree)
    return {
        "train_accuracy": jnp.mean(jnp.min(s, axis=1) > 0, dtype=w.dtype),
        "margin": q,
        "weight_norm": jnp.exp(log_norm),
        "normalized_margin": _over(q, degree * log_norm),
        "layer_margin": _over(q, log_layer_scale),
        "smoothed_margin": _over(losses.inverse_loss(log_sum, loss), degree * log_norm),
        "alignment": _cosine(jnp.dot(w_unit, h_unit)),
        "kkt_epsilon": jnp.where(separated, epsilon, jnp.nan),
        "kkt_delta": jnp.where(separated, jnp.max(slack), jnp.nan),
    }


def test_row(s: Float[Array, "n c"], loss: str, reduction: str) -> dict[str, Array]:
    """Log loss (nats, the training loss's reduction) and accuracy from the margins of the test set."""
    accuracy = jnp.mean(jnp.min(s, axis=1) > 0, dtype=s.dtype)
    return {"log_test_loss": losses.log_loss(s, loss, reduction), "test_accuracy": accuracy}


def neuron_rows(evaluation: Evaluation, max_direction: int) -> dict[int, dict[str, Array]]:
    """Trained layer -> the columns of `neurons`, each `(neurons,)`, and `direction` `(fan_in, neurons)` if short."""

    def layer_rows(layer, layer_gradient):
        dtype = evaluation.log_loss.dtype
        w, g = layer["weight"].astype(dtype), layer_gradient["weight"].astype(dtype)
        log_norm, log_pull = _neuron_log_norm(w), _neuron_log_norm(g)
        axes = tuple(range(w.ndim - 1))
        w_unit, h_unit = _neuron_units(w), -_neuron_units(g)
        log_gradient_norm = evaluation.log_loss + log_pull
        rows = {
            "weight_norm": jnp.exp(log_norm),
            "norm_ratio": jnp.exp(log_norm - jnp.max(log_norm)),
            "log_gradient_norm": log_gradient_norm,
            "log_gradient_ratio": log_gradient_norm - log_norm,
            "alignment": _cosine(jnp.sum(w_unit * h_unit, axis=axes)),
        }
        if w[..., 0].size <= max_direction:
            rows["direction"] = w_unit.reshape(-1, w.shape[-1])
        return rows

    layers = enumerate(zip(evaluation.weights, evaluation.gradient, strict=True))
    return {index: layer_rows(w, g) for index, (w, g) in layers if w is not None}


def sample_rows(s: Float[Array, "n c"], loss: str) -> dict[str, Array]:
    """The columns of `samples`, each `(n,)`: margin `s_i = min_j s_ij` and loss share `l_i / ||l||_2`."""
    return {"margin": jnp.min(s, axis=1), "loss_share": losses.loss_shares(s, loss)}


def gradient_direction(evaluation: Evaluation) -> Float[Array, " p"]:
    """`grad L / ||grad L||` over all trained weights, flattened."""
    return _unit(_flat(evaluation.gradient))


def limit_direction(soft_margins, weights, loss: str, s: Float[Array, "n c"]) -> Float[Array, " p"]:
    """`gtilde = sum_i l_i grad z_i(w)`, a unit vector: where the theory says that `-grad L` ends up.

    `l` is the loss-share vector at the final weights, `soft_margins` the map from weights to `z` `(n,)`; for two
    classes `grad z_i = y_i grad Phi(x_i)`. Homogeneity makes the scale of the final weights immaterial.
    """
    _, pull_back = jax.vjp(soft_margins, weights)
    return _unit(_flat(pull_back(losses.loss_shares(s, loss))[0]))
