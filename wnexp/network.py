"""Homogeneous feed-forward networks `Phi(w; x)`: architecture -> initial weights, outputs, degrees `k_l`.

Nothing here knows of normalization: a network multiplies with *effective weights*. A network is a tuple of
layers; its weights are a tuple with one dict a layer, `{"weight": (..., neurons)}` and perhaps
`{"bias": (neurons,)}`. The last axis is always the neuron axis. An activation follows every layer but the last.

An activation that is positively homogeneous of degree `a` makes `Phi` homogeneous of degree
`k_l = a^(number of activations after layer l)` in the weights of layer `l`. The degree of the network is
`L = sum of k_l over the trained layers`; a first-layer bias scales with the first layer and changes no degree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Activation(NamedTuple):
    """A positively homogeneous function and its degree."""

    degree: int
    function: Callable[[Array], Array]


ACTIVATIONS = {
    "linear": Activation(1, lambda z: z),
    "relu": Activation(1, jax.nn.relu),
    "relu_squared": Activation(2, lambda z: jnp.square(jax.nn.relu(z))),
}

# How a layer's weight meets its input: dense `(n, fan_in) -> (n, neurons)`; diagonal: neuron `j` sees input `j` alone.
LAYERS = {
    "dense": lambda weight, x: x @ weight,
    "diagonal": lambda weight, x: x * weight[0],
}

# `(random generator, shape) -> weight`; the fan-in is the product of all axes but the last.
INITIALIZERS = {
    "uniform": lambda rng, shape: rng.uniform(-1.0, 1.0, shape) / math.sqrt(math.prod(shape[:-1])),
    "normal": lambda rng, shape: rng.normal(0.0, math.sqrt(2.0 / math.prod(shape[:-1])), shape),
}


@dataclass(frozen=True)
class Layer:
    """One layer: a row of `LAYERS`, the weight's shape, and constant weights if it is not trained."""

    kind: str
    shape: tuple[int, ...]
    bias: bool = False
    fixed: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Network:
    """An architecture, hashable, so that it can select a compiled program."""

    layers: tuple[Layer, ...]
    activation: str

    @property
    def trained(self) -> tuple[bool, ...]:
        """Which layers are trained."""
        return tuple(layer.fixed is None for layer in self.layers)

    @property
    def degrees(self) -> tuple[int, ...]:
        """`k_l` of every layer, fixed ones included."""
        degree, depth = ACTIVATIONS[self.activation].degree, len(self.layers)
        return tuple(degree ** (depth - 1 - index) for index in range(depth))

    @property
    def degree(self) -> int:
        """The homogeneity degree `L` in the trained weights."""
        return sum(k for k, trained in zip(self.degrees, self.trained, strict=True) if trained)


def mlp(
    inputs: int,
    widths: tuple[int, ...],
    outputs: int,
    activation: str,
    first_bias: bool = False,
    fixed_output: tuple[float, ...] | None = None,
) -> Network:
    """A dense network `inputs - widths - outputs`; `fixed_output` holds the constant weights of the last layer."""
    sizes = (inputs, *widths, outputs)
    last = len(sizes) - 2
    layers = tuple(
        Layer(
            kind="dense",
            shape=(sizes[index], sizes[index + 1]),
            bias=first_bias and index == 0,
            fixed=fixed_output if index == last else None,
        )
        for index in range(len(sizes) - 1)
    )
    return Network(layers, activation)


def diagonal(inputs: int) -> Network:
    """`f(x) = sum_j x_j w_j` with every `w_j` a neuron of its own (fan-in 1) and a fixed sum (paper, simple-traj)."""
    return Network((Layer("diagonal", (1, inputs)), Layer("dense", (inputs, 1), fixed=(1.0,) * inputs)), "linear")


def initialize(network: Network, seed: int, scheme: str, dtype: str):
    """Random weights by a row of `INITIALIZERS`, as numpy arrays; biases start at 0, fixed layers at their constants.

    Drawn on the host, layer by layer, so a seed's weights depend neither on the device nor on other seeds, and
    compile nothing.
    """

    def layer(index: int, spec: Layer):
        if spec.fixed is not None:
            weight = np.reshape(spec.fixed, spec.shape)
        else:
            weight = INITIALIZERS[scheme](np.random.default_rng([seed, index]), spec.shape)
        weights = {"weight": weight.astype(dtype)}
        return weights | ({"bias": np.zeros(spec.shape[-1], dtype)} if spec.bias else {})

    return tuple(layer(index, spec) for index, spec in enumerate(network.layers))


def apply(network: Network, weights, x: Float[Array, "n d"]) -> Float[Array, "n k"]:
    """The outputs `Phi(w; x)` of shape `(n, k)` for inputs of shape `(n, d)`."""
    activation = ACTIVATIONS[network.activation].function
    for index, (spec, entry) in enumerate(zip(network.layers, weights, strict=True)):
        if index > 0:
            x = activation(x)
        x = LAYERS[spec.kind](entry["weight"], x)
        if spec.bias:
            x = x + entry["bias"]
    return x


def split(network: Network, weights):
    """`(trained, fixed)`: the weights twice, with None in place of the layers that are not trained, and the rest."""
    trained = tuple(entry if keep else None for entry, keep in zip(weights, network.trained, strict=True))
    fixed = tuple(None if keep else entry for entry, keep in zip(weights, network.trained, strict=True))
    return trained, fixed


def merge(trained, fixed):
    """The inverse of `split`."""
    return tuple(b if a is None else a for a, b in zip(trained, fixed, strict=True))
