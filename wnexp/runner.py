"""The spine: one run from its configuration to its run directory.

Data set -> session -> chunks -> records and snapshots. Nothing is printed here; listeners are told what happens.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wnexp import loggers, signals
from wnexp.config.schema import Config, flat
from wnexp.data import archives
from wnexp.data.dataset import Dataset
from wnexp.errors import UserError, explain
from wnexp.opening import Listener, LiveRun, opened
from wnexp.runs import code, further, lock, moved, snapshots, status
from wnexp.runs.files import shown, write_atomically
from wnexp.runs.reader import Run
from wnexp.runs.status import Status
from wnexp.runs.tables import plane_table
from wnexp.runs.writer import remove_scratch
from wnexp.training import environment, hosts
from wnexp.training.options import OPTIONS
from wnexp.training.prepare import prepare
from wnexp.training.program import build_network

_RESUMES = "the records so far are kept, the same command resumes"
_STARTS_AGAIN = "nothing to resume from was saved yet, the same command starts again"
_CHUNK_SECONDS = 0.3
_MOST_ATTEMPTS = 2**40  # a chunk that its records end early would double its attempts for ever


def train(overrides: Sequence[str], directory: Path | None = None, listeners: Sequence[Listener] = ()) -> Run:
    """Compose a run from overrides, as on the command line, and train it. Returns the run, to be read.

    Without `directory` the run goes where the command would put it. Raises as `run_in`.
    """
    from wnexp.config.compose import compose

    composed = compose(overrides, OPTIONS)
    config = composed.config(OPTIONS)
    directory = Path(config.outputs).expanduser() / composed.name if directory is None else directory
    with environment.restored():
        run_in(directory, config, listeners, lambda: composed.save(directory))
    return Run(directory)


def sweep(overrides: Sequence[str]) -> list[Run]:
    """Train a run for every combination of values, one after the other; a failure keeps no other job from running.

    Raises `UserError` that names the jobs that have failed, when all have been tried.
    """
    from hydra.errors import HydraException

    from wnexp.config.hydra_errors import explain_hydra
    from wnexp.config.hydra_private import composed_once
    from wnexp.config.overrides import jobs

    runs, failures = [], []
    try:
        combinations = jobs([word for word in overrides if word not in ("-m", "--multirun")])
    except HydraException as error:
        raise UserError(explain_hydra(error, OPTIONS)) from None
    with composed_once(overrides):
        for words in combinations:
            try:
                runs.append(train(words))
            except UserError as error:
                failures.append(f"{' '.join(words)}: {error}")
    if failures:
        total = len(runs) + len(failures)
        raise UserError("\n".join([f"{len(failures)} of {total} jobs failed, the others are done:", *failures]))
    return runs


def on_arrays(overrides: Sequence[str], data: Sequence[Any] | None) -> list[str]:
    """The words of a run on arrays, `(train_x, train_y)` and perhaps `test_x, test_y`, which are kept as a file.

    `arrays/DIGEST.npz` in the folder of all runs. Raises `UserError` for anything but two or four arrays.
    """
    words = list(overrides)
    if data is None:
        return words
    if len(data) not in (2, 4):
        raise UserError(f"data of {len(data)} parts; allowed: (train_x, train_y) or (train_x, train_y, test_x, test_y)")
    of_data = [word for word in words if word.lstrip("+").startswith(("data=", "data.path=", "data.target="))]
    if of_data:
        raise UserError(f"{of_data[0]} and data=(x, y) both say what to train on; give one")
    try:
        arrays = {name: np.asarray(part) for name, part in zip(archives.NAMES, data, strict=False)}
    except ValueError:
        raise UserError("data: rows of different lengths; allowed: arrays of numbers, labels may be words") from None
    for name, array in arrays.items():
        if array.dtype == object and all(isinstance(entry, str) for entry in array.flat):  # a pandas column of words
            arrays[name] = array.astype(str)
    if kinds := [name for name, array in arrays.items() if array.dtype == object]:
        raise UserError(f"data: {', '.join(kinds)} hold objects; allowed: arrays of numbers, labels may be words")
    outputs = next((word.partition("=")[2] for word in reversed(words) if word.startswith("outputs=")), "outputs")
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    file = Path(outputs).expanduser() / "arrays" / f"{digest.hexdigest()[:16]}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lambda temporary: _write_arrays(temporary, arrays))
    return ["data=file", f"data.path={file}", *words]


def _write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with file.open("wb") as handle:  # by its name numpy would write another file
        np.savez(handle, allow_pickle=False, **arrays)


def run_in(
    directory: Path, config: Config, listeners: Sequence[Listener] = (), on_start: Callable[[], None] = lambda: None
) -> Status:
    """Train what `config` says into `directory`, or resume it, or leave it if it is finished. Returns its status.

    `on_start` is called once the run may write. Raises `UserError` for what the user can mend, `BusyError` while
    another process runs there, and `OSError` when the directory cannot be written. Of the processes of a distributed
    run all but the first hear nothing of it; they return or raise what it does.
    """
    if not config.distributed:
        return _begin(config, directory, listeners, on_start)
    if not hosts.join():
        with signals.deferred():  # the first process hears of them as well
            return hosts.follow(lambda seeds: prepare(replace(config, seeds=seeds), config.data.load(), snapshots.read))
    return hosts.lead(lambda: _begin(config, directory, listeners, on_start))


def _begin(config: Config, directory: Path, listeners: Sequence[Listener], on_start: Callable[[], None]) -> Status:
    logged = loggers.listeners(config.logger, flat(config))
    with lock.hold(directory):
        return _run(config, directory, [*listeners, *logged], on_start)


def _run(config: Config, directory: Path, listeners: Sequence[Listener], on_start: Callable[[], None]) -> Status:
    began = time.monotonic()
    again = None if config.overwrite else further.begun_again(config, directory)
    if again is not None and again.status == status.FINISHED:  # killed while it took its place
        further.take_place(directory)
    stored = further.stored_run(config, directory, OPTIONS)
    if stored is not None and stored.done:
        with suppress(OSError):  # its last process may have been killed while it tidied up
            remove_scratch(directory)
        _tell(listeners, "skipped", directory)
        return stored.status
    if stored is not None and stored.seeds < config.seeds:  # those that are there first, by themselves
        before = replace(config, seeds=stored.seeds)
        earlier = further.stored_run(before, directory, OPTIONS)
        if earlier is not None and not earlier.done:
            _run(before, directory, listeners, on_start)
            stored = further.stored_run(config, directory, OPTIONS)
            began = time.monotonic()
    dataset: Dataset = config.data.load()

    if config.distributed:
        hosts.begin(config.seeds)
    session = prepare(config, dataset, snapshots.read, code.fingerprint())
    compile_began = time.monotonic()
    found = opened(config, directory, session, stored)
    run = found.run
    if found.changed:  # what the directory holds is the new run's from here on
        status.write(directory, run.status)
    _tell(listeners, "started", run)
    with signals.deferred() as stop:
        try:
            on_start()
            if found.changed:
                run.records.forget_end()
                _snapshots(run, listeners, snapshots.INITIAL, found.starting)
                run.records.save_cut(session.leaves())
            else:
                run.records.save()
                _snapshots(run, listeners, snapshots.INITIAL, found.starting)
            _append(run, listeners, session.chunk(0))
            run.status.compile_seconds = time.monotonic() - compile_began
            _train(run, listeners, began, stop)
        except (KeyboardInterrupt, signals.Terminated) as signal:
            reason = status.INTERRUPTED if isinstance(signal, KeyboardInterrupt) else status.TERMINATED
            signal.args = (_RESUMES if run.records.fail(reason) else _STARTS_AGAIN,)
            _tell(listeners, "failed", run, reason)
            raise
        except BaseException as error:
            reason = explain(error) or f"{type(error).__name__}: {error}"
            run.records.fail(reason)
            _tell(listeners, "failed", run, reason)
            stop.check(reason)  # what ends a sweep must not be lost in what ends a job
            raise
        if run.records.directory != directory:
            further.take_place(directory)
    _tell(listeners, "finished", run)
    stop.check(f"{shown(directory)} had just finished")
    return run.status


def _tell(listeners: Sequence[Listener], event: str, *arguments: Any) -> None:
    for listener in listeners:
        getattr(listener, event)(*arguments)


class Reopened(NamedTuple):
    """A run in objects again."""

    config: Config
    settings: dict[str, Any]  # the flat ones, as this version would store them
    dataset: Dataset
    network: Any  # `nn.network.Network`, as the run's model makes it for these data


def reopen(run: Run, elsewhere: Mapping[str, str] | None = None) -> Reopened:
    """The configuration, data set and network of a run, its files at the places `elsewhere`: setting -> path.

    One that an earlier version has written is read too. Raises `UserError` where they cannot be had any more, the data
    because their files are gone or have changed.
    """
    from wnexp.config.compose import from_flat, upgraded

    settings = run.settings if run.status.schema == status.SCHEMA else upgraded(run.settings, OPTIONS)
    config = from_flat(moved.found_again(run, settings, elsewhere or {}, OPTIONS), OPTIONS)
    lost = [f"{key}={what}" for key, what in moved.changed_files(run, config).items() if key.startswith("data.")]
    if lost:
        raise UserError(f"{shown(run.directory)}: its data are not where or what they were: {', '.join(lost)}")
    dataset = config.data.load()
    return Reopened(config=config, settings=flat(config), dataset=dataset, network=build_network(config, dataset))


def _train(run: LiveRun, listeners: Sequence[Listener], began: float, stop: signals.StopRequest) -> None:
    session, records, attempts = run.session, run.records, run.session.first_attempts
    while session.running():
        chunk_began = time.monotonic()
        rows = session.chunk(attempts)
        seconds = time.monotonic() - chunk_began
        run.status.loop_seconds += seconds
        _append(run, listeners, rows)
        attempts = int(np.clip(attempts * np.clip(_CHUNK_SECONDS / max(seconds, 1e-9), 0.2, 8.0), 1, _MOST_ATTEMPTS))
        _update(run, began)
        _tell(listeners, "chunk", run)
        if records.due() or stop.asked:
            records.save(session.leaves())
        stop.check()
    _snapshots(run, listeners, snapshots.FINAL, np.arange(len(session.seeds)))
    _update(run, began)
    run.status.status = status.FINISHED
    plane = session.plane()
    plane = None if plane is None else plane_table(plane)
    records.finish(session.limit_directions(), session.seeds, plane, session.leaves())


def _append(run: LiveRun, listeners: Sequence[Listener], parts: Sequence[Any]) -> None:
    for rows in parts:
        run.records.append(rows, run.session.seeds[rows.places])
        for log_loss, arrays in rows.snapshots:
            _write(run, listeners, snapshots.at(log_loss), arrays)


def _snapshots(run: LiveRun, listeners: Sequence[Listener], name: str, places: np.ndarray) -> None:
    _write(run, listeners, name, run.session.weight_arrays(places))


def _write(run: LiveRun, listeners: Sequence[Listener], name: str, weights: Mapping[int, Any]) -> None:
    for seed, arrays in weights.items():
        _tell(listeners, "snapshot", snapshots.write(run.records.directory, seed, name, arrays))


def _update(run: LiveRun, began: float) -> None:
    now = run.status
    now.seeds = run.session.seed_figures()
    now.steps = max(figures["step"] for figures in now.seeds)
    now.attempts = max(figures["attempts"] for figures in now.seeds)
    now.wall_seconds = now.earlier_seconds + time.monotonic() - began
