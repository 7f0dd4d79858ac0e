"""Homogeneous feed-forward networks `Phi(w; x)`: architecture -> outputs, degrees `k_l`.

Nothing here knows of normalization: a network multiplies with *effective weights*. A network is a tuple of
layers; its weights are a tuple with one dict per layer, `{"weight": (..., neurons)}` and perhaps
`{"bias": (neurons,)}`. The last axis is always the neuron axis. An activation follows every layer but the last.

An activation that is positively homogeneous of degree `a` makes `Phi` homogeneous of degree
`k_l = a^(number of activations after layer l)` in the weights of layer `l`. The degree of the network is
`L = sum of k_l over the trained layers`; a first-layer bias scales with the first layer and changes no degree.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wnexp.nn.activations import Activation, Linear


def _convolution(weight: Float[Array, "3 3 in neurons"], x: Float[Array, "n h w in"]) -> Float[Array, "n h w neurons"]:
    """Stride 1, same padding. XLA's own convolution is nine times slower than the product of columns on a CPU, and its
    compiler for TPUs takes minutes over the gradient in the weights of a first layer."""
    height, fan_in, neurons = x.shape[1], x.shape[3], weight.shape[3]
    # Memory bounds large images: rows take `3 in + 3 neurons` numbers a pixel, columns `9 in`. Of a small image's rows
    # the two of padding are too large a part.
    rows = height >= 16 and neurons < 3 * fan_in
    on_cpu = convolve_by_rows if rows else convolve_by_columns
    return jax.lax.platform_dependent(weight, x, cpu=on_cpu, tpu=convolve_by_columns, default=convolve)


def _grouped(weight: Float[Array, "group neurons"], x: Float[Array, "n d"]) -> Float[Array, "n neurons"]:
    return jnp.einsum("njg,gj->nj", x.reshape(x.shape[0], weight.shape[1], weight.shape[0]), weight)


def convolve(weight: Float[Array, "3 3 in neurons"], x: Float[Array, "n h w in"]) -> Float[Array, "n h w neurons"]:
    """The library's convolution."""
    return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolve_by_columns(
    weight: Float[Array, "3 3 in neurons"], x: Float[Array, "n h w in"]
) -> Float[Array, "n h w neurons"]:
    """The same as one product of all 3 x 3 neighbourhoods `(n, h, w, 9 in)` with the weight."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifts, axis=-1) @ weight.reshape(-1, weight.shape[-1])


def convolve_by_rows(
    weight: Float[Array, "3 3 in neurons"], x: Float[Array, "n h w in"]
) -> Float[Array, "n h w neurons"]:
    """The same as one product of all rows of three neighbours `(n, h + 2, w, 3 in)` with the weight's three rows, and a
    sum of what the three rows of a neighbourhood give."""
    n, height, width, fan_in = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = jnp.concatenate([padded[:, :, j : j + width] for j in range(3)], axis=-1)
    products = rows.reshape(-1, 3 * fan_in) @ weight.transpose(1, 2, 0, 3).reshape(3 * fan_in, -1)
    products = products.reshape(n, height + 2, width, 3, -1)
    return sum((products[:, i : i + height, :, i] for i in (1, 2)), start=products[:, :height, :, 0])


# How a layer's weight meets its input: dense `(n, fan_in) -> (n, neurons)`; diagonal: neuron `j` sees the `j`-th
# group of inputs alone; convolution: `(n, h, w, in) -> (n, h, w, neurons)`.
LAYERS = {
    "dense": lambda weight, x: x.reshape(x.shape[0], -1) @ weight,
    "diagonal": lambda weight, x: x * weight[0] if len(weight) == 1 else _grouped(weight, x),
    "convolution": _convolution,
}


@dataclass(frozen=True)
class Layer:
    """One layer: a row of `LAYERS`, the weight's shape, and constant weights if it is not trained."""

    kind: str
    shape: tuple[int, ...]
    bias: bool = False
    fixed: tuple[float, ...] | None = None
    pool: bool = False  # 2 x 2 max-pooling after the activation


