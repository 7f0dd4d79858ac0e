"""What is stored in a run directory, held against what is asked: the same run, the same run further, or another one.

A run goes further by a lower `stop.log_loss`, a higher `stop.max_steps`, more `seeds`, more `snapshots`. Where it
cannot go on from its checkpoint it is trained once more, in the hidden folder `AGAIN` of its directory, and takes its
place when it has finished: until then what there is stays.
"""

import dataclasses
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from wnexp.config.schema import Config, Options, Stop, flat_defaults
from wnexp.errors import UserError
from wnexp.runs import identity, status
from wnexp.runs.files import shown
from wnexp.runs.status import Status

AGAIN = ".again"


class Stored(NamedTuple):
    """A run that is in its directory already."""

    status: Status
    more: bool  # is asked than it was
    spread: int | None  # steps of its grid of records, where another one is asked for
    seeds: int

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status.status == status.FINISHED and not self.more


def stored_run(config: Config, directory: Path, options: Options) -> Stored | None:
    """The run to keep here, or None. Raises `UserError` if it is another one."""
    try:
        stored = status.read(directory)
    except UserError:
        if not config.overwrite:
            raise
        return None
    if stored is None or config.overwrite or not stored.seeds:  # no seeds: it ended before its first record
        return None
    config = dataclasses.replace(config, overwrite=False)
    if set(config.snapshots) <= set(there := stored.config.get("snapshots") or []):  # they are there, and some more
        config = dataclasses.replace(config, snapshots=there)
    was = config
    if stored.schema == status.SCHEMA:
        was = _as_it_was(was, stored.config)
    now, finished = identity.identity(was), stored.status == status.FINISHED
    elsewhere = "overwrite=true replaces it, hydra.run.dir=DIR chooses another folder"
    if finished:
        stored.config = _as_now(was, stored, now, options)
    elif stored.schema != status.SCHEMA:
        raise UserError(f"{shown(directory)} was begun by an earlier wnexp and can only be resumed by it;\n{elsewhere}")
    added, gone = identity.schema_changes(stored.config, now)
    made, own = stored.versions.get("wnexp"), version("wnexp")
    if added or gone:
        parts = [*(f"{key} is new" for key in added), *(f"{key} is gone" for key in gone)]
        raise UserError(
            f"{shown(directory)} was begun by wnexp {made} with other settings than {own} has: "
            f"{', '.join(parts)};\n{elsewhere}"
        )
    differing = identity.differing_keys(stored.config, now)
    if differing:
        raise UserError(
            f"{shown(directory)} holds a run with another configuration: {', '.join(differing)};\n{elsewhere}"
        )
    kept = config.record.grid(config.stop) == was.record.grid(was.stop)
    spread = None if kept else was.record.up_to or was.stop.max_steps
    more = was != config
    return Stored(status=stored, more=more, spread=spread, seeds=was.seeds)


def _as_it_was(config: Config, stored: Mapping[str, Any]) -> Config:
    """The configuration with what is stored wherever it asks for that and more."""
    stop, record = config.stop, config.record
    target, steps = stored.get("stop.log_loss", stop.log_loss), stored.get("stop.max_steps", stop.max_steps)
    was = Stop(
        log_loss=target if stop.log_loss <= target else stop.log_loss,
        max_steps=steps if stop.max_steps >= steps else stop.max_steps,
    )
    spread = dataclasses.replace(record, up_to=stored.get("record.up_to"))
    seeds, snapshots = stored.get("seeds", config.seeds), stored.get("snapshots", config.snapshots)
    return dataclasses.replace(
        config,
        stop=was,
        record=spread if spread.grid(was) == record.grid(stop) else record,
        seeds=seeds if config.seeds >= seeds else config.seeds,
        snapshots=snapshots if set(config.snapshots) >= set(snapshots) else config.snapshots,
    )


def _as_now(config: Config, stored: Status, now: dict[str, Any], options: Options) -> dict[str, Any]:
    """The stored identity in today's terms: a setting added since and left at its default changes nothing."""
    from wnexp.config.compose import upgraded

    then = stored.config if stored.schema == status.SCHEMA else upgraded(stored.config, options)
    return identity.with_new_defaults(then, now, flat_defaults(config, options))


def begun_again(config: Config, directory: Path) -> Status | None:
    """The run of exactly that configuration that is being trained once more beside what is in a directory."""
    try:
        found = status.read(directory / AGAIN)
    except UserError:
        return None
    return found if found and not identity.differing_keys(found.config, identity.identity(config)) else None


def take_place(directory: Path) -> None:
    """Put the run that was trained once more in its place, its status last; called again it ends what a kill cut."""
    again = directory / AGAIN
    there, now = status.read(directory), status.read(again)
    assert now is not None
    if there is None or there.config != now.config:
        moving = {path.name for path in again.iterdir()}
        shutil.rmtree(directory / "figures", ignore_errors=True)
        for table in directory.glob("*.parquet"):  # of other commands
            if table.name not in moving:
                table.unlink()
        status.write(directory, dataclasses.replace(now, status=status.RUNNING))
    for path in sorted(again.iterdir(), key=lambda path: path.name == status.NAME):
        if path.is_dir():
            shutil.rmtree(directory / path.name, ignore_errors=True)
        path.replace(directory / path.name)
    again.rmdir()


def drop_again(directory: Path) -> None:
    """Remove a run that was being trained once more."""
    shutil.rmtree(directory / AGAIN, ignore_errors=True)
