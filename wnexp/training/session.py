"""A training program on a device, its seeds and their state, which the runner drives chunk by chunk."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.measures.base import Columns
from wnexp.nn import weights as weight_files
from wnexp.nn.losses import MarginLoss
from wnexp.optim.base import Rule
from wnexp.training import kept, loop, seed
from wnexp.training.devices import SeedBatch, put, take
from wnexp.training.hosts import together
from wnexp.training.program import Program, Traced, build_data, work

_GRID_POINTS = 81


class Table(NamedTuple):
    """A table of the records: its columns beside seed and step, and what its rows are one of."""

    columns: Columns
    axes: tuple[str, ...]
    names: tuple[str, ...]


class Rows(NamedTuple):
    """What a chunk recorded of the seeds trained together."""

    valid: np.ndarray  # (slots, s), where a seed made a record
    step: np.ndarray  # (slots, s)
    blocks: list[tuple[str, np.ndarray, Any]]  # table, where its columns count (slots, s), columns (slots, s, ...)
    snapshots: list[tuple[float, dict[int, Any]]]  # log loss, seed -> arrays of its weights file where it went below
    places: np.ndarray  # (s,), of these seeds in the run


class Session:
    """The batch of seeds of one run on its device. Host values in and out are numpy arrays, one entry per seed."""

    def __init__(
        self,
        program: Program,
        traced: Traced,
        dataset: Dataset,
        seeds: np.ndarray,
        weights: Any,
        devices: list[Any],
        tables: dict[str, Table],
        rule: Rule,
        code: str | None,
        distributed: bool = False,
    ):
        self.dataset, self.platform, self.tables = dataset, devices[0].platform, tables
        self.notes: list[str] = []  # what the user may not expect
        self.law: dict[str, Any] | None = None  # what theory says of the norm, for readers without JAX
        self.labels: dict[str, int] | None = None  # of the classes, where they came as words
        self.target, self.snapshot_losses = float(traced.target), traced.snapshots.tolist()
        # One after the other, seeds use all cores of a CPU already.
        a_step = min(getattr(rule, "batch_size", None) or len(dataset.train_x), len(dataset.train_x))
        a_step_takes = work(program.network, a_step, seeds=1)
        devices = devices if program.batched or distributed else devices[:1]
        self.batch = SeedBatch(seeds, devices, a_step_takes, distributed)
        self.distributed = distributed
        program = program.shared_by(self.batch.samples)
        self.program, self.rule, self.traced = program, rule, traced
        # What the last bits of a seed depend on beside itself: how many share its program, and the blocks of samples.
        shared_by = 1 if program.samples is None else program.samples.size
        alike = self.batch.width * shared_by // self.batch.devices if program.batched else 0
        self.rounding = np.tile([alike, min(program.block, len(dataset.train_x)) // shared_by], (len(seeds), 1))
        self._start = self.batch.pad((seeds, weights))
        folder = None if code is None or distributed else kept.folder()
        if code is None or folder is None:
            self._train = loop.make_train(program, self.batch.mesh)
        else:
            self._train = kept.kept_train(program, self.batch.mesh, devices[0], code, folder)
        self._fixed = self.batch.share((build_data(dataset, program.dtype), traced))
        self._state: Any = None
        self._margins = np.full(len(seeds), math.nan)  # at every seed's last record
        # Epochs take long and are counted from one; a full-batch attempt takes microseconds.
        self.first_attempts = 1000 if program.rule.full_batch else 1

    @property
    def seeds(self) -> np.ndarray:
        """The random seeds, `(s,)`."""
        return self.batch.seeds

    @together
    def start(self) -> None:
        """Set every seed to its initial weights."""
        self._begin()

    def _begin(self) -> None:
        self._state = self._without_fillers(self.batch.map(self._train.start, self._start, *self._fixed))
        lowest = float(self.log_losses().min())
        self.notes += self.rule.notes_at(lowest) if math.isfinite(lowest) else []

    def state_of(self, leaves: Sequence[np.ndarray]) -> tuple[seed.SeedState, np.ndarray]:
        """The leaves of a checkpoint as a state `(s, ...)` on the host, and its rounding. Raises `UserError`."""
        *leaves, rounding = leaves
        shapes = jax.eval_shape(loop.make_train(self.program).start, *self._start, *self._fixed)
        expected, structure = jax.tree.flatten(shapes)
        counts = {len(leaf) for leaf in leaves}
        fits = [(leaf.shape[1:], leaf.dtype) for leaf in expected] == [(leaf.shape[1:], leaf.dtype) for leaf in leaves]
        if not fits or len(counts) != 1 or max(counts) > self.batch.count:
            raise UserError("the checkpoint is of another program; overwrite=true starts the run again")
        return jax.tree.unflatten(structure, leaves), rounding

    @together
    def restore(self, state: seed.SeedState, rounding: np.ndarray) -> None:
        """Continue from a state on the host; seeds beyond those that it has start."""
        known = len(state.outcome)
        self.rounding[:known] = rounding
        if known < self.batch.count:
            self._begin()
            fresh = self.batch.own(self._state)
            state = jax.tree.map(lambda old, new: np.concatenate([old, new[known:]]), state, fresh)
        state = self.batch.pad(state)
        self._state = self._without_fillers(
            self.batch.split(state) if self.batch.whole else jax.tree.map(np.array, state)
        )

    def _without_fillers(self, state: seed.SeedState) -> seed.SeedState:
        """Places beyond the seeds do not train."""
        outcome = np.array(state.outcome)
        if (fillers := outcome[self.batch.count :]).size:
            fillers[:] = seed.MAX_STEPS
            state = state._replace(outcome=self.batch.split(outcome))
        return state

    @together
    def chunk(self, attempts: int) -> list[Rows]:
        """At most so many attempts of every seed; what was recorded, for each group of seeds trained together."""
        active = (np.asarray(self._state.outcome) == seed.RUNNING) | (np.asarray(self._state.recorded_step) < 0)
        parts = []
        for group in self.batch.groups(active):
            state = self._state if self.batch.whole else self.batch.split(take(self._state, group))
            made = self._train.chunk(state, *self._fixed, attempts)
            if self.batch.whole:
                self._state = made.state
            else:
                put(self._state, group, jax.device_get(made.state))
            own = np.flatnonzero(group < self.batch.count)
            filled = np.asarray(made.filled)[own]
            rows = jax.tree.map(lambda a: np.asarray(a)[: filled.max(), own], made.rows)  # noqa: B023
            if len(rows["valid"]):
                parts.append(self._rows(rows, group[own], self._snapshots(made, rows, own, group[own])))
        return parts

    def _rows(self, rows: Any, places: np.ndarray, taken: list[tuple[float, dict[int, Any]]]) -> Rows:
        valid, measures = rows["valid"], self.program.measures
        blocks = [(measures[index].table, valid, columns) for index, columns in rows["measures"].items()]
        blocks += [(measures[index].table, found["due"], found["columns"]) for index, found in rows["rare"].items()]
        for index, columns in rows["measures"].items():
            if measures[index].table == "steps" and "margin" in columns:
                for slot, made in enumerate(valid):
                    self._margins[places[made]] = columns["margin"][slot, made]
        return Rows(valid=valid, step=rows["step"], blocks=blocks, snapshots=taken, places=places)

    def _snapshots(
        self, made: loop.Chunk, rows: Any, own: np.ndarray, places: np.ndarray
    ) -> list[tuple[float, dict[int, Any]]]:
        """Of the seeds `own` of a chunk, in those places of the run: log loss, seed -> arrays of its weights file."""
        before, after = np.moveaxis(rows["snapshots"], -1, 0)
        crossed = rows["valid"] & (before < after)
        entries = np.cumsum(crossed, axis=0) - 1  # of the buffer
        found: dict[int, dict[int, Any]] = {}
        kept = jax.device_get(made.kept) if crossed.any() else None
        for entry in np.unique(entries[crossed]):
            parameters = self.batch.split(take(kept, int(entry)))
            state = made.state._replace(optimizer=made.state.optimizer._replace(parameters=parameters))
            weights = jax.tree.map(lambda a: np.asarray(a)[own], self._train.weights(state))
            for slot, index in np.argwhere(crossed & (entries == entry)).tolist():
                arrays = weight_files.to_arrays(take(weights, index))
                for level in range(before[slot, index], after[slot, index]):
                    found.setdefault(level, {})[int(self.seeds[places[index]])] = arrays
        return [(self.snapshot_losses[level], found[level]) for level in sorted(found)]

    def leaves(self) -> list[np.ndarray]:
        """The whole state, for a checkpoint, and how it was rounded."""
        return [*self.batch.own(jax.tree.leaves(self._state)), self.rounding]

    def running(self) -> bool:
        """Whether any seed still runs."""
        return bool(np.any(self.batch.own(self._state.outcome) == seed.RUNNING))

    def log_losses(self) -> np.ndarray:
        """The present log loss of every seed (nats)."""
        return self.batch.own(self._state.optimizer.log_loss)

    def last_margin(self) -> float:
        """The smallest margin among the seeds at the last record."""
        return float(np.min(self._margins))

    def seed_figures(self) -> list[dict[str, Any]]:
        """Per seed: outcome, log loss, accepted steps, attempts, step size."""
        now, outcome = self._state.optimizer, self._state.outcome
        columns = self.batch.own((outcome, now.log_loss, now.step, now.attempts, now.step_size))
        return [
            {
                "seed": int(number),
                "outcome": seed.OUTCOMES[outcome],
                "log_loss": _finite(log_loss),
                "step": int(step),
                "attempts": int(attempts),
                "step_size": _finite(step_size),
            }
            for number, outcome, log_loss, step, attempts, step_size in zip(self.seeds, *columns, strict=True)
        ]

    @together
    def weights(self, wanted: Any = slice(None)) -> Any:
        """Effective weights of all layers, a leading seed axis on every array; right for the places wanted."""
        return self.batch.own(self.batch.map(self._train.weights, (self._state,), wanted=wanted))

    def weight_arrays(self, places: np.ndarray | range) -> dict[int, dict[str, np.ndarray]]:
        """Seed -> the arrays of its weights file, for the seeds in those places."""
        if not len(places):
            return {}
        weights = self.weights(places)
        return {int(self.seeds[place]): weight_files.to_arrays(take(weights, int(place))) for place in places}

    @together
    def limit_directions(self) -> np.ndarray | None:
        """The limit gradient direction of every seed, `(seeds, weights)`; None where there is none or no gradients."""
        if ".gradients" not in self.tables or not isinstance(self.program.loss, MarginLoss):
            return None
        return self.batch.own(self.batch.map(self._train.limit, (self._state,), self._fixed[0]))

    @together
    def plane(self) -> list[tuple[str, np.ndarray, np.ndarray | None, np.ndarray]] | None:
        """For inputs in the plane: `(part, points (n, 2), labels (n,) or None, outputs (n,))` of the first seed.

        The output is the network's (two classes) or the predicted class, on train, test and a grid.
        """
        dataset = self.dataset
        if dataset.train_x.shape[1] != 2 or dataset.real:
            return None
        everything = np.concatenate([dataset.train_x, dataset.test_x])
        low, high = everything.min(axis=0), everything.max(axis=0)
        middle, reach = (low + high) / 2, max(0.6 * float((high - low).max()), 1.0)
        axes = [np.linspace(center - reach, center + reach, _GRID_POINTS) for center in middle]
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        outputs = self._first_decision(np.concatenate([everything, grid]))
        cuts = np.cumsum([len(dataset.train_x), len(dataset.test_x)])
        points, labels = (dataset.train_x, dataset.test_x, grid), (dataset.train_y, dataset.test_y, None)
        return list(zip(("train", "test", "grid"), points, labels, np.split(outputs, cuts), strict=True))

    def _first_decision(self, x: np.ndarray) -> np.ndarray:
        first = self.batch.split(jax.tree.map(lambda a: a[: self.batch.width], self._state))
        outputs = np.asarray(self._train.outputs(first, self.batch.share(x.astype(self.program.dtype))))[0]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs.argmax(axis=1).astype(float)


def _finite(value: Any) -> float | None:
    """A number for run.json, which holds no NaN and no infinity."""
    return float(value) if math.isfinite(value) else None
