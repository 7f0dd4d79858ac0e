"""From a configuration: its network, its training program, the initial weights of its seeds."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wnexp import losses, network, optimizers, records, train, weightnorm
from wnexp.config import Config, UserError, choose
from wnexp.data import Dataset

_SLOTS = 128
MOST_ACTIVATIONS = 2**27  # numbers; of all samples of a block in all seeds, half a GiB in float32
_CACHED_ACTIVATIONS = 2**22  # of one seed at a time, whose steps need no gradient over all samples: a CPU's cache


def build_network(config: Config, dataset: Dataset) -> network.Network:
    """The architecture of a configuration. Raises `UserError` where the parts do not fit."""
    model, outputs, inputs = config.model, dataset.outputs, dataset.train_x.shape[1]
    choose(network.ACTIVATIONS, "model.activation", model.activation)
    if model.name == "diagonal":
        if outputs != 1:
            raise UserError(f"model=diagonal has one output, the data have {outputs} classes; use model=mlp")
        return network.diagonal(inputs)
    widths = _widths(config)
    if model.name == "cnn":
        if dataset.image is None:
            raise UserError(f"model=cnn needs images; data={config.data.name} has rows of {inputs} numbers")
        try:
            channels = tuple(model.channels)
            return network.convolutional(
                dataset.image, channels, widths, outputs, model.activation, model.bias == "first"
            )
        except ValueError as error:
            raise UserError(f"model.channels={model.channels}: {error}") from None
    fixed = None
    if model.fixed_output is not None:
        fan_in = [inputs, *widths][-1]
        if not widths or outputs != 1 or len(model.fixed_output) != fan_in:
            raise UserError(
                f"model.fixed_output has {len(model.fixed_output)} weights; it needs two classes, a hidden layer "
                f"and one weight for each of the last hidden layer's neurons ({list(widths)})"
            )
        fixed = tuple(model.fixed_output)
    return network.mlp(inputs, widths, outputs, model.activation, model.bias == "first", fixed)


def _widths(config: Config) -> tuple[int, ...]:
    """The hidden widths; with `model.depth` its one width, once for every hidden layer."""
    model = config.model
    if model.depth is None:
        return tuple(model.widths)
    if len(model.widths) != 1:
        raise UserError(f"model.depth={model.depth} needs one width to repeat, not model.widths={model.widths}")
    return tuple(model.widths) * (model.depth - 1)


def build_program(config: Config, dataset: Dataset, platform: str) -> train.Program:
    """The static description of a run. Raises `UserError` for names that no table knows."""
    architecture = build_network(config, dataset)
    optimizer, norm = config.optimizer, config.norm
    choose(optimizers.OPTIMIZERS, "optimizer", optimizer.name)
    choose(weightnorm.NORMS, "norm", norm.name)
    last = len(architecture.layers) - 1
    norms = tuple("none" if norm.layers == "hidden" and index == last else norm.name for index in range(last + 1))
    plain = ("none",) * (last + 1)
    flow = optimizer.name == "flow"
    if flow:
        _check_flow(config, architecture)
        if architecture.activation == "relu":
            architecture = replace(architecture, activation="relu_sliding")
    effective = flow and optimizer.variables == "weights"
    if not optimizers.OPTIMIZERS[optimizer.name].full_batch and optimizer.batch_size is None:
        raise UserError(f"optimizer={optimizer.name} needs optimizer.batch_size, an integer of at least 1")
    choose(losses.LOSSES, "loss", config.loss.name)
    choose(network.INITIALIZERS, "model.init", config.model.init)
    # Mini-batches of one seed fill a CPU's cores; batches of products over seeds do so less well.
    batched = optimizers.OPTIMIZERS[optimizer.name].full_batch or platform != "cpu"
    return train.Program(
        network=architecture,
        norms=plain if effective else norms,
        metrics=norms if effective else plain,
        v_norms=tuple(None if norm.output_v == "raw" and index == last else norm.v_norm for index in range(last + 1)),
        loss=config.loss.name,
        reduction=config.loss.reduction,
        optimizer=optimizer.name,
        batch_size=optimizer.batch_size or 0,
        dtype=config.precision,
        head_dtype="float32" if platform == "tpu" else "float64",
        max_direction=config.record.max_direction,
        max_samples=config.record.max_samples,
        max_gradient=config.record.max_gradient,
        slots=_SLOTS,
        batched=batched,
        block=_block(architecture, batched, config.seeds),
        solver=optimizer.solver,
    )


def _block(architecture: network.Network, batched: bool, seeds: int) -> int:
    most = MOST_ACTIVATIONS // seeds if batched else _CACHED_ACTIVATIONS
    return max(1, most // architecture.activations)


def _check_flow(config: Config, architecture: network.Network) -> None:
    from wnexp.flow import MOST_UNKNOWNS

    optimizer, layers = config.optimizer, architecture.layers
    if config.precision != "float64":
        raise UserError(f"optimizer=flow needs precision=float64, not {config.precision}")
    unknowns = sum(math.prod(layer.shape) for layer in layers if layer.fixed is None)
    if optimizer.solver == "rosenbrock" and unknowns > MOST_UNKNOWNS:
        raise UserError(
            f"optimizer=flow with its implicit solver takes at most {MOST_UNKNOWNS:,} weights, this network has "
            f"{unknowns:,}; optimizer.solver=tsit5 takes any number, a few steps a nat"
        )
    if config.norm.output_v == "raw" and optimizer.variables == "weights":
        raise UserError("norm.output_v=raw needs optimizer.variables=parameters under optimizer=flow")


def work(config: Config, dataset: Dataset) -> float:
    """Multiply-adds of one attempt of all seeds, forwards."""
    architecture = build_network(config, dataset)
    height, width, _ = architecture.image or (1, 1, 1)
    weights = sum(
        math.prod(layer.shape) * (height * width if len(layer.shape) > 2 else 1) for layer in architecture.layers
    )
    return float(weights * len(dataset.train_x) * config.seeds)


def initial_weights(config: Config, program: train.Program) -> Any:
    """Initial weights of every seed, a leading seed axis on each array. Raises `UserError`."""
    model, architecture, seeds = config.model, program.network, range(config.seed, config.seed + config.seeds)
    if model.initial_weights is not None:
        arrays = records.load_weights(Path(model.initial_weights).expanduser())
        source = f"model.initial_weights={model.initial_weights}"
        weights = as_layers(arrays, architecture, program.dtype, source)
        _check_directions(weights, program, source)
        return jax.tree.map(lambda array: np.broadcast_to(array, (len(seeds), *array.shape)), weights)
    if model.init == "same_function" and any(layer.kind != "dense" for layer in architecture.layers):
        raise UserError(f"model.init=same_function is for dense networks, not model={model.name}")
    lanes = [network.initialize(architecture, seed, model.init, program.dtype) for seed in seeds]
    weights = jax.tree.map(lambda *arrays: np.stack(arrays), *lanes)
    if model.starts is not None:
        starts = _starts(model.starts, architecture.layers[0])
        weights[0]["weight"][:, 0] = starts[np.array(seeds) % len(starts)]
    return weights


def _starts(starts: Any, layer: network.Layer) -> np.ndarray:
    try:
        array = np.asarray(starts, float)
    except (TypeError, ValueError):
        array = np.empty(0)
    size = int(layer.shape[-1])
    if layer.kind != "diagonal" or array.ndim != 2 or array.shape[-1] != size or not np.isfinite(array).all():
        raise UserError(f"model.starts={starts} must be a list of lists of {size} numbers, for model=diagonal")
    return array


def as_layers(arrays: dict[str, np.ndarray], architecture: network.Network, dtype: str, source: str):
    """Weights of all layers from the arrays of a weights file. Raises `UserError` for those of another network."""
    expected: dict[str, tuple[int, ...]] = {}
    for index, layer in enumerate(architecture.layers):
        expected[f"layers.{index}.weight"] = layer.shape
        if layer.bias:
            expected[f"layers.{index}.bias"] = layer.shape[-1:]
    got: dict[str, tuple[int, ...]] = {key: array.shape for key, array in arrays.items()}
    for key in sorted({*expected, *got}):
        if expected.get(key) != got.get(key):
            raise UserError(f"{source}: {key} has shape {got.get(key)}, the network needs {expected.get(key)}")
    layers = []
    for index in range(len(architecture.layers)):
        names = [name for name in ("weight", "bias") if f"layers.{index}.{name}" in arrays]
        layers.append({name: arrays[f"layers.{index}.{name}"].astype(dtype) for name in names})
        if not all(np.isfinite(array).all() for array in layers[-1].values()):
            raise UserError(f"{source}: layers.{index} holds NaN or infinite values")
    return tuple(layers)


def _check_directions(weights, program: train.Program, source: str) -> None:
    for index, (spec, layer) in enumerate(zip(program.network.layers, weights, strict=True)):
        normalized = program.norms[index] != "none" and spec.fixed is None
        if normalized and not layer["weight"].any(axis=tuple(range(len(spec.shape) - 1))).all():
            raise UserError(f"{source}: layers.{index} has a neuron of zero weights: no direction to normalize")
