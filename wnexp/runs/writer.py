"""The tables, checkpoint and status of a run that is going on. Arrays in, files out; no jax.

A table is kept in memory and rewritten whole, at intervals that grow with the time the writing takes.

While a run goes on the version before the last of every table and of the checkpoint is kept. A checkpoint says up to
which step of each seed its rows go and how many they are, so it is whole with either version of every table. The last
one of a finished run is kept, with the gradients that `limit_cosine` needs, so that the run can be trained further.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from wnexp.errors import UserError
from wnexp.runs import checkpoint, snapshots, status
from wnexp.runs.checkpoint import Checkpoint
from wnexp.runs.files import previous, write_table
from wnexp.runs.status import Status
from wnexp.runs.tables import REAL, Rows, Table, chunk_tables, column, numbers, table_schema

_SECONDS_BETWEEN_WRITES = 5.0
_WRITING_SHARE = 0.05  # of the run's time
MOST_KEPT = 2**26  # bytes of gradients that are kept with a finished run
_SCRATCH = (".*.previous", ".*.tmp", "snapshots/*/.*.tmp")
_TO_GO_ON = (".*.parquet", checkpoint.NAME)


def remove_scratch(directory: Path) -> None:
    """Remove what only a run that goes on needs, and what a kill in the middle of a write left."""
    for pattern in _SCRATCH:
        _remove(directory, pattern)


def _remove(directory: Path, pattern: str) -> bool:
    """Remove those files; whether there were any."""
    files = list(directory.glob(pattern))
    for file in files:
        file.unlink(missing_ok=True)
    return bool(files)


class Records:
    """The tables and status of one run that is going on.

    Open them with what is recorded, a name with a dot being scratch; `append` the rows of each chunk; `save` when
    `due`; `finish`.
    """

    def __init__(self, directory: Path, status: Status, tables: Mapping[str, Table]):
        self.directory = directory
        self.status = status
        self.notes: list[str] = []
        # In the order of what a reader would miss most, scratch after it: a disk that fills up costs that first.
        self._described = dict(sorted(tables.items(), key=lambda entry: entry[0].startswith(".")))
        self._metadata = {
            "wnexp.config": json.dumps(status.config, default=str),
            "wnexp.versions": json.dumps(status.versions),
        }
        self._tables: dict[str, list[pa.Table]] = {}
        self._changed: set[str] = set()
        self._last_write = time.monotonic()
        self._pause = 0.0

    def clear(self) -> None:
        """Remove what an earlier run left here."""
        for name in (snapshots.FOLDER, "figures"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for file in (self.directory / status.NAME, *self.directory.glob("*.parquet")):
            file.unlink(missing_ok=True)
        for pattern in (*_SCRATCH, *_TO_GO_ON):
            _remove(self.directory, pattern)

    def forget_end(self) -> None:
        """Remove what was made of an end that is none any more: last weights, figures, tables of other commands."""
        shutil.rmtree(self.directory / "figures", ignore_errors=True)
        for name in (snapshots.FINAL, "pruned=*"):
            _remove(self.directory, f"{snapshots.FOLDER}/*/{name}.safetensors")
        for file in self.directory.glob("*.parquet"):
            if file.stem not in self._described and not file.name.startswith("."):
                file.unlink(missing_ok=True)

    def append(self, rows: Rows, seeds: np.ndarray) -> None:
        """Add the rows of a chunk: arrays `(slots, seeds, ...)`, where valid."""
        for name, table in chunk_tables(rows, seeds, self._described).items():
            if table.num_rows:
                self._tables.setdefault(name, []).append(table)
                self._changed.add(name)

    def due(self) -> bool:
        """Whether it is time to write: seldom enough that writing stays a small share of the run."""
        return time.monotonic() - self._last_write >= self._pause

    def save(self, leaves: Sequence[np.ndarray] | None = None) -> None:
        """Write changed tables, then the checkpoint that counts their rows (if given), then run.json."""
        try:
            self._save(leaves)
        except OSError:
            if not _remove(self.directory, ".*.previous"):  # they make room on a full disk
                raise
            self._save(leaves)

    def save_cut(self, leaves: Sequence[np.ndarray]) -> None:
        """As `save`, after `take_back`: the checkpoint goes first, which the longer tables suffice for."""
        self._save_checkpoint(leaves)
        self._changed = set(self._tables)
        self.save()

    def _save(self, leaves: Sequence[np.ndarray] | None) -> None:
        began = time.monotonic()
        for name in [*(name for name in self._described if name in self._changed), *self._changed - {*self._described}]:
            self._write(name, self.table(name))
            self._changed.discard(name)
        if leaves is not None:
            self._save_checkpoint(leaves)
        status.write(self.directory, self.status, keep_previous=True)
        self._last_write = time.monotonic()
        self._pause = max(_SECONDS_BETWEEN_WRITES, (self._last_write - began) / _WRITING_SHARE)

    def _save_checkpoint(self, leaves: Sequence[np.ndarray]) -> None:
        tables = {name: self.table(name) for name in self._described if name in self._tables}
        checkpoint.write(self.directory, Checkpoint(leaves, self.status.config), tables)

    def fail(self, reason: str) -> bool:
        """Write the status `failed` and what else the disk takes. Returns whether the run can be resumed."""
        self.status.status, self.status.error = status.FAILED, reason
        try:
            self.save()
        except OSError:
            self._save_status_alone()
        return (self.directory / checkpoint.NAME).exists()

    def _save_status_alone(self) -> None:
        try:
            status.write(self.directory, self.status)
        except OSError:  # not even room for that: what only an unfinished run needs makes it
            with suppress(OSError):
                (self.directory / ".gradients.parquet").unlink(missing_ok=True)
                status.write(self.directory, self.status)

    def table(self, name: str) -> pa.Table:
        """All rows of a table so far."""
        tables = self._tables.get(name)
        return pa.concat_tables(tables) if tables else pa.Table.from_batches([], table_schema(self._described[name]))

    def _write(self, name: str, table: pa.Table) -> None:
        table = table.replace_schema_metadata(self._metadata)
        write_table(self.directory / f"{name}.parquet", table, keep_previous=True)

    def restore(self) -> Checkpoint | None:
        """The last good checkpoint, with the tables cut back to its moment; None if there is none.

        The next `save` writes the tables as cut. Raises `UserError` where nothing good is left.
        """
        path = self.directory / checkpoint.NAME
        reasons = []
        for file in (path, previous(path)):
            if file.exists():
                try:
                    found = self._restore_from(file)
                except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
                    reasons.append(f"{file.name}: {str(error).splitlines()[0]}")
                    continue
                if reasons:
                    self.notes.append(f"damaged and left aside: {reasons[0]}; resuming from the state before it")
                return found
        if not reasons:
            return None
        raise UserError(f"{self.directory} cannot be resumed ({reasons[0]}); overwrite=true starts it again")

    def _restore_from(self, file: Path) -> Checkpoint:
        found, tables = checkpoint.read(file, self._described)
        self._tables = {name: [table] for name, table in tables.items()}
        if "steps" in tables:  # that of a finished run is filled
            self._set_limit_cosine(np.full(tables["steps"].num_rows, np.nan))
        self._changed = set(tables)
        return found

    def take_back(self, seeds: np.ndarray) -> dict[str, np.ndarray]:
        """Remove the last record of each of the seeds. Of the one before it: step, log_loss, log_time; -1 or NaN
        where there is none; and `lowest`, the log loss of all that are left. `save_cut` writes it."""
        steps = self.table("steps").sort_by([("seed", "ascending"), ("step", "ascending")])
        own, step, log_loss, log_time = (
            numbers(steps[name].combine_chunks()) for name in ("seed", "step", "log_loss", "log_time")
        )
        first, end = np.searchsorted(own, seeds), np.searchsorted(own, seeds, side="right")
        before, none = end - 2, end - first < 2
        for name in [*self._tables]:
            table = self.table(name)
            place = np.searchsorted(seeds, table["seed"].to_numpy()).clip(max=len(seeds) - 1)
            last = (seeds[place] == table["seed"].to_numpy()) & (table["step"].to_numpy() == step[end - 1][place])
            self._tables[name] = [table.filter(pa.array(~last))]
        self._changed.clear()  # the checkpoint that is there needs the longer ones
        lowest = [np.fmin.reduce(log_loss[a : b - 1], initial=np.nan) for a, b in zip(first, end, strict=True)]
        return {
            "step": np.where(none, -1, step[before]),
            "log_loss": np.where(none, np.nan, log_loss[before]),
            "log_time": np.where(none, np.nan, log_time[before]),
            "lowest": np.array(lowest),
        }

    def finish(
        self,
        limit_directions: np.ndarray | None,
        seeds: np.ndarray,
        plane: pa.Table | None,
        leaves: Sequence[np.ndarray],
    ) -> None:
        """Sort every table, fill `limit_cosine`, write all, drop the scratch files.

        The checkpoint of the end and the gradients stay, if these are not too many.
        """
        for name, table in self._described.items():
            if not name.startswith("."):
                order = [(key, "ascending") for key in ("seed", "step", *table.axes)]
                self._tables[name] = [self.table(name).sort_by(order)]
                self._changed.add(name)
        if limit_directions is not None and ".gradients" in self._tables:
            self._set_limit_cosine(self._limit_cosine(limit_directions, seeds))
        if plane is not None:
            self._tables["plane"] = [plane]
            self._changed.add("plane")
        scratch = [name for name in self._described if name.startswith(".")]
        kept = sum(self.table(name).nbytes for name in scratch) <= MOST_KEPT
        if not kept:
            self._changed -= set(scratch)
        self.save(leaves if kept else None)
        remove_scratch(self.directory)
        if not kept:
            for pattern in _TO_GO_ON:
                _remove(self.directory, pattern)

    def _limit_cosine(self, limit_directions: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """One cosine a row of the sorted `steps`; the gradients' rows are in the order they came."""
        gradients = self.table(".gradients")
        places = np.searchsorted(seeds, numbers(gradients["seed"].combine_chunks()))
        vectors = numbers(gradients["gradient"].combine_chunks().flatten())
        cosines = np.einsum("rp,rp->r", vectors.reshape(len(places), -1), limit_directions[places])
        cosines = cosines[np.lexsort((numbers(gradients["step"].combine_chunks()), places))]
        return np.clip(cosines, -1, 1)

    def _set_limit_cosine(self, values: np.ndarray) -> None:
        steps = self.table("steps")
        index = steps.column_names.index("limit_cosine")
        self._tables["steps"] = [steps.set_column(index, steps.schema.field(index), column(values, REAL))]
