"""One run from its configuration to its run directory: the shell around the pure training program.

Hydra calls `job` for every job of a command. Data set -> program -> chunks -> records, with a progress bar on a
terminal and silence elsewhere.
"""

import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from wnexp import data as datasets
from wnexp import lock, records, stopping
from wnexp.config import Config, UserError, typed
from wnexp.errors import explain
from wnexp.recording import Records, remove_scratch
from wnexp.report import ELSEWHERE, Progress, report_run, shown
from wnexp.tables import plane_table

Summary = dict[str, Any]
_RESUMES = "the records so far are kept, the same command resumes"
_STARTS_AGAIN = "nothing to resume from was saved yet, the same command starts again"
_CHUNK_SECONDS = 0.3
_MOST_ATTEMPTS = 2**40  # a chunk that its records end early would double its attempts for ever
_GRID_POINTS = 81


def job(composed: DictConfig) -> Summary:
    """Hydra's task function. What the user can mend comes back as a summary, so the other jobs of a sweep go on."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    try:
        return run(typed(composed), directory, lambda: _save_hydra(directory, composed, hydra))
    except lock.BusyError as error:
        if hydra.mode == RunMode.MULTIRUN:  # another sweep over this folder has the job: share the work
            print(f"{shown(directory)}: {error}; left to it")
            return {"directory": str(directory), "status": ELSEWHERE}
        message = explain(error)
    except (UserError, OSError, MemoryError) as error:
        message = explain(error)
    except Exception as error:  # a fault of ours in one job must not cost a sweep its other jobs
        if hydra.mode != RunMode.MULTIRUN:
            raise
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
    with suppress(OSError):  # made by Hydra before we could look
        directory.rmdir()
        directory.parent.rmdir()
    print(f"wnexp: error in {shown(directory)}: {message}", file=sys.stderr)
    return {"directory": str(directory), "status": "failed", "error": message}


def _save_hydra(directory: Path, composed: DictConfig, hydra) -> None:
    folder = directory / ".hydra"
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(composed, folder / "config.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), folder / "hydra.yaml")
    OmegaConf.save(hydra.overrides.task, folder / "overrides.yaml")


def run(config: Config, directory: Path, save_hydra: Callable[[], None] = lambda: None) -> Summary:
    """Train what `config` says into `directory`, or resume it, or say that it is finished. Returns `run.json`.

    Raises `UserError` for what the user can mend, `BusyError` while another process runs there, and `OSError` when the
    directory cannot be written.
    """
    with lock.hold(directory):
        return _run(config, directory, save_hydra)


def _run(config: Config, directory: Path, save_hydra: Callable[[], None]) -> Summary:
    began = time.monotonic()
    stored = _stored_run(config, directory)
    if stored is not None and stored["status"] == "finished":
        with suppress(OSError):  # its last process may have been killed while it tidied up
            remove_scratch(directory)
        print(f"{shown(directory)}: finished earlier, not run again (overwrite=true runs it again)")
        return stored | {"directory": str(directory), "skipped": True}
    dataset = datasets.load(config.data)

    from wnexp.session import prepare  # JAX is imported only once the data are there

    session = prepare(config, dataset)
    status = _first_status(config, session.platform, stored)
    record = Records(directory, status)
    compile_began = time.monotonic()
    leaves = record.restore() if stored is not None else None
    if leaves is not None:
        session.restore(leaves)
    else:
        session.start()
        _check_target(config, session)
        record.clear()
    with stopping.deferred() as stop:
        try:
            save_hydra()
            record.save()
            if leaves is None:
                _save_snapshots(record, session, "initial", range(len(session.seeds)))
            _append(record, session, session.chunk(0))
            status["compile_seconds"] = time.monotonic() - compile_began
            _train(config, session, record, began, stop)
        except (KeyboardInterrupt, stopping.Terminated) as signal:
            resumable = record.fail("interrupted" if isinstance(signal, KeyboardInterrupt) else "terminated")
            signal.args = (_RESUMES if resumable else _STARTS_AGAIN,)
            raise
        except BaseException as error:
            record.fail(explain(error) or f"{type(error).__name__}: {error}")
            raise
    report_run(record, session)
    stop.check(f"{shown(directory)} had just finished")
    return status | {"directory": str(directory)}


def _stored_run(config: Config, directory: Path) -> dict[str, Any] | None:
    """`run.json` of a run to keep here, or None. Raises `UserError` if it is not this run's."""
    try:
        stored = records.read_status(directory)
    except UserError:
        if not config.overwrite:
            raise
        return None
    if stored is None or config.overwrite or not stored["seeds"]:  # no seeds: it ended before its first record
        return None
    identity = records.identity(config)
    if stored["status"] == "finished":  # a setting that a later version added, left at its default, changes nothing
        stored["config"] = records.with_new_defaults(stored["config"], identity)
    added, gone = records.schema_changes(stored["config"], identity)
    if added or gone:
        parts = [*(f"{key} is new" for key in added), *(f"{key} is gone" for key in gone)]
        made, now = (versions.get("wnexp") for versions in (stored.get("versions", {}), {"wnexp": version("wnexp")}))
        raise UserError(
            f"{shown(directory)} was begun by wnexp {made} with other settings than {now} has: {', '.join(parts)};\n"
            "overwrite=true replaces it, hydra.run.dir=DIR chooses another folder"
        )
    differing = records.differing_keys(stored["config"], identity)
    if differing:
        raise UserError(
            f"{shown(directory)} holds a run with another configuration: {', '.join(differing)};\n"
            "overwrite=true replaces it, hydra.run.dir=DIR chooses another folder"
        )
    return stored


