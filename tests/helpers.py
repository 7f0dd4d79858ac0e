"""What several test modules share: composed configurations, small programs trained to the end."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wnexp.config import compose as composing
from wnexp.config.schema import Config
from wnexp.data.dataset import Dataset
from wnexp.measures import MEASURES
from wnexp.measures.base import Measure
from wnexp.nn import network
from wnexp.nn.activations import ACTIVATIONS
from wnexp.nn.initializers import initialize
from wnexp.nn.losses import LOSSES
from wnexp.nn.weightnorm import NORMS, Unnormalized
from wnexp.nn.weights import split
from wnexp.optim import OPTIMIZERS
from wnexp.runs import snapshots
from wnexp.settings import settings as settings_of
from wnexp.settings import without_traced
from wnexp.theory.seeds import SeedRecords
from wnexp.training import loop, prepare, program, seed, session
from wnexp.training.options import OPTIONS

SHARED = Path(__file__).resolve().parents[2] / "shared"
LIN_SEP = ("seeds=2", "stop.log_loss=-20", "snapshots=[-5,-20]")  # of runs that several folders train and compile
EPOCHS = (  # in mini-batches, short
    "experiment=digits",
    "data=gaussian",
    "data.train_per_class=42",
    "optimizer.batch_size=16",
    "precision=float64",
)
# The command in a script that says after the first chunk how many devices share its samples.
SAYS_WHO_SHARES = (
    "import sys; from wnexp.training import session\n"
    "whole = session.Session.chunk\n"
    "def chunk(self, attempts):\n"
    "    parts = whole(self, attempts)\n"
    "    mesh = self.program.samples\n"
    "    text = self._train.chunk.lower(self._state, *self._fixed, 0).compile().as_text()\n"
    "    print('shared by', mesh and mesh.size, 'sums' if 'all-reduce' in text else 'alone')\n"
    "    session.Session.chunk = whole\n"
    "    return parts\n"
    "session.Session.chunk = chunk\n"
    "from wnexp.cli import main; sys.exit(main(sys.argv[1:]))"
)
REPLAY, MNIST_16K = SHARED / "reference" / "replay", SHARED / "data" / "mnist-16k"


def compose(*overrides: str) -> Config:
    """The checked configuration of a command."""
    return composing.compose(overrides, OPTIONS).config(OPTIONS)


def prepared(*overrides: str) -> session.Session:
    """A session as the runner makes it, not started."""
    config = compose(*overrides)
    return prepare.prepare(config, config.data.load(), snapshots.read)


@cache
def activation(name):
    return ACTIVATIONS[name]


def mlp(inputs, widths, outputs, activation_name, first_bias=False, fixed_output=None) -> network.Network:
    """A dense network, its activation by name."""
    return network.mlp(inputs, tuple(widths), outputs, activation(activation_name), first_bias, fixed_output)


LINEAR = mlp(2, (), 1, "linear")
SMALL = mlp(2, (8,), 1, "relu_squared")
# One network of every kind; all take rows of three numbers, "convolutions" 3 x 4 images of two channels.
ARCHITECTURES = {
    "linear": mlp(3, (), 1, "linear"),
    "deep linear": mlp(3, (4, 4), 2, "linear"),
    "relu with bias": mlp(3, (5,), 3, "relu", first_bias=True),
    "relu squared": mlp(3, (5, 4), 1, "relu_squared"),
    "fixed output": mlp(3, (4,), 1, "relu", fixed_output=(1.0, 1.0, -1.0, -1.0)),
    "diagonal": network.diagonal(3),
    "convolutions": network.convolutional((3, 4, 2), (3, "M", 4), (5,), 3, activation("relu"), first_bias=True),
}
INPUTS = {name: 24 if name == "convolutions" else 3 for name in ARCHITECTURES}


def measures(*names: str) -> tuple[Measure, ...]:
    """These measures alone: a program with fewer of them compiles sooner. Progress is among them."""
    return tuple(MEASURES[name] for name in ("progress", *names))


def make_program(
    architecture=SMALL, norm="none", loss="cross_entropy", reduction="sum", optimizer="gd", batch_size=None, **changes
) -> program.Program:
    """A program of float64; `changes` replace its fields, or settings of its rule and measures."""
    rule = OPTIMIZERS[optimizer]
    own = {name: changes.pop(name) for name in list(changes) if name in settings_of(rule)}
    own |= {} if batch_size is None else {"batch_size": batch_size}
    recorded = tuple(MEASURES.values())
    for name in [name for name in changes if any(name in settings_of(measure) for measure in recorded)]:
        value = changes.pop(name)
        recorded = tuple(
            dataclasses.replace(measure, **{name: value}) if name in settings_of(measure) else measure
            for measure in recorded
        )
    depth = len(architecture.layers)
    made = program.Program(
        network=architecture,
        norms=(NORMS[norm],) * depth,
        metrics=(Unnormalized(),) * depth,
        loss=dataclasses.replace(LOSSES[loss], reduction=reduction),
        rule=without_traced(dataclasses.replace(rule, **own)),
        measures=recorded,
        dtype="float64",
        head_dtype="float64",
        slots=32,
    )
    return dataclasses.replace(made, **changes)


def hyperparameters(
    step_size=0.01, cap=0.01, frac=30.0, factor=1.1, shrink=None, tolerance=1e-8, from_start=False, weight_decay=0.0
):
    """The hyperparameters of all rules."""
    return {
        "step_size": np.float64(step_size),
        "cap": np.float64(cap),
        "exponent": np.float64(-1.0 if frac == 0 else 1 / frac - 1),
        "factor": np.float64(factor),
        "shrink": np.float64(shrink or factor),
        "tolerance": np.float64(tolerance),
        "from_start": np.bool_(from_start),
        "weight_decay": np.float64(weight_decay),
    }


def numbers_of(optimizer, **own):
    """The hyperparameters of a rule with settings of its own, in float64."""
    found = dataclasses.replace(OPTIMIZERS[optimizer], **own).hyperparameters()
    return {name: np.bool_(value) if isinstance(value, bool) else np.float64(value) for name, value in found.items()}


def make_settings(
    target=-20.0, max_steps=10000, every=1, ratio=1.05, snapshots=(), numbers=None, **step
) -> program.Traced:
    """Traced settings; `step` are `hyperparameters`, unless `numbers` are the rule's own."""
    return program.Traced(
        hyperparameters=hyperparameters(**step) if numbers is None else numbers,
        target=np.float64(target),
        max_steps=np.int64(max_steps),
        record_every=np.int64(every),
        record_ratio=np.float64(ratio),
        snapshots=np.asarray(snapshots, float),
    )


