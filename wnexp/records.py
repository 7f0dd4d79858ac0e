"""The run directory: parquet tables, weights, checkpoints, status. Arrays in, files out; no jax.

Every file is written beside its place, synced and renamed, so a reader never sees half a file and a full disk
costs no file that was there. A table is kept in memory and rewritten whole, at intervals that grow with the time
the writing takes; a value without meaning (NaN, infinite) is null.
"""

import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wnexp.config import UserError

_INT, _REAL = pa.int64(), pa.float64()
_SEED_STEP = {
    "seed": (_INT, "random seed"),
    "step": (_INT, "accepted updates so far (epochs for sgd); row 0 is the initial network"),
}

# Table -> column -> (type, unit or meaning). All logs are natural; log columns are in nats.
TABLES: dict[str, dict[str, tuple[pa.DataType, str]]] = {
    "steps": _SEED_STEP
    | {
        "attempts": (_INT, "proposals so far, rejected ones included"),
        "log_time": (_REAL, "nats; log of the summed step sizes on L"),
        "step_size": (_REAL, "the step rule's current lr"),
        "log_loss": (_REAL, "nats; log of the training loss in the configured reduction"),
        "decay_rate": (_REAL, "-d log L / d log t since the record before"),
        "train_accuracy": (_REAL, "fraction of training samples with positive margin"),
        "log_test_loss": (_REAL, "nats"),
        "test_accuracy": (_REAL, "fraction of test samples with positive margin"),
        "margin": (_REAL, "q = min_i s_i over the training set"),
        "weight_norm": (_REAL, "||w|| over all trained weights and biases"),
        "normalized_margin": (_REAL, "q / ||w||^L"),
        "layer_margin": (_REAL, "q / prod_l ||W_l||_F^k_l"),
        "smoothed_margin": (_REAL, "loss^-1(L) / ||w||^L, L the summed loss"),
        "alignment": (_REAL, "cos(w, -grad L)"),
        "kkt_epsilon": (_REAL, "KKT residual epsilon of w/||w||"),
        "kkt_delta": (_REAL, "KKT residual delta of w/||w||"),
        "limit_cosine": (_REAL, "cos(grad L, gtilde); null until the run has finished"),
    },
    "neurons": _SEED_STEP
    | {
        "layer": (pa.int32(), "index of the trained layer"),
        "neuron": (pa.int32(), "index in the layer"),
        "weight_norm": (_REAL, "||w_u||"),
        "norm_ratio": (_REAL, "||w_u|| over the largest of the layer"),
        "log_gradient_norm": (_REAL, "nats; log ||grad_u L||"),
        "log_gradient_ratio": (_REAL, "nats; log ||grad_u L|| - log ||w_u||"),
        "alignment": (_REAL, "cos(w_u, -grad_u L)"),
        "direction": (pa.list_(_REAL), "w_u / ||w_u||, for fan-in up to record.max_direction"),
    },
    "samples": _SEED_STEP
    | {
        "sample": (pa.int32(), "index in the training set"),
        "margin": (_REAL, "s_i = min_j s_ij"),
        "loss_share": (_REAL, "l_i / ||l||_2"),
    },
    # Scratch for limit_cosine, which needs the last weights; gone when the run has finished.
    ".gradients": _SEED_STEP | {"gradient": (pa.list_(_REAL), "grad L / ||grad L||")},
    # Two-dimensional data only, written once at the end.
    "plane": {
        "part": (pa.string(), "train, test, or grid"),
        "x": (_REAL, "first input"),
        "y": (_REAL, "second input"),
        "label": (_REAL, "label; null on the grid"),
        "output": (_REAL, "final network of the first seed: output (two classes) or predicted class"),
    },
}
_SECONDS_BETWEEN_WRITES = 5.0
_WRITING_SHARE = 0.05  # of the run's time


