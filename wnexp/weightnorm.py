"""The parametrizations none, SWN and EWN of one layer's weights.

`w_u` is the incoming weight vector of neuron `u`; the last axis of a weight array is the neuron axis, so
every per-neuron norm is a norm over all other axes (dense `(fan_in, neurons)`, convolution
`(height, width, in, neurons)`).

| name | parameters    | `w_u`               | gradient in the parameters, with `G = grad_{w_u} L`, `vhat = v/||v||`  |
|------|---------------|---------------------|------------------------------------------------------------------------|
| none | `w_u`         | `w_u`               | `G`                                                                    |
| swn  | `gamma_u, v_u`| `gamma_u vhat_u`    | `d gamma = vhat.G`, `d v = (gamma/||v||) (I - vhat vhat^T) G`          |
| ewn  | `alpha_u, v_u`| `exp(alpha_u) vhat_u`| `d alpha = w.G`, `d v = (exp(alpha)/||v||) (I - vhat vhat^T) G`       |

(Morwani and Ramaswamy, arXiv 2010.12909, section 3.) The gradients are not written out below: they are
`jax.vjp` of `to_weights`. All three start at the same network: `from_weights` then `to_weights` is the identity.

Gradient flow in the parameters moves the weights by `dw_u/dt = -M_u G_u`, with the metric `M_u = J J^T` of
`J = dw_u / d(parameters)`, and conserves `||v_u|| = c`:

* none: `M G = G`;
* EWN: `M G = ||w||^2 ((vhat.G) vhat + (I - vhat vhat^T) G / c^2)`, for `c = 1` an adaptive rate `||w_u||^2` per neuron;
* SWN: `M G = (vhat.G) vhat + ||w||^2 (I - vhat vhat^T) G / c^2`: radial rate 1, tangential rate `||w_u||^2`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Parameters = dict[str, Array]


class Norm(NamedTuple):
    """One row of `NORMS`: how a weight array becomes parameters and how parameters become weights."""

    from_weights: Callable[[Array, float | None], Parameters]
    factors: Callable[[Parameters], Parameters]  # `weight`, and perhaps the `scale (neurons,)` that it lacks
    metric: Callable[[Array, Array, float], Array]  # (weight, gradient, ||v_u||) -> M G

    def to_weights(self, parameters: Parameters) -> Array:
        """The effective weight array."""
        factors = self.factors(parameters)
        return factors["scale"] * factors["weight"] if "scale" in factors else factors["weight"]


def neuron_norms(weight: Float[Array, "... neurons"]) -> Float[Array, " neurons"]:
    """`||w_u||` of every neuron, shape `(neurons,)`."""
    return jnp.sqrt(jnp.sum(jnp.square(weight), axis=tuple(range(weight.ndim - 1))))


def _start_direction(weight: Array, v_norm: float | None) -> Array:
    return weight if v_norm is None else _scale_to(v_norm, weight) * weight


def _scale_to(length: Array | float, vectors: Array) -> Array:
    """The factor `(neurons,)` that gives every neuron's vector the length.

    For a vector so long that its squares overflow it is NaN, which the step rules refuse: `length / inf` would be a
    dead neuron that no step made.
    """
    norms = neuron_norms(vectors)
    return length / jnp.where(jnp.isfinite(norms), norms, jnp.nan)


def _polar_metric(weight: Array, gradient: Array, v_norm: float, radial_rate: Array | float) -> Array:
    square = jnp.sum(jnp.square(weight), axis=tuple(range(weight.ndim - 1)))
    radial = weight * (jnp.sum(weight * gradient, axis=tuple(range(weight.ndim - 1))) / square)
    return radial_rate * radial + (square / v_norm**2) * (gradient - radial)


NORMS = {
    "none": Norm(
        from_weights=lambda weight, v_norm: {"w": weight},
        factors=lambda parameters: {"weight": parameters["w"]},
        metric=lambda weight, gradient, v_norm: gradient,
    ),
    "swn": Norm(
        from_weights=lambda weight, v_norm: {
            "gamma": neuron_norms(weight),
            "v": _start_direction(weight, v_norm),
        },
        factors=lambda parameters: {
            "weight": parameters["v"],
            "scale": _scale_to(parameters["gamma"], parameters["v"]),
        },
        metric=lambda weight, gradient, v_norm: _polar_metric(weight, gradient, v_norm, 1.0),
    ),
    "ewn": Norm(
        from_weights=lambda weight, v_norm: {
            "alpha": jnp.log(neuron_norms(weight)),
            "v": _start_direction(weight, v_norm),
        },
        factors=lambda parameters: {
            "weight": parameters["v"],
            "scale": _scale_to(jnp.exp(parameters["alpha"]), parameters["v"]),
        },
        metric=lambda weight, gradient, v_norm: _polar_metric(
            weight, gradient, v_norm, jnp.square(neuron_norms(weight))
        ),
    ),
}


def from_weights(weights, norms: tuple[str, ...], v_norms: tuple[float | None, ...]):
    """Parameters of a network that compute the same function as `weights`.

    `weights` holds one entry a layer, a dict with `weight` and perhaps `bias`, or None for a layer that is
    not trained; `norms` names the parametrization of each. Biases are plain parameters. `v_norms` are the
    initial `||v_u||` of each, None for `v_u = w_u`; the function does not depend on them, the step of `v` scales with
    `1/||v_u||^2`.
    """

    def layer(entry, norm, v_norm):
        bias = {key: value for key, value in entry.items() if key == "bias"}
        return NORMS[norm].from_weights(entry["weight"], v_norm) | bias

    layers = zip(weights, norms, v_norms, strict=True)
    return tuple(None if entry is None else layer(entry, norm, v_norm) for entry, norm, v_norm in layers)


def to_weights(parameters, norms: tuple[str, ...]):
    """The effective weights, the inverse of `from_weights`."""
    return _by_layer(lambda entry, norm: {"weight": NORMS[norm].to_weights(entry)}, parameters, norms)


def factors(parameters, norms: tuple[str, ...]):
    """The effective weights with every neuron's `scale` beside its `weight`, not multiplied in.

    A network that applies the scale to the products spares a pass over the weights forwards and two backwards.
    """
    return _by_layer(lambda entry, norm: NORMS[norm].factors(entry), parameters, norms)


def _by_layer(convert, parameters, norms: tuple[str, ...]):
    def layer(entry, norm):
        return convert(entry, norm) | {key: value for key, value in entry.items() if key == "bias"}

    return tuple(None if entry is None else layer(entry, norm) for entry, norm in zip(parameters, norms, strict=True))


def precondition(weights, gradient, metrics: tuple[str, ...], v_norms: tuple[float | None, ...]):
    """`M G` of every layer: minus the velocity of the effective weights under gradient flow in the parameters.

    `metrics` names the parametrization whose flow it is, `v_norms` its `||v_u||`. Biases have metric 1.
    """

    def layer(entry, slope, name, v_norm):
        return slope | {"weight": NORMS[name].metric(entry["weight"], slope["weight"], v_norm)}

    layers = zip(weights, gradient, metrics, v_norms, strict=True)
    return tuple(None if entry is None else layer(entry, slope, name, v) for entry, slope, name, v in layers)