def data_of(dataset: Dataset) -> program.Data:
    return program.build_data(dataset, "float64")


def points_of(train_x, train_y, test_x=None, test_y=None) -> program.Data:
    """Arrays as the data of a program, without a test set unless there is one."""
    test_x, test_y = (train_x[:0], train_y[:0]) if test_x is None else (test_x, test_y)
    return program.Data(train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)


def logistic(w, x, y):
    """Loss (sum) and gradient of the linear logistic model, in plain floats."""
    margin = y * (x @ w)
    return np.log1p(np.exp(-margin)).sum(), -((y / (1 + np.exp(margin))) @ x)


def lin_sep(seed=0) -> program.Data:
    """Four separable points in the plane."""
    rng = np.random.default_rng(seed)
    x = np.array([[1.0, 1.0], [1.4, 1.2], [-1.0, 1.0], [-1.3, -1.6]]) + 0.01 * rng.standard_normal((4, 2))
    y = np.array([-1, -1, 1, 1])
    return program.Data(train_x=x, train_y=y, test_x=x[:2], test_y=y[:2])


def started(what: program.Program, data, configuration, seeds=(0,), weights=None):
    """The compiled functions and the first state; `weights` have a leading seed axis."""
    functions = loop.make_train(what)
    if weights is None:
        drawn = [initialize(what.network, seed, "uniform", what.dtype) for seed in seeds]
        weights = jax.tree.map(lambda *arrays: np.stack(arrays), *drawn)
    return functions, functions.start(np.asarray(seeds), split(what.network, weights), data, configuration)


def run(what: program.Program, data, configuration, seeds=(0,), weights=None, attempts=100_000):
    """Train to the end. Returns the final state and the rows of every chunk, arrays `(slots, seeds, ...)`."""
    functions, state = started(what, data, configuration, seeds, weights)
    records = []
    while True:
        state, rows, filled, _ = functions.chunk(state, data, configuration, attempts)
        slots = int(filled.max())
        records.append(named(what, jax.tree.map(lambda values, slots=slots: np.asarray(values[:slots]), rows)))
        if not np.any(np.asarray(state.outcome) == seed.RUNNING) and slots == 0:
            return state, records


def named(what: program.Program, rows):
    """The rows of a chunk with the columns of the measures by table: `steps`, `neurons`, `samples`, ..."""
    tables = {}
    for index, columns in rows["measures"].items():
        tables.setdefault(what.measures[index].table, {}).update(columns)
    return {key: rows[key] for key in ("valid", "step", "snapshots", "rare")} | tables


def column(records, name, place=0):
    """A column of `steps` for one seed, valid rows in order."""
    parts = []
    for rows in records:
        values = rows[name] if name == "step" else rows["steps"][name]
        parts.append(values[:, place][rows["valid"][:, place]])
    return np.concatenate(parts)


def outcomes(state):
    return [seed.OUTCOMES[code] for code in np.asarray(state.outcome)]


def seed_records(tau, norms, log_gradients=None, alignments=None, layers=None, degrees=None, **steps) -> SeedRecords:
    """A seed made of curves over `tau = -log L`, for the theory's fits and claims."""
    norms = np.asarray(norms, float)
    zeros = np.zeros_like(norms)
    return SeedRecords(
        seed=0,
        steps={"log_loss": -tau, "log_time": tau, "margin": np.ones_like(tau)} | steps,
        norms=norms,
        log_gradients=zeros if log_gradients is None else log_gradients,
        alignments=zeros + 1 if alignments is None else alignments,
        layers=np.zeros(norms.shape[1], int) if layers is None else np.asarray(layers),
        degrees=np.ones(norms.shape[1], int) if degrees is None else np.asarray(degrees),
    )


def labelled(panel) -> dict[str, Any]:
    """The lines of a panel that the legend names."""
    return {line.get_label(): line for line in panel.lines if not line.get_label().startswith("_")}


def line_points(lines) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """What lines show, in an order of its own."""
    return sorted((tuple(line.get_xdata()), tuple(line.get_ydata())) for line in lines if len(line.get_xdata()))


def table_curves(frame, x: str, y: str, by: str = "seed") -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """The same of a table, a curve for every seed."""
    groups = frame.dropna(subset=[x, y]).sort_values(x).groupby(by)
    return sorted((tuple(rows[x]), tuple(rows[y])) for _, rows in groups)
