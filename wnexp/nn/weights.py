"""Weights of a network: trained and fixed layers told apart, and the arrays of a weights file.

A weights file has the keys `layers.0.weight`, `layers.0.bias`, `layers.1.weight`, ...: dense `(fan_in, neurons)`,
convolution `(height, width, in, neurons)`, fixed layers included.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wnexp.errors import UserError
from wnexp.nn.network import Network


def split(network: Network, weights):
    """`(trained, fixed)`: the weights twice, with None in place of the layers that are not trained, and the rest."""
    trained = tuple(entry if keep else None for entry, keep in zip(weights, network.trained, strict=True))
    fixed = tuple(None if keep else entry for entry, keep in zip(weights, network.trained, strict=True))
    return trained, fixed


def merge(trained, fixed):
    """The inverse of `split`."""
    return tuple(b if a is None else a for a, b in zip(trained, fixed, strict=True))


def to_arrays(weights: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of a weights file from one dict per layer."""
    layers = enumerate(weights)
    return {f"layers.{index}.{name}": np.asarray(array) for index, layer in layers for name, array in layer.items()}


def from_arrays(arrays: Mapping[str, np.ndarray], network: Network, dtype: str, source: str):
    """The inverse of `to_arrays`.

    Raises `UserError` for the arrays of another network and for values that are not finite.
    """
    expected: dict[str, tuple[int, ...]] = {}
    for index, layer in enumerate(network.layers):
        expected[f"layers.{index}.weight"] = layer.shape
        if layer.bias:
            expected[f"layers.{index}.bias"] = layer.shape[-1:]
    got: dict[str, tuple[int, ...]] = {key: array.shape for key, array in arrays.items()}
    for key in sorted({*expected, *got}):
        if expected.get(key) != got.get(key):
            raise UserError(f"{source}: {key} has shape {got.get(key)}, the network needs {expected.get(key)}")
    layers = []
    for index in range(len(network.layers)):
        names = [name for name in ("weight", "bias") if f"layers.{index}.{name}" in arrays]
        layers.append({name: arrays[f"layers.{index}.{name}"].astype(dtype) for name in names})
        if not all(np.isfinite(array).all() for array in layers[-1].values()):
            raise UserError(f"{source}: layers.{index} holds NaN or infinite values")
    return tuple(layers)
