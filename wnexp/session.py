"""A training program on a device: configuration and data set -> `Session`, which the runner drives chunk by chunk."""

import math
from typing import Any

import jax
import numpy as np

from wnexp import build, memory, network, optimizers, train
from wnexp.config import Config, UserError
from wnexp.data import Dataset
from wnexp.devices import Lanes, open_devices, put

_WEIGHT_COPIES = 4  # initial weights, parameters, gradient, proposal


def prepare(config: Config, dataset: Dataset) -> "Session":
    """Choose the device and precision, build the program, check initial weights. Raises `UserError`."""
    devices = open_devices(config.device, config.precision, build.work(config, dataset))
    program = build.build_program(config, dataset, devices[0].platform)
    memory.check(_bytes_needed(program, len(dataset.train_x), config.seeds), "a run of this size")
    _check_range(dataset, config.precision)
    weights = build.initial_weights(config, program)
    if config.optimizer.batch_size is not None and config.optimizer.batch_size > len(dataset.train_x):
        print(
            f"note: optimizer.batch_size={config.optimizer.batch_size} is more than the {len(dataset.train_x)} "
            "training samples; an epoch is one step on all of them"
        )
    return Session(config, dataset, program, weights, devices)


def _bytes_needed(program: train.Program, samples: int, seeds: int) -> int:
    """A lower estimate: the weights a few times over, and the record slots of a chunk."""
    weights = numbers = 0
    for layer in program.network.layers:
        fan_in, neurons = math.prod(layer.shape[:-1]), int(layer.shape[-1])
        weights += fan_in * neurons
        numbers += neurons * (5 + (fan_in if fan_in <= program.max_direction else 0))
    numbers += 2 * samples if samples <= program.max_samples else 0
    numbers += weights if weights <= program.max_gradient else 0
    return seeds * (_WEIGHT_COPIES * weights * np.dtype(program.dtype).itemsize + 8 * program.slots * numbers)


def _check_range(dataset: Dataset, precision: str) -> None:
    """Raise `UserError` for inputs whose squares, summed over a sample, are no numbers of that precision."""
    largest = math.sqrt(float(np.finfo(precision).max) / dataset.train_x.shape[1])
    for name, x in (("train_x", dataset.train_x), ("test_x", dataset.test_x)):
        if x.size and (reached := float(np.abs(x).max())) > largest:
            raise UserError(
                f"{name} overflows {precision}: its inputs reach {reached:.4g}, their squares must stay finite "
                f"(at most {largest:.2g}); scale the data"
            )


