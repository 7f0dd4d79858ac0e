"""From a configuration: the static program of a run, its traced settings, the initial weights of its seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Real

from wnexp.config.schema import Config
from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.measures.base import Measure
from wnexp.nn import torch_layout
from wnexp.nn import weights as weight_files
from wnexp.nn.losses import Loss, MarginLoss
from wnexp.nn.network import Network
from wnexp.nn.weightnorm import Norm, Unnormalized
from wnexp.optim.base import Hyperparameters, Rule
from wnexp.settings import without_traced

_SLOTS = 128
_KEPT = 64
_KEPT_BYTES = 2**28  # of the snapshots of a chunk, if there is room for one
MOST_ACTIVATIONS = 2**27  # numbers; of all samples of a block in all seeds, half a GiB in float32
_ACTIVATIONS_OF_A_CARD = 2**30  # 4 GiB, there where memory is plenty and what every small block costs is its launches
_CACHED_ACTIVATIONS = 2**22  # of one seed at a time, whose steps need no gradient over all samples: a CPU's cache
_BUSY_ACTIVATIONS, _BUSY_SAMPLES = 2**28, 128  # but so many samples, if they have room: few wait for the weights


@dataclass(frozen=True)
class Program:
    """Everything static: two runs with equal programs and array shapes share one compilation."""

    network: Network
    norms: tuple[Norm, ...]  # the parametrization of each layer
    metrics: tuple[Norm, ...]  # the parametrization whose flow the parameters follow, where it is not their own
    loss: Loss
    rule: Rule
    measures: tuple[Measure, ...]
    dtype: str  # of weights and data
    head_dtype: str  # of margins, losses and everything recorded
    slots: int = _SLOTS  # record rows a chunk can hold
    kept: int = _KEPT  # snapshots of a seed that a chunk can hold
    batched: bool = True  # all seeds as one batch, or one after the other
    packed: bool = False  # between attempts one vector, where the launch of a kernel costs more than its arithmetic
    block: int = 2**62  # samples whose activations may be in memory at once
    samples: Mesh | None = None  # devices that share the samples of every batch, their axis `samples`

    @property
    def own_norms(self) -> tuple[Norm, ...]:
        """The normalization of each layer, whose parameters are stepped or whose flow the weights follow."""
        return tuple(m if norm.is_identity else norm for norm, m in zip(self.norms, self.metrics, strict=True))

    @property
    def penalized(self) -> tuple[Norm, ...]:
        """The parametrization of each layer whose parameters a penalty is on."""
        return self.own_norms if self.loss.penalty == "parameters" else (Unnormalized(),) * len(self.norms)

    def shared_by(self, mesh: Mesh | None) -> "Program":
        """The program with the samples of every batch, and what they take of memory, shared by those devices."""
        return self if mesh is None else replace(self, samples=mesh, block=self.block * mesh.size)


class Data(NamedTuple):
    """Arrays of one data set; the test pair may have no rows."""

    train_x: Float[Array, "n d"]
    train_y: Real[Array, " n"]
    test_x: Float[Array, "m d"]
    test_y: Real[Array, " m"]


class Traced(NamedTuple):
    """Traced numbers of a run."""

    hyperparameters: Hyperparameters
    target: Float[Array, ""]  # log loss at which a seed is done (nats)
    max_steps: Int[Array, ""]
    record_every: Int[Array, ""]  # the next record point after step k is
    record_ratio: Float[Array, ""]  # max(k + record_every, ceil(k * record_ratio))
    snapshots: Float[Array, " thresholds"]  # log losses, descending


MOST_DEGREE = 2**31  # degrees are exact integers here, of 64 bits in compiled programs


def build_network(config: Config, dataset: Dataset) -> Network:
    """The architecture for the data. Raises `UserError` where the parts do not fit."""
    network = config.model.network(dataset.train_x.shape[1], dataset.outputs, dataset.image)
    if (degree := sum(network.degrees)) > MOST_DEGREE:
        raise UserError(
            f"the network of {len(network.layers)} layers has the homogeneity degree {degree:.3g}; at most 2^31: "
            "fewer layers, or another activation"
        )
    return network


def build_program(config: Config, dataset: Dataset, platform: str) -> Program:
    """The static description of a run. Raises `UserError` where the parts do not fit."""
    rule, norm, network = config.optimizer, config.norm, build_network(config, dataset)
    rule.check(network, norm, config.precision)
    if dataset.real and isinstance(config.loss, MarginLoss):
        given = f"loss={config.names['loss']} is of margins"
        raise UserError(f"{given}, and labels that are real numbers have none; allowed: loss=squared")
    norms, plain = norm.by_layer(len(network.layers)), (Unnormalized(),) * len(network.layers)
    # Mini-batches of one seed fill a CPU's cores; batches of products over seeds do so less well.
    batched = rule.full_batch or platform != "cpu"
    measures = [config.record.of(measure) for measure in config.measures.values()]
    return Program(
        network=rule.prepare(network, norm),
        norms=plain if rule.steps_on_weights else norms,
        metrics=norms if rule.steps_on_weights else plain,
        loss=config.loss,
        rule=without_traced(rule),
        measures=tuple(measure for measure in measures if measure.cost(network, len(dataset.train_x))),
        dtype=config.precision,
        head_dtype="float32" if platform == "tpu" else "float64",
        kept=int(np.clip(_KEPT_BYTES // (config.seeds * weight_bytes(network, config.precision)), 1, _KEPT)),
        batched=batched,
        packed=platform == "gpu" and rule.full_batch,
        block=_block(network, batched, config.seeds, platform),
    )


def _block(network: Network, batched: bool, seeds: int, platform: str) -> int:
    if not batched:
        busy = min(_BUSY_SAMPLES, _BUSY_ACTIVATIONS // network.activations)
        return max(1, busy, _CACHED_ACTIVATIONS // network.activations)
    most = MOST_ACTIVATIONS if platform == "cpu" else _ACTIVATIONS_OF_A_CARD
    return max(1, most // seeds // network.activations)


def build_traced(config: Config, dtype: str) -> Traced:
    """The traced numbers; those of the loss in `dtype`."""
    stop, record, real = config.stop, config.record, np.dtype(dtype).type
    hyperparameters = config.optimizer.hyperparameters()
    every, ratio = record.grid(stop)
    arrays: Any = {
        "hyperparameters": {
            name: np.bool_(v) if isinstance(v, bool) else real(v) for name, v in hyperparameters.items()
        },
        "target": real(stop.log_loss),
        "max_steps": np.int64(stop.max_steps),
        "record_every": np.int64(every),
        "record_ratio": real(ratio),
        "snapshots": np.asarray(sorted(set(config.snapshots), reverse=True), dtype),
    }
    return Traced(**arrays)


def build_data(dataset: Dataset, dtype: str) -> Data:
    """The arrays of a data set, inputs in `dtype`."""
    train_x, test_x = (x.astype(dtype, copy=False) for x in (dataset.train_x, dataset.test_x))
    arrays: Any = {"train_x": train_x, "train_y": dataset.train_y, "test_x": test_x, "test_y": dataset.test_y}
    return Data(**arrays)


def weight_bytes(network: Network, dtype: str) -> int:
    """Bytes of the weights of one seed."""
    return sum(math.prod(layer.shape) for layer in network.layers) * np.dtype(dtype).itemsize


def work(network: Network, samples: int, seeds: int) -> float:
    """Multiply-adds of all seeds on so many samples each, forwards."""
    height, width, _ = network.image or (1, 1, 1)
    weights = sum(math.prod(layer.shape) * (height * width if len(layer.shape) > 2 else 1) for layer in network.layers)
    return float(weights * samples * seeds)


def initial_weights(config: Config, program: Program, seeds: Sequence[int], load: Any) -> tuple[Any, Any]:
    """`(trained, fixed)` initial weights of every seed, a leading seed axis on each array. Raises `UserError`.

    `load` reads the arrays of a weights file.
    """
    model = config.model
    if model.initial_weights is not None:
        read = {path: _given_weights(path, program, load) for path in model.weight_files(seeds)}
        drawn = [read[path] for path in model.weight_files(seeds)]
    else:
        drawn = model.start(program.network, seeds, program.dtype)
    if model.init_scale != 1:
        drawn = [_scaled(weights, program, model.init_scale) for weights in drawn]
    return weight_files.split(program.network, jax.tree.map(lambda *arrays: np.stack(arrays), *drawn))


def _scaled(weights, program: Program, factor: float) -> tuple:
    """The weights of the trained layers times the factor. Raises `UserError` where they are no numbers then."""
    source, scaled = f"model.init_scale={factor}", []
    with np.errstate(over="ignore"):
        for spec, layer in zip(program.network.layers, weights, strict=True):
            scaled.append(layer if spec.fixed is not None else layer | {"weight": layer["weight"] * factor})
    if not all(np.isfinite(layer["weight"]).all() for layer in scaled):
        raise UserError(f"{source}: the initial weights overflow {program.dtype}; give a smaller one")
    _check_directions(scaled, program, source)
    return tuple(scaled)


def _given_weights(path: Path, program: Program, load: Any) -> tuple:
    """The weights of a file, one entry per layer. Raises `UserError`."""
    source = f"model.initial_weights={path}"
    arrays = load(path)
    if not torch_layout.is_own(arrays):
        arrays = torch_layout.from_torch(arrays, program.network, source)
    weights = weight_files.from_arrays(arrays, program.network, program.dtype, source)
    _check_directions(weights, program, source)
    return weights


def _check_directions(weights, program: Program, source: str) -> None:
    """Raise `UserError` for a neuron whose norm a normalization would divide by and finds to be 0, or nearly so."""
    for index, (spec, norm, layer) in enumerate(zip(program.network.layers, program.own_norms, weights, strict=True)):
        if norm.is_identity or spec.fixed is not None:
            continue
        with np.errstate(over="ignore"):  # what is too large is found where the loss is
            squares = np.sum(np.square(layer["weight"]), axis=tuple(range(len(spec.shape) - 1)))
        lost = np.flatnonzero(squares < np.finfo(squares.dtype).tiny)
        least = norm.least_size(float(np.finfo(squares.dtype).eps))
        if not lost.size and not program.norms[index].is_identity and (small := np.sqrt(squares.min())) < least:
            raise UserError(
                f"{source}: layers.{index} has a neuron of norm {small:.2g}, whose scale is lost below {least:.2g}"
            )
        if lost.size:
            largest = float(np.abs(layer["weight"][..., lost[0]]).max())
            reason = (
                "zero weights"
                if not largest
                else f"weights of at most {largest:.2g}, whose squares are 0 in {squares.dtype}"
            )
            raise UserError(f"{source}: layers.{index} neuron {lost[0]} has {reason}: no direction to normalize")