@dataclass(frozen=True)
class Network:
    """An architecture, hashable, so that it can select a compiled program."""

    layers: tuple[Layer, ...]
    activation: Activation
    image: tuple[int, int, int] | None = None  # (height, width, channels) of the inputs, for convolutions

    @property
    def trained(self) -> tuple[bool, ...]:
        """Which layers are trained."""
        return tuple(layer.fixed is None for layer in self.layers)

    @property
    def degrees(self) -> tuple[int, ...]:
        """`k_l` of every layer, fixed ones included."""
        degree, depth = self.activation.degree, len(self.layers)
        return tuple(degree ** (depth - 1 - index) for index in range(depth))

    @property
    def activations(self) -> int:
        """How many numbers the layers work on for one sample: outputs, and the neighbourhoods that convolutions see."""
        height, width, _ = self.image or (1, 1, 1)
        total = 0
        for layer in self.layers:
            convolution = layer.kind == "convolution"
            total += height * width * (9 * layer.shape[2] + layer.shape[-1]) if convolution else layer.shape[-1]
            height, width = (height // 2, width // 2) if layer.pool else (height, width)
        return total

    @property
    def degree(self) -> int:
        """The homogeneity degree `L` in the trained weights."""
        return sum(k for k, trained in zip(self.degrees, self.trained, strict=True) if trained)


def mlp(
    inputs: int,
    widths: tuple[int, ...],
    outputs: int,
    activation: Activation,
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


def diagonal(inputs: int, group: int = 1) -> Network:
    """`f(x) = sum_j <x_j, w_j>` over groups of inputs, every `w_j` a neuron of its own, and a fixed sum.

    With groups of one input, fan-in 1: the paper's simple-traj.
    """
    neurons = inputs // group
    total = Layer("dense", (neurons, 1), fixed=(1.0,) * neurons)
    return Network((Layer("diagonal", (group, neurons)), total), Linear())


def convolutional(
    image: tuple[int, int, int],
    channels: tuple[int | str, ...],
    widths: tuple[int, ...],
    outputs: int,
    activation: Activation,
    first_bias: bool = False,
) -> Network:
    """3 x 3 convolutions with so many channels each, "M" for 2 x 2 max-pooling after the one before, then dense layers.

    Pooling drops the last row or column of an odd size; it commutes with scaling, so it changes no degree.
    Raises ValueError where nothing of the image is left.
    """
    height, width, fan_in = image
    layers: list[Layer] = []
    for entry in channels:
        if entry == "M":
            layers[-1] = replace(layers[-1], pool=True)
            height, width = height // 2, width // 2
        else:
            layers.append(Layer("convolution", (3, 3, fan_in, int(entry)), bias=first_bias and not layers))
            fan_in = int(entry)
    if not height * width:
        raise ValueError(f"nothing of the {image[0]} x {image[1]} image is left after {channels.count('M')} poolings")
    dense = mlp(height * width * fan_in, widths, outputs, activation, first_bias and not layers)
    return Network((*layers, *dense.layers), activation, image)


def apply(network: Network, weights, x: Float[Array, "n d"], gates=None) -> Float[Array, "n k"]:
    """The outputs `Phi(w; x)` of shape `(n, k)` for inputs of shape `(n, d)`.

    A layer's `scale (neurons,)`, if there is one, multiplies its products: its effective weights are `weight * scale`.
    `gates`, one `(neurons,)` array or None a layer, multiply the layers' outputs: 0 takes a neuron out.
    """
    if network.image is not None:
        x = x.reshape(x.shape[0], *network.image)
    for index, (spec, entry) in enumerate(zip(network.layers, weights, strict=True)):
        if index > 0:
            x = network.activation.of_layer(x, weights[index - 1])
        if index > 0 and network.layers[index - 1].pool:
            x = _max_pool(x)
        x = LAYERS[spec.kind](entry["weight"], x)
        if "scale" in entry:
            x = x * entry["scale"]
        if spec.bias:
            x = x + entry["bias"]
        if gates is not None and gates[index] is not None:
            x = x * gates[index]
    return x


def _max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