class Session:
    """The batch of seeds of one run on its device. Host values in and out are numpy arrays, one entry a seed."""

    def __init__(self, config: Config, dataset: Dataset, program: train.Program, weights: Any, devices: list[Any]):
        self.dataset, self.platform = dataset, devices[0].platform
        self.seeds = np.arange(config.seed, config.seed + config.seeds)
        self.snapshot_losses = sorted(set(config.snapshots), reverse=True)
        # One after the other, seeds use all cores of a CPU already.
        self._lanes = Lanes(config.seeds, devices if program.batched else devices[:1])
        self._program = program
        self._start = self._lanes.pad((self.seeds, weights))
        self._train = train.make_train(program, self._lanes.mesh)
        settings = _settings(config, self.snapshot_losses, program.head_dtype)
        self._fixed = self._lanes.share((_data(dataset, program), settings))
        self._state: Any = None
        self._margins = np.full(config.seeds, math.nan)  # at every seed's last record
        # Epochs take long and are counted from one; a full-batch attempt takes microseconds.
        self.first_attempts = 1000 if optimizers.OPTIMIZERS[program.optimizer].full_batch else 1

    def start(self) -> None:
        """Set every seed to its initial weights."""
        self._state = self._without_fillers(self._lanes.map(self._train.start, self._start, *self._fixed))

    def restore(self, leaves: list[np.ndarray]) -> None:
        """Continue from the leaves of a checkpoint. Raises `UserError` if they are another program's."""
        shapes = jax.eval_shape(train.make_train(self._program).start, *self._start, *self._fixed)
        expected, structure = jax.tree.flatten(shapes)
        leaves = self._lanes.pad(leaves)
        if [(leaf.shape, leaf.dtype) for leaf in expected] != [(leaf.shape, leaf.dtype) for leaf in leaves]:
            raise UserError("the checkpoint is of another program; overwrite=true starts the run again")
        state = jax.tree.unflatten(structure, leaves)
        self._state = self._without_fillers(
            self._lanes.split(state) if self._lanes.whole else jax.tree.map(np.array, state)
        )

    def _without_fillers(self, state: train.State) -> train.State:
        """Lanes beyond the seeds do not train."""
        outcome = np.array(state.outcome)
        if (fillers := outcome[self._lanes.count :]).size:
            fillers[:] = train.MAX_STEPS
            state = state._replace(outcome=self._lanes.split(outcome))
        return state

    def chunk(self, attempts: int) -> list[tuple[Any, np.ndarray, np.ndarray]]:
        """At most so many attempts of every seed.

        Returns, for each group of seeds trained together, the record rows `(slots, s, ...)`, how many slots of each
        seed are filled `(s,)`, and the places `(s,)` of its seeds in `seeds`.
        """
        active = (np.asarray(self._state.outcome) == train.RUNNING) | (np.asarray(self._state.recorded_step) < 0)
        parts = []
        for group in self._lanes.groups(active):
            if self._lanes.whole:
                self._state, rows, filled = self._train.chunk(self._state, *self._fixed, attempts)
            else:
                state = self._lanes.split(jax.tree.map(lambda a: a[group], self._state))  # noqa: B023
                state, rows, filled = self._train.chunk(state, *self._fixed, attempts)
                put(self._state, group, jax.device_get(state))
            own = np.flatnonzero(group < self._lanes.count)
            filled = np.asarray(filled)[own]
            rows = jax.tree.map(lambda a: np.asarray(a)[: filled.max(), own], rows)  # noqa: B023
            parts.append((rows, filled, group[own]))
            for slot, valid in enumerate(rows["valid"]):
                self._margins[group[own[valid]]] = rows["steps"]["margin"][slot, valid]
        return parts

    def _own(self, tree: Any) -> Any:
        """The seeds' part of arrays with a leading lane axis, on the host."""
        return jax.tree.map(lambda a: np.asarray(a)[: self._lanes.count], tree)

    def leaves(self) -> list[np.ndarray]:
        """The whole state, for a checkpoint."""
        return self._own(jax.tree.leaves(self._state))

    def running(self) -> bool:
        """Whether any seed still runs."""
        return bool(np.any(self._own(self._state.outcome) == train.RUNNING))

    def log_losses(self) -> np.ndarray:
        """The present log loss of every seed (nats)."""
        return self._own(self._state.iterate.log_loss)

    def last_margin(self) -> float:
        """The smallest margin among the seeds at the last record."""
        return float(np.min(self._margins))

    def seed_figures(self) -> list[dict[str, Any]]:
        """Per seed: outcome, log loss, accepted steps, attempts, step size."""
        iterate, outcome = self._state.iterate, self._state.outcome
        columns = self._own((outcome, iterate.log_loss, iterate.step, iterate.attempts, iterate.step_size))
        return [
            {
                "seed": int(seed),
                "outcome": train.OUTCOMES[outcome],
                "log_loss": _finite(log_loss),
                "step": int(step),
                "attempts": int(attempts),
                "step_size": _finite(step_size),
            }
            for seed, outcome, log_loss, step, attempts, step_size in zip(self.seeds, *columns, strict=True)
        ]

    def weights(self, wanted: Any = slice(None)) -> Any:
        """Effective weights of all layers, a leading seed axis on every array; right for the places wanted."""
        return self._own(self._lanes.map(self._train.weights, (self._state,), wanted=wanted))

    def limit_directions(self) -> np.ndarray | None:
        """The limit gradient direction of every seed, `(seeds, weights)`; None where gradients are not recorded."""
        trained, _ = network.split(self._program.network, self._start[1])
        if sum(leaf[0].size for leaf in jax.tree.leaves(trained)) > self._program.max_gradient:
            return None
        return self._own(self._lanes.map(self._train.limit, (self._state,), self._fixed[0]))

    def first_decision(self, x: np.ndarray) -> np.ndarray:
        """The first seed's output (two classes) or predicted class at points `(n, d)`, shape `(n,)`."""
        first = self._lanes.split(jax.tree.map(lambda a: a[: self._lanes.width], self._state))
        outputs = np.asarray(self._train.outputs(first, self._lanes.share(x.astype(self._program.dtype))))[0]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs.argmax(axis=1).astype(float)


def _finite(value: Any) -> float | None:
    """A number for run.json, which holds no NaN and no infinity."""
    return float(value) if math.isfinite(value) else None


def _data(dataset: Dataset, program: train.Program) -> train.Data:
    train_x, test_x = (x.astype(program.dtype, copy=False) for x in (dataset.train_x, dataset.test_x))
    arrays: Any = (train_x, dataset.train_y, test_x, dataset.test_y)
    return train.Data(*arrays)


def _settings(config: Config, snapshots: list[float], dtype: str) -> train.Settings:
    optimizer, stop, record = config.optimizer, config.stop, config.record
    constant = optimizer.name == "gd_constant"
    exponent = 0.0 if constant else -1.0 if optimizer.frac == 0 else 1 / optimizer.frac - 1
    cap = math.inf if optimizer.step_size_cap is None else optimizer.step_size_cap
    real: Any = np.dtype(dtype).type
    integer: Any = np.int64
    thresholds: Any = np.asarray(snapshots, dtype)
    factor = 1.0 if constant else optimizer.factor
    shrink = factor if optimizer.shrink is None else optimizer.shrink
    continued: Any = np.bool_(config.model.initial_weights is not None)
    reals = map(real, (optimizer.step_size, cap, exponent, factor, shrink, optimizer.tolerance))
    numbers = optimizers.Numbers(*reals, continued=continued)
    ratio = 1.0 if record.every is not None else stop.max_steps ** (1 / record.points)
    return train.Settings(
        optimizer=numbers,
        target=real(stop.log_loss),
        max_steps=integer(stop.max_steps),
        record_every=integer(record.every or 1),
        record_ratio=real(ratio),
        snapshots=thresholds,
    )
