"""The architectures: a description in numbers -> a `Network` for the data, and its initial weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from wnexp.errors import UserError
from wnexp.nn import network
from wnexp.nn.activations import ACTIVATIONS, Activation
from wnexp.nn.initializers import INITIALIZERS, initialize
from wnexp.nn.network import Network
from wnexp.settings import choose, setting

Image = tuple[int, int, int]  # height, width, channels


def _are_channels(entries: list[Any]) -> bool:
    sizes = [entry for entry in entries if entry != "M"]
    doubled = any(pair == ("M", "M") for pair in pairwise(entries))
    return all(type(size) is int and 1 <= size < 2**31 for size in sizes) and entries[:1] != ["M"] and not doubled


@dataclass(frozen=True)
class Model:
    """What is common to all architectures; a row of `MODELS`."""

    init: str = setting(
        "uniform",
        "uniform: in (-1,1)/sqrt(fan-in); positive: in (0,1)/sqrt(fan-in); normal: variance 2/fan-in; "
        "same_function: linear nets alike",
    )
    init_scale: float = setting(1.0, "factor of the trained initial weights, of every layer; biases stay", above=0)
    initial_weights: str | None = setting(
        None, "start from this .safetensors or PyTorch file instead; {seed} in its name stands for the seed"
    )

    def network(self, inputs: int, outputs: int, image: Image | None) -> Network:
        """The architecture for inputs of that size. Raises `UserError` where the parts do not fit."""
        raise TypeError(f"{type(self).__name__} has no network")

    @property
    def per_seed(self) -> bool:
        """Whether every seed has a file of initial weights of its own."""
        return "{seed}" in (self.initial_weights or "")

    def weight_files(self, seeds: Sequence[int]) -> list[Path]:
        """The file of initial weights of every seed."""
        name = self.initial_weights or ""
        return [Path(name.replace("{seed}", str(seed))).expanduser() for seed in seeds]

    def files(self, seeds: Sequence[int]) -> dict[str, list[Path]]:
        """Setting that is a path -> the user's files that are read there: their contents are part of a run."""
        return {"initial_weights": sorted({*self.weight_files(seeds)})} if self.initial_weights else {}

    def start(self, architecture: Network, seeds: Sequence[int], dtype: str) -> list[Any]:
        """The random initial weights of every seed, numpy arrays. Raises `UserError`."""
        choose(INITIALIZERS, "model.init", self.init)
        if self.init == "same_function" and any(layer.kind != "dense" for layer in architecture.layers):
            raise UserError("model.init=same_function is for dense networks; use model=mlp")
        return [initialize(architecture, seed, self.init, dtype) for seed in seeds]


@dataclass(frozen=True)
class _Layered(Model):
    """Hidden layers with an activation."""

    widths: list[int] = setting([8], "hidden widths; [] is a linear model", least=1, below=2**31)
    depth: int | None = setting(
        None, "number of layers, every hidden one with the one width of `widths`", least=1, most=1000
    )
    activation: str = setting("relu_squared", "follows every layer but the last: linear, relu, relu_squared")
    bias: str = setting("none", "first: the first layer has a bias", choices=("none", "first"))

    def _hidden(self) -> tuple[int, ...]:
        """The hidden widths; with `depth` the one width, once for every hidden layer."""
        if self.depth is None:
            return tuple(self.widths)
        if len(self.widths) != 1:
            raise UserError(f"model.depth={self.depth} needs one width to repeat, not model.widths={self.widths}")
        return tuple(self.widths) * (self.depth - 1)

    def _activation(self) -> Activation:
        return choose(ACTIVATIONS, "model.activation", self.activation)


@dataclass(frozen=True)
class Mlp(_Layered):
    """A dense network."""

    fixed_output: list[float] | None = setting(
        None, "constant weights of the output layer, like [1,1,-1,-1]", null="to train them"
    )

    def network(self, inputs, outputs, image):
        activation, widths, fixed = self._activation(), self._hidden(), None
        if self.fixed_output is not None:
            fan_in = [inputs, *widths][-1]
            if not widths or outputs != 1 or len(self.fixed_output) != fan_in:
                raise UserError(
                    f"model.fixed_output has {len(self.fixed_output)} weights; it needs two classes, a hidden layer "
                    f"and one weight for each of the last hidden layer's neurons ({list(widths)})"
                )
            fixed = tuple(self.fixed_output)
        return network.mlp(inputs, widths, outputs, activation, self.bias == "first", fixed)


@dataclass(frozen=True)
class Cnn(_Layered):
    """3 x 3 convolutions with same padding on images, then dense layers."""

    channels: list[Any] = setting(
        [16, "M", 32, "M"],
        "of each convolution; M: 2 x 2 max-pooling",
        allowed='a list of integers of at least 1 and "M" after them, like [16,M]',
        test=_are_channels,
    )

    def network(self, inputs, outputs, image):
        activation = self._activation()
        if image is None:
            shape = "(n, height, width, channels)"
            raise UserError(f"model=cnn needs images; these data have rows of {inputs} numbers: store them as {shape}")
        try:
            return network.convolutional(
                image, tuple(self.channels), self._hidden(), outputs, activation, self.bias == "first"
            )
        except ValueError as error:
            raise UserError(f"model.channels={self.channels}: {error}") from None


@dataclass(frozen=True)
class Diagonal(Model):
    """`f(x) = sum_j <x_j, w_j>` over groups of inputs, every `w_j` a neuron of its own, the sum fixed."""

    group: int = setting(1, "neighbouring inputs that a neuron sees", least=1)
    starts: Any = setting(None, "a list of initial (w_1, ..., w_d): seed s starts from entry s, counted cyclically")

    def network(self, inputs, outputs, image):
        if outputs != 1:
            raise UserError(f"model=diagonal has one output, the data have {outputs} classes; use model=mlp")
        if inputs % self.group:
            raise UserError(f"model.group={self.group} does not divide the {inputs} inputs")
        return network.diagonal(inputs, self.group)

    def start(self, architecture, seeds, dtype):
        weights = super().start(architecture, seeds, dtype)
        if self.starts is not None:
            group, neurons = architecture.layers[0].shape
            starts = self._starts(group * neurons)
            for seed, layers in zip(seeds, weights, strict=True):
                layers[0]["weight"][:] = starts[seed % len(starts)].reshape(neurons, group).T
        return weights

    def _starts(self, size: int) -> np.ndarray:
        try:
            array = np.asarray(self.starts, float)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.ndim != 2 or array.shape[-1] != size or not np.isfinite(array).all():
            raise UserError(f"model.starts={self.starts} must be a list of lists of {size} numbers, for model=diagonal")
        return array


MODELS: dict[str, Model] = {
    "mlp": Mlp(),
    "cnn": Cnn(widths=[], activation="relu", init="normal"),
    "diagonal": Diagonal(),
}
