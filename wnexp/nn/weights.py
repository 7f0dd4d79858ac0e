"""Weights of a network: trained and fixed layers told apart, and the arrays of a weights file.

A weights file has the keys `layers.0.weight`, `layers.0.bias`, `layers.1.weight`, ...: dense `(fan_in, neurons)`,
convolution `(height, width, in, neurons)`, fixed layers included.
"""

from collections.abc import Iterable, Mapping, Sequence
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

    Raises `UserError` for the arrays of another network, for numbers that are no floats and for those not finite.
    """
    needed: dict[str, tuple[int, ...]] = {}
    for index, layer in enumerate(network.layers):
        needed[f"layers.{index}.weight"] = layer.shape
        if layer.bias:
            needed[f"layers.{index}.bias"] = layer.shape[-1:]
    for key in [key for key in needed if key in arrays]:
        kind, got, shape = arrays[key].dtype, arrays[key].shape, needed[key]
        if kind not in (np.float16, np.float32, np.float64):
            raise UserError(f"{source}: {key} is of type {kind}; allowed: float16, float32, float64")
        if got != shape:
            raise UserError(f"{source}: {key} has shape {got}, the network needs {shape}{_turned(got, shape)}")
    if arrays.keys() != needed.keys():
        raise UserError(f"{source}: it holds {_shown(arrays)};\nthe network needs exactly {_shown(needed)}")
    layers = []
    for index in range(len(network.layers)):
        names = [name for name in ("weight", "bias") if f"layers.{index}.{name}" in arrays]
        given = {name: arrays[f"layers.{index}.{name}"] for name in names}
        if not all(np.isfinite(array).all() for array in given.values()):
            raise UserError(f"{source}: layers.{index} holds NaN or infinite values")
        with np.errstate(over="ignore"):
            layers.append({name: array.astype(dtype) for name, array in given.items()})
        if not all(np.isfinite(array).all() for array in layers[-1].values()):
            raise UserError(f"{source}: layers.{index} holds values beyond precision={dtype}; give precision=float64")
    return tuple(layers)


def _shown(keys: Iterable[str]) -> str:
    names = list(keys)
    return ", ".join(names[:8]) + (f", ... ({len(names)})" if len(names) > 8 else "") or "nothing"


def _turned(got: tuple[int, ...], needed: tuple[int, ...]) -> str:
    """What to do with an array that has its axes in PyTorch's order."""
    if len(got) == 2 and got[::-1] == needed:
        return "\nit fits transposed: dense arrays are (fan_in, neurons), all of them, PyTorch's are (neurons, fan_in)"
    if len(got) == 4 and (*got[2:], got[1], got[0]) == needed:
        order = "(height, width, in, neurons), PyTorch's are (neurons, in, height, width)"
        return f"\nit fits as transpose(2, 3, 1, 0): convolutions are {order}"
    return ""
