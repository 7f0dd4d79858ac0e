"""`wnexp train`: the bridge to Hydra, which composes the configuration and calls `job` once for every job."""

import gc
import json
import math
import os
import shutil
import sys
import tempfile
import traceback
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from wnexp.errors import UserError, explain

NAME, HELP = "train", "train one run (-m: a sweep)"
DESCRIPTION = ""
USAGE = """\
usage: wnexp train [GROUP=OPTION ...] [KEY=VALUE ...]      train one run
       wnexp train -m [GROUP=OPTION,OPTION ...] ...        sweep: one run per combination
       wnexp train --config-from RUN outputs=FOLDER        repeat a run from its run.json
       wnexp train --config-from RUN data.path=FILE        whose data are elsewhere now, with the same contents
       wnexp train --config-from RUN stop.log_loss=-1000   train it further, in its directory
       wnexp train --config-from RUN norm=swn              a copy with a change, beside it

`+norm=ewn` and `norm=ewn` mean the same. --cfg job shows the configuration and stops. --hydra-help lists Hydra's own
options, --config-dir DIR adds your own option files.

exit code: 0 if the run is finished, with whatever outcome (target_reached, max_steps, step_underflow, non_finite: the
closing table and run.json name it); 1 for an error, or a failed job of a sweep; 2 for an unknown option; 130
after Ctrl-C, 143 after SIGTERM.
"""
_REPORTS = "WNEXP_REPORTS"


def add_arguments(parser: ArgumentParser) -> None:
    """The words are Hydra's."""
    parser.add_argument("words", nargs="*")


def run(words: list[str]) -> int:
    """Hand the words to Hydra. Raises `UsageError`, `UserError`."""
    gc.disable()  # until the first job: what is imported stays, and looking through it for garbage takes a while
    try:
        return _run(words)
    finally:
        gc.unfreeze()
        gc.enable()


def _run(words: list[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra shall raise; `main` explains
    # LAPACK, whose matrices are small here, waits for its threads wherever cores are shared.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import hydra

    from wnexp.config import compose, hydra_errors, hydra_private, overrides, schema
    from wnexp.runs import moved
    from wnexp.runs.reader import Run
    from wnexp.training.options import OPTIONS

    if {"-h", "--help"} & set(words):
        from wnexp.cli import settings_help

        print(USAGE)
        settings_help.print_settings(OPTIONS)
        return 0
    try:
        words, repeated = overrides.config_from(words)
        if repeated is not None:
            words, elsewhere = overrides.elsewhere(words)
            settings = moved.found_again(stored := Run(repeated), stored.settings, elsewhere, OPTIONS)
            words = [*overrides.repeating(settings, repeated, OPTIONS, words), *words]
        words = overrides.prepared(words)
        overrides.check(words, OPTIONS)
        compose.store(OPTIONS)
        sys.argv = ["wnexp train", *words]
        trained = hydra.main(str(schema.configs_folder()), "config", version_base="1.3")(job)
        if not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(words):
            with hydra_private.composed_once(words):
                trained()
            return 0
        with _Reports() as reports, hydra_private.composed_once(words):
            trained()
            jobs = reports.read()
    except Exception as error:
        message = hydra_errors.explain_hydra(error, OPTIONS)
        if message is None:
            raise
        raise UserError(message) from None
    from wnexp.cli import terminal

    if jobs:  # of another process, where this one only followed
        terminal.report_sweep(jobs)
    return int(any("error" in found for found in jobs))


class _Reports:
    """A folder where every job of a sweep, in whatever process, leaves word of its directory and its error."""

    def __enter__(self) -> "_Reports":
        where = Path.cwd() if os.access(Path.cwd(), os.W_OK) else None  # nodes of a cluster share it
        self._folder = Path(tempfile.mkdtemp(prefix=".wnexp-", dir=where))
        os.environ[_REPORTS] = str(self._folder)
        return self

    def __exit__(self, *exception: Any) -> None:
        os.environ.pop(_REPORTS, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self) -> list[dict[str, Any]]:
        """The reports in the order of the jobs."""
        files = sorted(self._folder.glob("*.json"), key=lambda file: int(file.stem))
        return [json.loads(file.read_text()) for file in files]


def job(composed: Any) -> float | None:
    """Hydra's task function. What the user can mend is reported, so the other jobs of a sweep go on.

    Returns the objective, where there is one: infinite for a run that has failed or has no such figure.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from wnexp.runs.files import shown

    hydra = HydraConfig.get()
    directory, is_sweep = Path(hydra.runtime.output_dir), hydra.mode == RunMode.MULTIRUN
    report: dict[str, Any] = {"directory": str(directory)}
    try:
        report |= _train(composed, hydra, directory, is_sweep)
    except BrokenPipeError:  # whoever read the output has gone: so do we, as every command
        sys.exit(1)
    except Exception as error:  # a fault of ours in one job must not cost a sweep its other jobs
        message = explain(error)
        if message is None:
            if not is_sweep:
                raise
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
        with suppress(OSError):  # made by Hydra before we could look
            directory.rmdir()
            directory.parent.rmdir()
        for place in (str(directory), str(shown(directory))):  # what is wrong with it, not where it is once more
            message = message.removeprefix(place).removeprefix(":").lstrip()
        print(f"wnexp: error in {shown(directory)}: {message}", file=sys.stderr)
        if not is_sweep:
            sys.exit(1)
        report["error"] = message
    from wnexp.training import hosts

    if is_sweep and not hosts.follows():
        with suppress(KeyError, OSError):
            (Path(os.environ[_REPORTS]) / f"{hydra.job.num}.json").write_text(json.dumps(report))
    return None if composed.get("objective") is None else _objective(str(composed.objective), directory, report)


def _objective(name: str, directory: Path, report: dict[str, Any]) -> float:
    from wnexp.runs.listing import listing
    from wnexp.runs.reader import Run

    if "error" in report or "elsewhere" in report:
        return math.inf
    (row,) = listing([Run(directory)], [name]).rows
    value = row[name]
    if value is not None and not isinstance(value, (int, float)):
        raise UserError(f"objective={name} is {value}; allowed: columns of numbers (wnexp runs --help)")
    return math.inf if value is None else float(value)


def _train(composed: Any, hydra: Any, directory: Path, is_sweep: bool) -> dict[str, Any]:
    """Train one job; what to report of it."""
    from wnexp.cli import terminal
    from wnexp.config.compose import Composed
    from wnexp.runner import run_in
    from wnexp.runs import lock
    from wnexp.runs.files import shown
    from wnexp.training.options import OPTIONS

    if not gc.isenabled():  # in the process of `run`, not in a launcher's
        gc.freeze()
        gc.enable()
    whole, listener = Composed(content=composed, hydra=hydra), terminal.TrainListener()
    try:
        with listener:
            run_in(directory, whole.config(OPTIONS), [listener], lambda: whole.save(directory))
    except lock.BusyError as error:
        if not is_sweep:
            raise
        print(f"{shown(directory)}: {error}; left to it")  # another sweep over this folder has it: share the work
        return {"elsewhere": True}
    return {"skipped": listener.was_skipped}
