"""The parametrization of a network, layer by layer: weights to parameters and back, and the metric of the flow."""

from collections.abc import Sequence

import jax.numpy as jnp

from wnexp.nn.weightnorm import Norm


def from_weights(weights, norms: Sequence[Norm]):
    """Parameters of a network that compute the same function as `weights`.

    `weights` holds one entry per layer, a dict with `weight` and perhaps `bias`, or None for a layer that is
    not trained; `norms` are the parametrizations of each. Biases are plain parameters.
    """
    return _by_layer(lambda entry, norm: norm.from_weights(entry["weight"]), weights, norms)


def to_weights(parameters, norms: Sequence[Norm]):
    """The effective weights, the inverse of `from_weights`."""
    return _by_layer(lambda entry, norm: {"weight": norm.to_weights(entry)}, parameters, norms)


def weights_and_scales(parameters, norms: Sequence[Norm]):
    """The effective weights with every neuron's `scale` beside its `weight`, not multiplied in.

    A network that applies the scale to the products spares a pass over the weights forwards and two backwards.
    """
    return _by_layer(lambda entry, norm: norm.weight_and_scale(entry), parameters, norms)


def precondition(weights, gradient, metrics: Sequence[Norm]):
    """`M G` of every layer: minus the velocity of the effective weights under gradient flow in the parameters.

    `metrics` are the parametrizations whose flow it is. Biases have metric 1.
    """

    def layer(entry, slope, norm):
        return slope | {"weight": norm.metric(entry["weight"], slope["weight"])}

    layers = zip(weights, gradient, metrics, strict=True)
    return tuple(None if entry is None else layer(entry, slope, norm) for entry, slope, norm in layers)


def square(weights, norms: Sequence[Norm]):
    """The penalty `R`: what is squared and added up for each layer's norm, and the biases. In the weights' precision.

    `weights` are effective ones, or those with a `scale` beside.
    """
    total = jnp.zeros(())
    for entry, norm in zip(weights, norms, strict=True):
        if entry is not None:
            total += norm.square(entry["weight"] * entry.get("scale", 1)) + jnp.sum(jnp.square(entry.get("bias", 0.0)))
    return total


def _by_layer(convert, entries, norms: Sequence[Norm]):
    def layer(entry, norm):
        return convert(entry, norm) | {key: value for key, value in entry.items() if key == "bias"}

    return tuple(None if entry is None else layer(entry, norm) for entry, norm in zip(entries, norms, strict=True))
