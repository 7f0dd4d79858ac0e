"""The run directory: parquet tables, weights, checkpoints, status. Arrays in, files out; no jax.

Every file is written beside its place, synced and renamed, so a reader never sees half a file and a full disk
costs no file that was there. A table is kept in memory and rewritten whole, at intervals that grow with the time
the writing takes; a value without meaning (NaN, infinite) is null.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wnexp.config import Config, UserError, as_dict
from wnexp.tables import REAL, TABLES, chunk_tables, column, schema

_SECONDS_BETWEEN_WRITES = 5.0
_WRITING_SHARE = 0.05  # of the run's time


def write_atomically(path: Path, write) -> None:
    """Call `write(temporary path)`, sync, then rename it to `path`. Raises `OSError`, with `path` as it was."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON file, atomically."""
    text = json.dumps(content, indent=1, default=str, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def write_table(path: Path, table: pa.Table) -> None:
    """A parquet file, atomically."""
    write_atomically(path, lambda temporary: pq.write_table(table, temporary))


def save_weights(path: Path, weights: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Effective weights of all layers as safetensors: keys `layers.0.weight`, `layers.0.bias`, ..."""
    from safetensors.numpy import save

    arrays = {
        f"layers.{index}.{name}": np.asarray(array, order="C")
        for index, layer in enumerate(weights)
        for name, array in layer.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: temporary.write_bytes(save(arrays)))


def load_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a weights file by key. Raises `UserError` if it is missing or not a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable weights file ({str(error).splitlines()[0]})") from None


def read_status(directory: Path) -> dict[str, Any] | None:
    """`run.json`, or None if there is none. Raises `UserError` if it cannot be read."""
    path = directory / "run.json"
    try:
        status = json.loads(path.read_text())
        if isinstance(status, dict) and {"status", "config", "seeds"} <= status.keys():
            return status
        raise ValueError("keys are missing")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); overwrite=true runs this again from the start") from None


def runs_at(paths: Sequence[Path]) -> list[Path]:
    """The run directories at or below the paths, or of the experiments of those names; the newest run without a path.

    Raises `UserError` where there is none.
    """
    found = [run for path in paths for run in _runs_at(path)] if paths else [_newest(Path("outputs"))]
    return list(dict.fromkeys(run.resolve() for run in found))


def _runs_at(path: Path) -> list[Path]:
    for place in (path, Path("outputs") / path):
        if place.exists():
            runs = find_runs(place)
            if runs:
                return runs
            raise UserError(f"{place} holds no run (a run is a folder with run.json)")
    raise UserError(f"{path}: no such run directory, folder of runs, or experiment under outputs/")


def _newest(root: Path) -> Path:
    runs = find_runs(root)
    if not runs:
        raise UserError(f"no runs under {root}/ here; `wnexp train +norm=ewn` makes one")
    return max(runs, key=lambda run: (run / "run.json").stat().st_mtime_ns)


def find_runs(path: Path) -> list[Path]:
    """Every run directory at or below `path`, in the order of their names."""
    if (path / "run.json").is_file():
        return [path]
    return sorted(found.parent for found in path.rglob("run.json"))


def identity(config: Config) -> dict[str, Any]:
    """The configuration and the contents of the files it names: what makes a run this run."""
    files = {"data.path": config.data.path, "model.initial_weights": config.model.initial_weights}
    digests = {}
    for key, name in files.items():
        if name is not None and (path := Path(name).expanduser()).is_file():
            digests[f"{key} (sha256)"] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return as_dict(config) | digests


def differing_keys(stored: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, as `key (stored -> now)`."""
    now = json.loads(json.dumps(config, default=str))
    keys = [key for key in sorted({*stored, *now}) if stored.get(key) != now.get(key)]
    return [f"{key} ({stored.get(key)} -> {now.get(key)})" for key in keys]


def is_alive(status: Mapping[str, Any]) -> bool:
    """Whether the process that wrote this status still runs, as far as this machine can tell."""
    owner = status.get("process") or {}
    if owner.get("host") != platform.node():
        return status["status"] == "running"
    with suppress(OSError):  # a process number may have been given to another program since
        if b"wnexp" not in Path(f"/proc/{owner.get('pid')}/cmdline").read_bytes():
            return False
    try:
        os.kill(int(owner["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:
        return True
    return True


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
        for name in sorted(self._changed):
            self._write(name, self.table(name))
        self._changed.clear()
        if leaves is not None:
            self._save_checkpoint(leaves)
        write_json(self.directory / "run.json", self.status)
        self._last_write = time.monotonic()
        self._pause = max(_SECONDS_BETWEEN_WRITES, (self._last_write - began) / _WRITING_SHARE)

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
