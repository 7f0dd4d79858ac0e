"""Initial weights, drawn on the host: a seed's weights depend neither on the device nor on the other seeds."""

import functools
import math

import numpy as np

from wnexp.nn.network import Layer, Network


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in (-1, 1) over the square root of the fan-in, the product of all axes but the last."""
    return rng.uniform(-1.0, 1.0, shape) / math.sqrt(math.prod(shape[:-1]))


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The absolute value of the uniform ones."""
    return np.abs(_uniform(rng, shape))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal with variance 2 over the fan-in."""
    return rng.normal(0.0, math.sqrt(2.0 / math.prod(shape[:-1])), shape)


def _by_layer(draw, network: Network, seed: int) -> list[np.ndarray]:
    return [draw(np.random.default_rng([seed, index]), layer.shape) for index, layer in enumerate(network.layers)]


def _same_function(network: Network, seed: int) -> list[np.ndarray]:
    """Uniform, then the last layer `pinv(W_1 ... W_{D-1}) w0`: linear nets of every depth start as `x -> x.w0`.

    `w0` is standard normal and depends on the seed and the number of inputs alone.
    """
    drawn = _by_layer(_uniform, network, seed)
    inputs, outputs = drawn[0].shape[0], drawn[-1].shape[-1]
    start = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).normal(size=(inputs, outputs))
    product = np.linalg.multi_dot([np.eye(inputs), *drawn[:-1], np.eye(drawn[-1].shape[0])])
    return [*drawn[:-1], np.linalg.pinv(product) @ start]


# Scheme -> `(network, seed) -> one weight array per layer`.
INITIALIZERS = {
    "uniform": functools.partial(_by_layer, _uniform),
    "positive": functools.partial(_by_layer, _positive),
    "normal": functools.partial(_by_layer, _normal),
    "same_function": _same_function,
}


def initialize(network: Network, seed: int, scheme: str, dtype: str):
    """Random weights by a row of `INITIALIZERS`, as numpy arrays; biases start at 0, fixed layers at their constants.

    Drawn on the host, layer by layer, so a seed's weights depend neither on the device nor on other seeds, and
    compile nothing.
    """

    def layer(spec: Layer, weight: np.ndarray):
        if spec.fixed is not None:
            weight = np.reshape(spec.fixed, spec.shape)
        weights = {"weight": weight.astype(dtype)}
        return weights | ({"bias": np.zeros(spec.shape[-1], dtype)} if spec.bias else {})

    drawn = INITIALIZERS[scheme](network, seed)
    return tuple(layer(spec, weight) for spec, weight in zip(network.layers, drawn, strict=True))
