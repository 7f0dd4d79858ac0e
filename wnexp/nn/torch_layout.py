"""Weights as PyTorch's modules keep them, and as a weights file here does. Needs no PyTorch: arrays by name.

Dense weights are `(neurons, fan_in)` there and `(fan_in, neurons)` here, convolutions `(neurons, in, height, width)`
and `(height, width, in, neurons)`. After convolutions PyTorch flattens `(channels, height, width)`, the net here
`(height, width, channels)`: the rows of the first dense layer are put in that order.
"""

import re
from collections.abc import Mapping

import numpy as np

from wnexp.errors import UserError
from wnexp.nn.network import Network

Arrays = Mapping[str, np.ndarray]
_OWN = re.compile(r"layers\.\d+\.(weight|bias)")
_PARTS = re.compile(r"(?:(.*)\.)?(weight_g|weight_v|parametrizations\.weight\.original[01]|weight|bias)")
_NORMALIZED = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
RELU_SQUARED = "class ReLUSquared(nn.Module):\n    def forward(self, x):\n        return torch.relu(x) ** 2\n"


def is_own(arrays: Arrays) -> bool:
    """Whether these are the names of a weights file of ours: `layers.0.weight`, `layers.1.weight`, ... without gaps."""
    numbers = sorted({int(name.split(".")[1]) for name in arrays if _OWN.fullmatch(name)})
    return all(map(_OWN.fullmatch, arrays)) and numbers == list(range(len(numbers)))


def from_torch(state: Arrays, network: Network, source: str) -> dict[str, np.ndarray]:
    """The arrays of a weights file from a PyTorch state, in the order of its modules.

    Weight-normalized modules (`weight_g`, `weight_v`, or `parametrizations.weight.original0`, `1`) become their
    effective weights `g v / ||v||`. Constant layers that the state lacks are filled in. Raises `UserError`.
    """
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, array in state.items():
        found = _PARTS.fullmatch(name)
        if found is None:
            raise UserError(f"{source}: {name} is no weight or bias of a dense or convolutional module")
        modules.setdefault(found[1] or "", {})[found[2]] = np.asarray(array)
    given = [(name, _effective(parts, name, source)) for name, parts in modules.items()]
    given.sort(key=lambda entry: entry[1]["weight"].ndim, reverse=True)  # a file may have lost the modules' order
    complete = len(given) == len(network.layers)
    wanted = [index for index, layer in enumerate(network.layers) if complete or layer.fixed is None]
    if len(given) != len(wanted):
        has = f"{len(given)} modules with weights ({', '.join(modules)})"
        raise UserError(f"{source}: it has {has}; the net has {len(wanted)} layers")
    arrays: dict[str, np.ndarray] = {}
    for index, (name, parts) in zip(wanted, given, strict=True):
        layer, weight = network.layers[index], parts["weight"]
        if weight.ndim != len(layer.shape) or layer.kind == "diagonal":
            raise UserError(
                f"{source}: {name}.weight {weight.shape} is no weight of a {layer.kind} layer {layer.shape}"
            )
        weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        if weight.shape != layer.shape:
            wanted = layer.shape[::-1] if weight.ndim == 2 else (*layer.shape[:1:-1], *layer.shape[:2])
            raise UserError(f"{source}: {name}.weight has shape {parts['weight'].shape}, the net needs {wanted}")
        arrays[f"layers.{index}.weight"] = weight[_order(network, index)] if weight.ndim == 2 else weight
        bias = parts.get("bias")
        if bias is not None and (layer.bias or bias.any()):
            arrays[f"layers.{index}.bias"] = bias
    for index, layer in enumerate(network.layers):
        if layer.fixed is not None and f"layers.{index}.weight" not in arrays:
            arrays[f"layers.{index}.weight"] = np.reshape(layer.fixed, layer.shape)
    return arrays


def _effective(parts: Mapping[str, np.ndarray], name: str, source: str) -> dict[str, np.ndarray]:
    """`weight` and perhaps `bias` of a module. Raises `UserError`."""
    for scale, direction in _NORMALIZED:
        if scale in parts and direction in parts:
            g, v = (parts[key].astype(np.float64) for key in (scale, direction))
            axes = tuple(axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] == 1)
            return {"weight": g * v / np.sqrt(np.sum(v**2, axis=axes, keepdims=True))} | _bias(parts)
    if "weight" not in parts:
        raise UserError(f"{source}: {name or 'it'} has {', '.join(parts)}, no weight")
    return {"weight": parts["weight"]} | _bias(parts)


def _bias(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"bias": parts["bias"]} if "bias" in parts else {}


def _order(network: Network, index: int) -> np.ndarray:
    """For every row of a dense layer's weight, in our order, its place in PyTorch's; argsort is the way back."""
    rows = network.layers[index].shape[0]
    if network.image is None or index == 0 or network.layers[index - 1].kind != "convolution":
        return np.arange(rows)
    height, width, _ = network.image
    for layer in network.layers[:index]:
        height, width = (height // 2, width // 2) if layer.pool else (height, width)
    return np.arange(rows).reshape(-1, height, width).transpose(1, 2, 0).ravel()


def to_torch(arrays: Arrays, network: Network) -> tuple[dict[str, np.ndarray], str]:
    """The state of an `nn.Sequential`, and the Python expression that makes it; inputs `(n, d)` or `(n, c, h, w)`.

    Raises `UserError` for layers that PyTorch has no module for.
    """
    state: dict[str, np.ndarray] = {}
    modules: list[str] = []
    activation = network.activation.torch
    for index, layer in enumerate(network.layers):
        if layer.kind == "diagonal" or activation is None:
            what = "a diagonal layer" if layer.kind == "diagonal" else f"the activation {network.activation}"
            raise UserError(f"{what} is no module of PyTorch")
        weight = arrays[f"layers.{index}.weight"]
        if layer.kind == "dense" and index > 0 and network.layers[index - 1].kind == "convolution":
            modules.append("nn.Flatten()")
            weight = weight[np.argsort(_order(network, index))]
        place, bias = len(modules), layer.bias
        state[f"{place}.weight"] = np.ascontiguousarray(weight.T if weight.ndim == 2 else weight.transpose(3, 2, 0, 1))
        if bias:
            state[f"{place}.bias"] = arrays[f"layers.{index}.bias"]
        sizes = ", ".join(map(str, layer.shape[-2:]))
        kind = f"nn.Linear({sizes}" if layer.kind == "dense" else f"nn.Conv2d({sizes}, 3, padding=1"
        modules.append(f"{kind}, bias={bias})")
        if index < len(network.layers) - 1:
            modules += [activation] if activation else []
            modules += ["nn.MaxPool2d(2)"] if layer.pool else []
    text = f"nn.Sequential({', '.join(modules)})"
    return state, (RELU_SQUARED if "ReLUSquared" in text else "") + f"net = {text}"
