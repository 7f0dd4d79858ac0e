"""From a configuration and data to a `Session`: device, precision, program, initial weights, and what to say first."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wnexp import resources
from wnexp.config.schema import Config
from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.nn.losses import Loss, MarginLoss
from wnexp.nn.weightnorm import Norm
from wnexp.training import reach
from wnexp.training.devices import open_devices
from wnexp.training.program import (
    Program,
    build_network,
    build_program,
    build_traced,
    initial_weights,
    weight_bytes,
    work,
)
from wnexp.training.session import Session, Table

_MOST_NAMED = 10  # classes in a note; run.json has them all
_WEIGHT_COPIES = 4  # initial weights, parameters, gradient, proposal


def prepare(config: Config, dataset: Dataset, load_weights: Any, code: str | None = None) -> Session:
    """Choose the device and precision, build the program, check initial weights. Raises `UserError`.

    The configuration is spent here. `load_weights` reads the arrays of a weights file. Compiled programs
    are kept, and found again by `code`, where that says which source code they are made of.
    """
    network, samples = build_network(config, dataset), len(dataset.train_x)
    takes = work(network, samples, config.seeds)
    devices = open_devices(config.device, config.precision, takes, config.distributed)
    program = build_program(config, dataset, devices[0].platform)
    resources.check(_bytes_needed(program, samples, config.seeds), "a run of this size")
    _check_range(dataset, config.precision)
    seeds = np.arange(config.seed, config.seed + (1 if _alike(config) else config.seeds))
    weights = initial_weights(config, program, seeds.tolist(), load_weights)
    traced = build_traced(config, program.head_dtype)
    tables = _tables(config.measures, program)
    session = Session(
        program, traced, dataset, seeds, weights, devices, tables, config.optimizer, code, config.distributed
    )
    session.law = _law(config.norm.by_layer(len(network.layers)))
    session.labels = dataset.labels
    if session.labels is not None and len(session.labels) <= _MOST_NAMED:
        session.notes.append("labels: " + ", ".join(f"{name} is {label}" for name, label in session.labels.items()))
    session.notes += config.optimizer.notes(program.network, samples)
    session.notes += reach.notes(config.optimizer, network, config.norm, program.loss, dataset, session.target)
    if not isinstance(program.loss, MarginLoss):
        session.notes.append("the loss is no function of margins: columns and figures of margins are left out")
    penalty = config.loss.log_penalty
    if penalty is None and config.loss.penalty != Loss.penalty:
        session.notes.append(f"loss.penalty={config.loss.penalty} changes nothing without loss.log_penalty")
    if penalty is not None and session.target < penalty:
        session.notes.append(
            f"loss.log_penalty={penalty:g} keeps what is minimized above it by log R: the "
            f"target {session.target:g} is out of reach, and runs end where no step gets further (step_underflow)"
        )
    if len(seeds) < config.seeds:
        session.notes.append(
            f"seeds={config.seeds}: from one file of initial weights and with the whole training set at every step all "
            "of them would be equal; one is trained (a file each: model.initial_weights='FILE{seed}.safetensors')"
        )
    return session


def _law(norms: Sequence[Norm]) -> dict[str, Any] | None:
    """What theory says of the neurons of all normalized layers; None where they differ or a layer has one scale."""
    laws = {norm.law if norm.per == "neuron" else None for norm in norms if not norm.is_identity}
    law = laws.pop() if len(laws) == 1 else None if laws else norms[0].law
    return None if law is None else {"normalizes": law.normalizes, "slope": law.slope}


def _alike(config: Config) -> bool:
    """Whether all seeds would be the same run: nothing is drawn."""
    return config.model.initial_weights is not None and not config.model.per_seed and config.optimizer.full_batch


def _tables(measures: Any, program: Program) -> dict[str, Table]:
    """What is recorded, a table of a measure that does not apply to the run too; scratch only if it is made."""
    found: dict[str, Table] = {}
    made = {measure.table for measure in program.measures}
    for measure in measures.values():
        if measure.table in made or not measure.table.startswith("."):
            earlier = found[measure.table].columns if measure.table in found else {}
            found[measure.table] = Table(columns=earlier | measure.columns, axes=measure.axes, names=measure.names)
    return found


def _bytes_needed(program: Program, samples: int, seeds: int) -> int:
    """A lower estimate: the weights a few times over, and the record slots of a chunk."""
    weights = weight_bytes(program.network, program.dtype)
    numbers = sum(measure.cost(program.network, samples) for measure in program.measures)
    beside = max(measure.memory(program.network) for measure in program.measures)  # seed by seed
    return 8 * beside + seeds * (_WEIGHT_COPIES * weights + 8 * program.slots * numbers)


def _check_range(dataset: Dataset, precision: str) -> None:
    """Raise `UserError` for inputs whose squares, summed over a sample, are no numbers of that precision."""
    largest = math.sqrt(float(np.finfo(precision).max) / dataset.train_x.shape[1])
    for name, x in (("train_x", dataset.train_x), ("test_x", dataset.test_x)):
        if x.size and (reached := float(np.abs(x).max())) > largest:
            raise UserError(
                f"{name} overflows {precision}: its inputs reach {reached:.4g}, their squares must stay finite "
                f"(at most {largest:.2g}); scale the data"
            )
