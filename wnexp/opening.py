"""Where a run starts or goes on: from its initial weights, from its checkpoint, or further than that was made for."""

import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wnexp.config.schema import Config
from wnexp.errors import UserError
from wnexp.runs import code, further, identity, status
from wnexp.runs.further import Stored
from wnexp.runs.status import Status
from wnexp.runs.writer import Records
from wnexp.training.further import Last, judged, obstacle, without_ends
from wnexp.training.seed import RUNNING
from wnexp.training.session import Session


@dataclass(frozen=True)
class LiveRun:
    """A run that goes on, as listeners see it."""

    directory: Path
    session: Session
    records: Records

    @property
    def status(self) -> Status:
        """What `run.json` says or will say next."""
        return self.records.status


class Listener:
    """Told what happens to a run; whoever shows or logs runs overrides what it needs."""

    def skipped(self, directory: Path) -> None:
        """The run had finished earlier and is not run again."""

    def started(self, run: LiveRun) -> None:
        """The run starts or resumes; `run.session.notes` and `run.records.notes` say what is unusual."""

    def chunk(self, run: LiveRun) -> None:
        """Some attempts have been made and their records appended."""

    def snapshot(self, path: Path) -> None:
        """A snapshot has been written."""

    def finished(self, run: LiveRun) -> None:
        """All is written."""

    def failed(self, run: LiveRun, reason: str) -> None:
        """The run ended early; what could be saved is."""


class Opened(NamedTuple):
    """A run where it goes on."""

    run: LiveRun
    starting: np.ndarray  # places of the seeds that start now
    changed: bool  # it goes on to more than its checkpoint was made for


def opened(config: Config, directory: Path, session: Session, stored: Stored | None) -> Opened:
    """The run with its session and records where they go on; raises `UserError` where they cannot."""
    if stored is None:
        further.drop_again(directory)
        return _started(LiveRun(directory, session, _records(config, directory, session)))
    reason = "as it was begun"
    if further.begun_again(config, directory) is None:
        try:
            reason = _taken_up(LiveRun(directory, session, _records(config, directory, session, stored.status)), stored)
        except UserError as error:
            if not stored.more:
                raise
            reason = str(error).partition("; overwrite=true")[0]
        if isinstance(reason, Opened):
            return reason
        further.drop_again(directory)
        if not stored.more:
            return _started(LiveRun(directory, session, _records(config, directory, session, stored.status)))
    return _once_more(config, directory, session, stored.status, reason)


def _once_more(config: Config, directory: Path, session: Session, stored: Status, reason: str) -> Opened:
    """The run from its start, or where it has come to since, beside what the directory holds."""
    again = directory / further.AGAIN
    again.mkdir(exist_ok=True)
    begun = further.begun_again(config, directory)
    run = LiveRun(directory, session, _records(config, again, session, begun))
    run.status.extra = stored.extra
    run.records.notes.append(f"trained once more from the start, beside what is there: {reason}")
    with suppress(UserError):
        if begun is not None and (checkpoint := run.records.restore()) is not None:
            session.restore(*session.state_of(checkpoint.leaves))
            return Opened(run, starting=np.arange(0), changed=False)
    return _started(run)


def _started(run: LiveRun) -> Opened:
    """A run from its initial weights."""
    run.session.start()
    _check_start(run.session, run.status.config)
    run.records.clear()
    return Opened(run, starting=np.arange(len(run.session.seeds)), changed=False)


def _taken_up(run: LiveRun, stored: Stored) -> Opened | str:
    """The run from its checkpoint, or why that cannot be. Raises `UserError` if that is damaged."""
    session, records = run.session, run.records
    if stored.spread is not None:
        return (
            "the geometric grid up to another stop.max_steps has its records elsewhere "
            f"(record.up_to={stored.spread} would keep it and go on from its end)"
        )
    checkpoint = records.restore()
    if checkpoint is None:
        return "it keeps nothing to go on from"
    state, rounding = session.state_of(checkpoint.leaves)
    known = len(state.outcome)
    changed = bool(identity.differing_keys(checkpoint.config, records.status.config))
    if changed:
        if reason := obstacle(session.rule, state, checkpoint.config, session.traced):
            return reason
        state, ended = judged(state, session.traced)
        if np.any((rounding != session.rounding[:known])[state.outcome == RUNNING]):
            return "its seeds were trained in batches of another size, which round differently"
        if ended.any():
            last = Last(**records.take_back(session.seeds[:known][ended]))
            state = without_ends(state, np.flatnonzero(ended), last, session.traced)
    session.restore(state, rounding)
    return Opened(run, starting=np.arange(known, len(session.seeds)), changed=changed)


def _records(config: Config, directory: Path, session: Session, stored: Status | None = None) -> Records:
    return Records(directory, _first_status(config, session, stored), session.tables)


def _check_start(session: Session, settings: Mapping[str, Any]) -> None:
    """Raise `UserError` where the target is met already, or the initial weights are scaled beyond any loss."""
    scale = settings.get("model.init_scale", 1)
    if scale != 1 and not np.isfinite(session.log_losses()).any():
        raise UserError(f"model.init_scale={scale}: the loss of the initial weights overflows; give a smaller one")
    if np.all(session.log_losses() <= session.target):
        raise UserError(
            f"stop.log_loss={session.target} is already met by the initial weights "
            f"(log loss {session.log_losses().max():.4g}); a run needs a lower target"
        )


def _first_status(config: Config, session: Session, stored: Status | None) -> Status:
    return Status(
        status=status.RUNNING,
        config=identity.identity(config),
        seeds=stored.seeds if stored else [],
        loop_seconds=stored.loop_seconds if stored else 0.0,
        device=session.platform,
        precision=config.precision,
        **_made_by(),
        command=" ".join(sys.argv),
        law=session.law,
        labels=session.labels,
        rule={"geometry": session.rule.geometry, "gap_power": session.rule.gap_power},
        earlier_seconds=stored.wall_seconds if stored else 0.0,
        extra=stored.extra if stored else {},
    )


@cache  # as it was when this process read its source, for all jobs of a sweep
def _made_by() -> dict[str, Any]:
    packages = ("wnexp", "jax", "jaxlib", "numpy", "pyarrow", "hydra-core")
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "code": code.fingerprint(),
        "git_commit": code.commit(),
    }
