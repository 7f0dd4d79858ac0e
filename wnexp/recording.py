"""The tables, checkpoint and status of a run that is going on. Arrays in, files out; no jax.

A table is kept in memory and rewritten whole, at intervals that grow with the time the writing takes.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wnexp.config import UserError
from wnexp.records import write_atomically, write_json, write_table
from wnexp.tables import REAL, TABLES, chunk_tables, column, schema

_SECONDS_BETWEEN_WRITES = 5.0
_WRITING_SHARE = 0.05  # of the run's time


class Records:
    """The tables and status of one run that is going on.

    `open` them with the run's configuration; `append` the rows of each chunk; `save` when `due`; `finish`.
    """

    def __init__(self, directory: Path, status: dict[str, Any]):
        self.directory = directory
        self.status = status
        self._metadata = {
            "wnexp.config": json.dumps(status["config"], default=str),
            "wnexp.versions": json.dumps(status["versions"]),
        }
        self._tables: dict[str, list[pa.Table]] = {}
        self._changed: set[str] = set()
        self._last_write = time.monotonic()
        self._pause = 0.0

    def clear(self) -> None:
        """Remove what an earlier run left here."""
        for name in ("snapshots", "figures"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in ("run.json", "checkpoint.safetensors", *(f"{table}.parquet" for table in TABLES)):
            (self.directory / name).unlink(missing_ok=True)

    def append(self, rows: Mapping[str, Any], filled: int, seeds: np.ndarray) -> None:
        """Add the rows of a chunk: arrays `(slots, seeds, ...)` of which `filled` slots count, where valid."""
        for name, table in chunk_tables(rows, filled, seeds).items():
            if table.num_rows:
                self._tables.setdefault(name, []).append(table)
                self._changed.add(name)

    def due(self) -> bool:
        """Whether it is time to write: seldom enough that writing stays a small share of the run."""
        return time.monotonic() - self._last_write >= self._pause

    def save(self, leaves: Sequence[np.ndarray] | None = None) -> None:
        """Write changed tables, then the checkpoint that counts their rows (if given), then run.json."""
        began = time.monotonic()
        # In the order of what a reader would miss most, scratch after it: a disk that fills up costs that first.
        for name in [name for name in TABLES if name in self._changed]:
            self._write(name, self.table(name))
            self._changed.discard(name)
        if leaves is not None:
            self._save_checkpoint(leaves)
        write_json(self.directory / "run.json", self.status)
        self._last_write = time.monotonic()
        self._pause = max(_SECONDS_BETWEEN_WRITES, (self._last_write - began) / _WRITING_SHARE)

    def fail(self, reason: str) -> bool:
        """Write the status `failed` and what else the disk takes. Returns whether the run can be resumed."""
        self.status |= {"status": "failed", "error": reason}
        try:
            self.save()
        except OSError:
            self._save_status_alone()
        return (self.directory / "checkpoint.safetensors").exists()

    def _save_status_alone(self) -> None:
        path = self.directory / "run.json"
        try:
            write_json(path, self.status)
        except OSError:  # not even room for that: what only an unfinished run needs makes it
            with suppress(OSError):
                (self.directory / ".gradients.parquet").unlink(missing_ok=True)
                write_json(path, self.status)

    def table(self, name: str) -> pa.Table:
        """All rows of a table so far."""
        tables = self._tables.get(name)
        return pa.concat_tables(tables) if tables else schema(name).empty_table()

    def _write(self, name: str, table: pa.Table) -> None:
        table = table.replace_schema_metadata(self._metadata)
        write_table(self.directory / f"{name}.parquet", table)

    def _save_checkpoint(self, leaves: Sequence[np.ndarray]) -> None:
        from safetensors.numpy import save

        counts = {name: str(self.table(name).num_rows) for name in self._tables}
        arrays = {f"{index:04d}": np.asarray(leaf, order="C") for index, leaf in enumerate(leaves)}
        path = self.directory / "checkpoint.safetensors"
        write_atomically(path, lambda temporary: temporary.write_bytes(save(arrays, metadata=counts)))

    def restore(self) -> list[np.ndarray] | None:
        """The leaves of the last checkpoint, with the tables cut back to its moment; None if there is none.

        The next `save` writes the tables as cut.
        """
        from safetensors import SafetensorError, safe_open

        path = self.directory / "checkpoint.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, "numpy") as stored:
                leaves = [stored.get_tensor(key) for key in sorted(stored.keys())]
                counts = {name: int(count) for name, count in (stored.metadata() or {}).items()}
            for name, count in counts.items():
                table = pq.read_table(self.directory / f"{name}.parquet").slice(0, count)
                if table.num_rows < count:
                    raise ValueError(f"{name}.parquet has lost rows")
                self._tables[name] = [table.cast(schema(name))]
                self._changed.add(name)
        except (OSError, ValueError, KeyError, SafetensorError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{self.directory} cannot be resumed ({reason}); overwrite=true starts it again") from None
        return leaves

    def finish(self, limit_directions: np.ndarray | None, seeds: np.ndarray, plane: pa.Table | None) -> None:
        """Fill `limit_cosine`, sort every table, write all, drop the scratch files."""
        if limit_directions is not None and ".gradients" in self._tables:
            self._tables["steps"] = [self._with_limit_cosine(limit_directions, seeds)]
        keys = ("seed", "step", "layer", "neuron", "sample")
        for name in ("steps", "neurons", "samples"):
            order = [(key, "ascending") for key in keys if key in TABLES[name]]
            self._tables[name] = [self.table(name).sort_by(order)]
            self._changed.add(name)
        if plane is not None:
            self._tables["plane"] = [plane]
            self._changed.add("plane")
        self._changed.discard(".gradients")
        self.save()
        for name in (".gradients.parquet", "checkpoint.safetensors"):
            (self.directory / name).unlink(missing_ok=True)

    def _with_limit_cosine(self, limit_directions: np.ndarray, seeds: np.ndarray) -> pa.Table:
        steps, gradients = self.table("steps"), self.table(".gradients")
        lanes = np.searchsorted(seeds, gradients["seed"].to_numpy())
        vectors = gradients["gradient"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        cosines = np.einsum("rp,rp->r", vectors.reshape(len(lanes), -1), limit_directions[lanes])
        index = steps.column_names.index("limit_cosine")
        return steps.set_column(index, steps.schema.field(index), column(np.clip(cosines, -1, 1), REAL))