def _check_target(config: Config, session) -> None:
    if np.all(session.log_losses() <= config.stop.log_loss):
        raise UserError(
            f"stop.log_loss={config.stop.log_loss} is already met by the initial weights "
            f"(log loss {session.log_losses().max():.4g}); a run needs a lower target"
        )


def _first_status(config: Config, device: str, stored: dict[str, Any] | None) -> dict[str, Any]:
    packages = ("wnexp", "jax", "jaxlib", "numpy", "pyarrow", "hydra-core")
    return {
        "status": "running",
        "seeds": stored["seeds"] if stored else [],
        "steps": 0,
        "attempts": 0,
        "wall_seconds": 0.0,
        "compile_seconds": 0.0,
        "loop_seconds": stored["loop_seconds"] if stored else 0.0,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "device": device,
        "precision": config.precision,
        "git_commit": _git_commit(),
        "command": " ".join(sys.argv),
        "config": records.identity(config),
        "earlier_seconds": stored["wall_seconds"] if stored else 0.0,
    }


def _git_commit() -> str | None:
    """The commit of the checkout that this code was imported from; None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def _train(config: Config, session, record: Records, began: float, stop: stopping.Stop) -> None:
    status, attempts = record.status, session.first_attempts
    with Progress(config.stop.log_loss) as show:
        while session.running():
            chunk_began = time.monotonic()
            chunk = session.chunk(attempts)
            seconds = time.monotonic() - chunk_began
            status["loop_seconds"] += seconds
            _append(record, session, chunk)
            show(record, session)
            attempts = int(
                np.clip(attempts * np.clip(_CHUNK_SECONDS / max(seconds, 1e-9), 0.2, 8.0), 1, _MOST_ATTEMPTS)
            )
            _update(status, session, began)
            if record.due() or stop.asked:
                record.save(session.leaves())
            stop.check()
    _save_snapshots(record, session, "final", range(len(session.seeds)))
    _update(status, session, began)
    status["status"] = "finished"
    record.finish(session.limit_directions(), session.seeds, _plane(session))


def _append(record: Records, session, parts: list[Any]) -> None:
    for rows, filled, lanes in parts:
        if not len(rows["valid"]):
            continue
        record.append(rows, session.seeds[lanes])
        last = (filled - 1, np.arange(len(lanes)))  # of each seed; a snapshot ends the chunk
        before, after = np.moveaxis(rows["snapshots"][last], -1, 0)
        for index in range(before.min(), after.max()):
            taken = rows["valid"][last] & (before <= index) & (index < after)
            _save_snapshots(record, session, f"log_loss={session.snapshot_losses[index]:.12g}", lanes[taken])


def _save_snapshots(record: Records, session, name: str, lanes) -> None:
    if len(lanes):
        weights = session.weights(lanes)
    for lane in lanes:
        layers = [{key: array[lane] for key, array in layer.items()} for layer in weights]
        path = record.directory / "snapshots" / f"seed={session.seeds[lane]}" / f"{name}.safetensors"
        records.save_weights(path, layers)


def _update(status: dict[str, Any], session, began: float) -> None:
    status["seeds"] = session.seed_figures()
    status["steps"] = max(figures["step"] for figures in status["seeds"])
    status["attempts"] = max(figures["attempts"] for figures in status["seeds"])
    status["wall_seconds"] = status["earlier_seconds"] + time.monotonic() - began


def _plane(session):
    """The final decision function of the first seed on a grid, for data in the plane."""
    dataset = session.dataset
    if dataset.train_x.shape[1] != 2:
        return None
    everything = np.concatenate([dataset.train_x, dataset.test_x])
    low, high = everything.min(axis=0), everything.max(axis=0)
    middle, reach = (low + high) / 2, max(0.6 * float((high - low).max()), 1.0)
    axes = [np.linspace(center - reach, center + reach, _GRID_POINTS) for center in middle]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    outputs = session.first_decision(np.concatenate([everything, grid]))
    cuts = np.cumsum([len(dataset.train_x), len(dataset.test_x)])
    points, labels = (dataset.train_x, dataset.test_x, grid), (dataset.train_y, dataset.test_y, None)
    return plane_table(zip(("train", "test", "grid"), points, labels, np.split(outputs, cuts), strict=True))