def schema(table: str, metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """The arrow schema of a table; every field carries its unit or meaning."""
    fields = [pa.field(name, kind, metadata={"unit": unit}) for name, (kind, unit) in TABLES[table].items()]
    return pa.schema(fields, metadata=dict(metadata) if metadata else None)


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
    text = json.dumps(content, indent=1, default=str) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def save_weights(path: Path, weights: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Effective weights of all layers as safetensors: keys `layers.0.weight`, `layers.0.bias`, ..."""
    from safetensors.numpy import save_file

    arrays = {
        f"layers.{index}.{name}": np.asarray(array, order="C")
        for index, layer in enumerate(weights)
        for name, array in layer.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: save_file(arrays, temporary))


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


def find_runs(path: Path) -> list[Path]:
    """Every run directory at or below `path`, in the order of their names."""
    if (path / "run.json").is_file():
        return [path]
    return sorted(found.parent for found in path.rglob("run.json"))


def differing_keys(stored: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, as `key (stored -> now)`."""
    now = json.loads(json.dumps(config, default=str))
    keys = [key for key in sorted({*stored, *now}) if stored.get(key) != now.get(key)]
    return [f"{key} ({stored.get(key)} -> {now.get(key)})" for key in keys]


def running_elsewhere(status: Mapping[str, Any]) -> bool:
    """Whether the process that wrote this status is another one on this machine, and alive."""
    owner = status.get("process") or {}
    if status["status"] != "running" or owner.get("host") != platform.node() or owner.get("pid") == os.getpid():
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
        for name, table in _tables(rows, filled, seeds).items():
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
        write_atomically(self.directory / f"{name}.parquet", lambda temporary: pq.write_table(table, temporary))

    def _save_checkpoint(self, leaves: Sequence[np.ndarray]) -> None:
        from safetensors.numpy import save_file

        counts = {name: str(self.table(name).num_rows) for name in self._tables}
        arrays = {f"{index:04d}": np.asarray(leaf, order="C") for index, leaf in enumerate(leaves)}
        path = self.directory / "checkpoint.safetensors"
        write_atomically(path, lambda temporary: save_file(arrays, temporary, metadata=counts))

    def restore(self) -> list[np.ndarray] | None:
        """The leaves of the last checkpoint, with the tables cut back to its moment; None if there is none."""
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
        return steps.set_column(index, steps.schema.field(index), _column(np.clip(cosines, -1, 1), _REAL))


def _column(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """An arrow column of numbers. From buffers, since `pa.array` would import pandas: a quarter of a second."""
    values = np.ascontiguousarray(values, kind.to_pandas_dtype())
    validity = None
    if values.dtype.kind == "f":
        validity = pa.py_buffer(np.packbits(np.isfinite(values), bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)])


def _lists(vectors: np.ndarray) -> pa.Array:
    offsets = np.arange(len(vectors) + 1) * vectors.shape[1]
    return pa.ListArray.from_arrays(_column(offsets, pa.int32()), _column(vectors.ravel(), _REAL))


def _table(name: str, length: int, columns: Mapping[str, np.ndarray | pa.Array]) -> pa.Table:
    """A table with its full schema; columns that are not given are null."""
    target = schema(name)
    arrays = []
    for entry in target:
        values = columns.get(entry.name)
        if values is None:
            arrays.append(pa.nulls(length, entry.type))
        else:
            arrays.append(values if isinstance(values, pa.Array) else _column(values, entry.type))
    return pa.Table.from_arrays(arrays, schema=target)


def _tables(rows: Mapping[str, Any], filled: int, seeds: np.ndarray) -> dict[str, pa.Table]:
    slots, lanes = np.nonzero(rows["valid"][:filled])
    pick = (slots, lanes)
    base = {"seed": seeds[lanes], "step": rows["step"][pick]}
    steps = base | {key: values[pick] for key, values in rows["steps"].items()}
    tables = {"steps": _table("steps", len(slots), steps)}
    tables["neurons"] = pa.concat_tables(
        [_neuron_table(layer, columns, pick, base) for layer, columns in rows["neurons"].items()]
    )
    if "samples" in rows:
        columns = {key: values[pick] for key, values in rows["samples"].items()}
        tables["samples"] = _expanded("samples", "sample", columns, base)
    if "gradient" in rows:
        columns = base | {"gradient": _lists(rows["gradient"][pick])}
        tables[".gradients"] = _table(".gradients", len(slots), columns)
    return tables


def _neuron_table(layer: int, columns: Mapping[str, np.ndarray], pick, base) -> pa.Table:
    picked = {key: values[pick] for key, values in columns.items()}
    direction = picked.pop("direction", None)
    extra: dict[str, Any] = {"layer": np.full(picked["weight_norm"].size, layer)}
    if direction is not None:
        extra["direction"] = _lists(np.swapaxes(direction, 1, 2).reshape(-1, direction.shape[1]))
    return _expanded("neurons", "neuron", picked, base, extra)


def _expanded(name: str, index: str, columns, base, extra: Mapping[str, Any] | None = None) -> pa.Table:
    """A table with one row per (record, item) from columns of shape `(records, items)`."""
    records, items = next(iter(columns.values())).shape
    flat = {key: values.ravel() for key, values in columns.items()}
    repeated = {key: np.repeat(values, items) for key, values in base.items()}
    return _table(
        name, records * items, repeated | {index: np.tile(np.arange(items), records)} | flat | dict(extra or {})
    )


def plane_table(parts: Iterable[tuple[str, np.ndarray, np.ndarray | None, np.ndarray]]) -> pa.Table:
    """The `plane` table from `(part, points (n, 2), labels (n,) or None, outputs (n,))`."""
    tables = []
    for part, points, labels, outputs in parts:
        columns = {"part": pa.repeat(part, len(points)), "x": points[:, 0], "y": points[:, 1], "output": outputs}
        if labels is not None:
            columns["label"] = labels.astype(np.float64)
        tables.append(_table("plane", len(points), columns))
    return pa.concat_tables(tables)
