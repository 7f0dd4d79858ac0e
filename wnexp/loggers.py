"""Runs sent to TensorBoard, Weights & Biases or MLflow: as they go on, `logger=tensorboard`, or when they are over.

Names are the same everywhere: `log_loss/seed_0` for every number of steps.parquet against accepted steps, the flat
settings as hyper-parameters, the last record of every seed as `final/log_loss/seed_0`, and the figures `loss`, `margin`
and `norms`. A library's own environment variables (WANDB_MODE, MLFLOW_TRACKING_URI, ...) say where it writes. A row of
`LOGGERS` is a class with `scalars`, `picture` and `close`.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from wnexp.errors import UserError
from wnexp.opening import Listener, LiveRun
from wnexp.runs import reader
from wnexp.runs.files import shown
from wnexp.settings import choose

FIGURES = ("loss", "margin", "norms")
Scalars = Mapping[str, float]


@runtime_checkable
class Sink(Protocol):
    """Where a run is logged."""

    def scalars(self, step: int, values: Scalars) -> None:
        """Numbers of one seed at a step."""

    def picture(self, name: str, file: Path) -> None:
        """A figure as a PNG file."""

    def close(self, settings: Mapping[str, Any], final: Scalars) -> None:
        """All is said; `final` are the last figures of every seed."""


class TensorBoard:
    """Event files in `RUN/tensorboard`; `tensorboard --logdir outputs` shows all runs."""

    needs = "tensorboardX"

    def __init__(self, directory: Path, settings: Mapping[str, Any]):
        from tensorboardX import SummaryWriter

        folder = directory / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)  # a run that is taken up again is logged from its start
        self._writer = SummaryWriter(str(folder))

    def scalars(self, step, values):
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name, file):
        from matplotlib.image import imread

        self._writer.add_image(f"figures/{name}", imread(file)[..., :3], dataformats="HWC")

    def close(self, settings, final):
        plain = {
            key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in settings.items()
        }
        self._writer.add_hparams(plain, dict(final), name=".")
        self._writer.close()


class WeightsAndBiases:
    """A run of the project `wnexp`, or $WANDB_PROJECT; with WANDB_MODE=offline in `RUN/wandb`, for `wandb sync`."""

    needs = "wandb"

    def __init__(self, directory: Path, settings: Mapping[str, Any]):
        import wandb

        self._wandb, self._known = wandb, set()
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "wnexp"),
            name=directory.name,
            group=directory.parent.name,
            id=f"{_identity(directory)}-{int(time.time())}",
            config=dict(settings),
            dir=str(directory),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def scalars(self, step, values):
        seed = next(iter(values)).rpartition("/")[2]
        for name in values.keys() - self._known:
            self._run.define_metric(name, step_metric=f"step/{seed}")
            self._known.add(name)
        self._run.log({**values, f"step/{seed}": step})

    def picture(self, name, file):
        self._run.log({f"figures/{name}": self._wandb.Image(str(file))})

    def close(self, settings, final):
        self._run.summary.update(dict(final))
        self._run.finish()


class MLflow:
    """A run of the experiment `wnexp/<folder>` at $MLFLOW_TRACKING_URI."""

    needs = "mlflow"

    def __init__(self, directory: Path, settings: Mapping[str, Any]):
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._metric = Metric
        self._client = MlflowClient()
        name = f"wnexp/{directory.parent.name}"
        experiment = self._client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else self._client.create_experiment(name)
        tags = {"wnexp.run": str(directory)}
        self._run = self._client.create_run(place, run_name=directory.name, tags=tags).info.run_id
        parameters = [Param(key, str(value)) for key, value in settings.items()]
        for first in range(0, len(parameters), 100):  # the most that one call takes
            self._client.log_batch(self._run, params=parameters[first : first + 100])
        self._waiting: list[Any] = []

    def scalars(self, step, values):
        now = int(1000 * time.time())
        self._waiting += [self._metric(name, value, now, step) for name, value in values.items()]
        if len(self._waiting) >= 900:
            self._send()

    def _send(self) -> None:
        for first in range(0, len(self._waiting), 1000):  # the most that one call takes
            self._client.log_batch(self._run, metrics=self._waiting[first : first + 1000])
        self._waiting = []

    def picture(self, name, file):
        self._client.log_artifact(self._run, str(file), "figures")

    def close(self, settings, final):
        self.scalars(0, final)
        self._send()
        self._client.set_terminated(self._run)


LOGGERS: dict[str, Callable[[Path, Mapping[str, Any]], Sink]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}


def opened(name: str, directory: Path, settings: Mapping[str, Any]) -> Sink:
    """The logger of that name. Raises `UserError` for one that there is not, and where its library is missing."""
    try:
        return _kind(name)(directory.resolve(), settings)
    except UserError:
        raise
    except Exception as error:  # of a library, its server or its settings
        raise UserError(f"logger={name} cannot be opened: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _kind(name: str) -> Callable[[Path, Mapping[str, Any]], Sink]:
    kind = choose(LOGGERS, "logger", name)
    needs = getattr(kind, "needs", None)
    if needs is not None and find_spec(needs) is None:
        raise UserError(f"logger={name} needs the library {needs}: pip install 'wnexp[{name}]'")
    return kind


class Logged(Listener):
    """A run logged as it goes on. Whatever a logger's library fails by is said once and costs the run nothing else."""

    def __init__(self, name: str, settings: Mapping[str, Any]):
        self._name, self._settings, self._sink, self._sent = name, settings, None, 0
        self._known: set[str] = set()  # columns of which anything was sent

    def started(self, run: LiveRun) -> None:
        self._sink = opened(self._name, run.directory, self._settings)
        self._send(run)

    def chunk(self, run: LiveRun) -> None:
        self._send(run)

    def finished(self, run: LiveRun) -> None:
        self._send(run)
        self._end(run)

    def failed(self, run: LiveRun, reason: str) -> None:
        self._try(lambda sink: sink.close(self._settings, {}))

    def _send(self, run: LiveRun) -> None:
        rows = run.records.table("steps").slice(self._sent)
        self._sent += rows.num_rows
        self._known |= {name for name in rows.column_names if rows[name].null_count < rows.num_rows}
        self._try(lambda sink: _log_rows(sink, rows))

    def _end(self, run: LiveRun) -> None:
        stored = reader.Run(run.directory)
        late = run.records.table("steps").drop_columns(list(self._known - {"seed", "step"}))  # known at the end alone
        self._try(lambda sink: _log_rows(sink, late))
        self._try(lambda sink: _log_end(sink, stored, self._settings))

    def _try(self, send: Callable[[Sink], None]) -> None:
        if self._sink is None:
            return
        try:
            send(self._sink)
        except Exception as error:
            self._sink = None
            print(f"wnexp: logger={self._name} stopped logging ({_reason(error)}); the run goes on", file=sys.stderr)


