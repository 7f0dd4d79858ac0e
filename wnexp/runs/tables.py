"""Arrow tables from the arrays of a chunk, by the columns that the measures describe.

Logs are natural; log columns are in nats. A value without meaning is null.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

INT, REAL = pa.int64(), pa.float64()
KINDS = {"integer": INT, "real": REAL, "list of reals": pa.list_(REAL), "text": pa.string()}
Columns = Mapping[str, tuple[str, str]]  # name -> (kind, unit or meaning)

SEED_STEP: Columns = {
    "seed": ("integer", "random seed"),
    "step": ("integer", "accepted updates so far (epochs for mini-batches); row 0 is the initial network"),
}
_AXES = {"layer": "index of the trained layer", "neuron": "index in the layer", "sample": "index in the training set"}
# Two-dimensional data only, written once at the end.
PLANE: Columns = {
    "part": ("text", "train, test, or grid"),
    "x": ("real", "first input"),
    "y": ("real", "second input"),
    "label": ("real", "label; null on the grid"),
    "output": ("real", "final network of the first seed: output (two classes) or predicted class"),
}


@runtime_checkable
class Table(Protocol):
    """What is recorded in a table: columns, and what a row is one of beside seed and record."""

    @property
    def columns(self) -> Columns: ...

    @property
    def axes(self) -> Sequence[str]: ...

    @property
    def names(self) -> Sequence[str]: ...


@runtime_checkable
class Rows(Protocol):
    """What a chunk recorded of `s` seeds."""

    @property
    def valid(self) -> np.ndarray: ...

    @property
    def step(self) -> np.ndarray: ...

    @property
    def blocks(self) -> Sequence[tuple[str, np.ndarray, Any]]: ...


def schema(columns: Columns) -> pa.Schema:
    """The arrow schema of columns; every field carries its unit or meaning."""
    return pa.schema([pa.field(name, KINDS[kind], metadata={"unit": unit}) for name, (kind, unit) in columns.items()])


def table_schema(table: Table) -> pa.Schema:
    """The arrow schema of a table of the records."""
    fields = list(schema(SEED_STEP))
    for index, axis in enumerate(table.axes):
        kind = pa.string() if index == 0 and table.names else pa.int32()
        fields.append(pa.field(axis, kind, metadata={"unit": _AXES.get(axis, "name" if table.names else "index")}))
    return pa.schema([*fields, *schema(table.columns)])


def column(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """An arrow column of numbers. From buffers, since `pa.array` would import pandas: a quarter of a second.

    So do its types' own names of numpy's types in some versions.
    """
    validity = None
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        validity = pa.py_buffer(np.packbits(finite, bitorder="little"))
        values = values if kind == REAL else np.where(finite, values, 0)
    values = np.ascontiguousarray(values, np.float64 if kind == REAL else str(kind))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)])


def numbers(array: pa.Array) -> np.ndarray:
    """The inverse of `column`, NaN where it is null; `to_numpy` too would import pandas."""
    return np.from_dlpack(array.fill_null(np.nan) if array.null_count else array)


def _words(word: str, count: int) -> pa.Array:
    offsets, letters = np.arange(count + 1, dtype=np.int32) * len(word.encode()), word.encode() * count
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))


def _lists(vectors: np.ndarray) -> pa.Array:
    offsets = np.arange(len(vectors) + 1) * vectors.shape[1]
    return pa.ListArray.from_arrays(column(offsets, pa.int32()), column(vectors.ravel(), REAL))


def _arrow(target: pa.Schema, length: int, columns: Mapping[str, np.ndarray | pa.Array]) -> pa.Table:
    """A table with its full schema; columns that are not given are null."""
    arrays = []
    for entry in target:
        values = columns.get(entry.name)
        if values is None:
            arrays.append(pa.nulls(length, entry.type))
        else:
            arrays.append(values if isinstance(values, pa.Array) else column(values, entry.type))
    return pa.Table.from_arrays(arrays, schema=target)


def chunk_tables(rows: Rows, seeds: np.ndarray, tables: Mapping[str, Table]) -> dict[str, pa.Table]:
    """Arrow tables of what a chunk recorded of the seeds `(s,)`, without the slots that they did not fill."""
    found = {}
    for name, table in tables.items():
        blocks = [(counts, columns) for target, counts, columns in rows.blocks if target == name and columns]
        if not blocks:
            continue
        pick = np.nonzero(np.any([counts for counts, _ in blocks], axis=0))
        base = {"seed": seeds[pick[1]], "step": rows.step[pick]}
        if len(table.axes) == 2:
            keys = dict.fromkeys(key for _, columns in blocks for key in columns)
            parts = [
                _expanded(
                    table, base, _picked([(counts, columns.get(key, {})) for counts, columns in blocks], pick), key
                )
                for key in keys
            ]
            found[name] = pa.concat_tables(parts)
        elif table.axes:
            found[name] = _expanded(table, base, _picked(blocks, pick))
        else:
            columns = {key: _lists(v) if v.ndim == 2 else v for key, v in _picked(blocks, pick).items()}
            found[name] = _arrow(table_schema(table), len(pick[0]), base | columns)
    return found


def _picked(blocks: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]], pick: Any) -> dict[str, np.ndarray]:
    """The columns `(records, ...)` of the records picked, NaN where their measure was not due."""
    picked = {}
    for counts, columns in blocks:
        due = counts[pick]
        for name, values in columns.items():
            values = values[pick]
            picked[name] = values if due.all() else _null_where(~due, values)
    return picked


def _null_where(missing: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values as reals, NaN in the records `(records,)` that are missing: null, once they are a column."""
    return np.where(missing.reshape(-1, *[1] * (values.ndim - 1)), np.nan, values.astype(float))


def _expanded(
    table: Table, base: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], key: Any = None
) -> pa.Table:
    """One row per (record, item) from columns of shape `(records, items)`, lists `(records, length, items)`."""
    kinds = {name: kind for name, (kind, _) in table.columns.items()}
    records, items = next((v.shape[0], v.shape[-1]) for v in columns.values())
    flat: dict[str, Any] = {}
    for name, values in columns.items():
        listed = kinds[name] == "list of reals"
        flat[name] = _lists(np.swapaxes(values, 1, 2).reshape(-1, values.shape[1])) if listed else values.ravel()
    index: dict[str, Any] = {table.axes[-1]: np.tile(np.arange(items), records)}
    if key is not None:
        index[table.axes[0]] = np.full(records * items, key)
    elif table.names:
        index[table.axes[0]] = pa.array(list(table.names) * records, pa.string())
    repeated = {name: np.repeat(values, items) for name, values in base.items()}
    return _arrow(table_schema(table), records * items, repeated | index | flat)


def plane_table(parts: Iterable[tuple[str, np.ndarray, np.ndarray | None, np.ndarray]]) -> pa.Table:
    """The `plane` table from `(part, points (n, 2), labels (n,) or None, outputs (n,))`."""
    tables = []
    for part, points, labels, outputs in parts:
        columns = {"part": _words(part, len(points)), "x": points[:, 0], "y": points[:, 1], "output": outputs}
        if labels is not None:
            columns["label"] = labels.astype(np.float64)
        tables.append(_arrow(schema(PLANE), len(points), columns))
    return pa.concat_tables(tables)