def listeners(names: Iterable[str], settings: Mapping[str, Any]) -> list[Listener]:
    """A listener for every logger. Raises `UserError` where a library is missing, before anything is trained."""
    names = list(dict.fromkeys(names))
    for name in names:
        _kind(name)
    return [Logged(name, settings) for name in names]


def log(run: reader.Run, name: str) -> None:
    """Log a run that is over, as it would have been while it went on. Raises `UserError`."""
    rows = run.table("steps")
    if rows is None:
        raise UserError(f"{shown(run.directory)}: no records to log")
    sink = opened(name, run.directory, run.settings)
    _log_rows(sink, rows)
    _log_end(sink, run, run.settings)


def _log_rows(sink: Sink, rows: pa.Table) -> None:
    for row in rows.to_pylist():
        if values := _scalars(row):
            sink.scalars(row["step"], values)


def _scalars(row: Mapping[str, Any]) -> dict[str, float]:
    seed = row["seed"]
    return {
        f"{name}/seed_{seed}": float(value)
        for name, value in row.items()
        if name not in ("seed", "step") and value is not None
    }


def _log_end(sink: Sink, run: reader.Run, settings: Mapping[str, Any]) -> None:
    from wnexp import figures

    table = run.table("steps")
    last = {row["seed"]: row for row in ([] if table is None else table.to_pylist())}
    final = {f"final/{name}": value for row in last.values() for name, value in _scalars(row).items()}
    with tempfile.TemporaryDirectory() as folder:
        for file in figures.plot([run.directory], Path(folder), only=FIGURES, formats=["png"], strict=False):
            sink.picture(file.stem, file)
        sink.close(settings, final)


def _identity(directory: Path) -> str:
    return hashlib.sha256(str(directory).encode()).hexdigest()[:12]
