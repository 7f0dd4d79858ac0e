"""The schemas of the records, and arrow tables from the arrays of a chunk."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

INT, REAL = pa.int64(), pa.float64()
_SEED_STEP = {
    "seed": (INT, "random seed"),
    "step": (INT, "accepted updates so far (epochs for sgd); row 0 is the initial network"),
}

# Table -> column -> (type, unit or meaning). All logs are natural; log columns are in nats.
TABLES: dict[str, dict[str, tuple[pa.DataType, str]]] = {
    "steps": _SEED_STEP
    | {
        "attempts": (INT, "proposals so far, rejected ones included"),
        "log_time": (REAL, "nats; log of the summed step sizes on L"),
        "step_size": (REAL, "the step rule's current lr"),
        "log_loss": (REAL, "nats; log of the training loss in the configured reduction"),
        "decay_rate": (REAL, "-d log L / d log t since the record before"),
        "train_accuracy": (REAL, "fraction of training samples with positive margin"),
        "log_test_loss": (REAL, "nats"),
        "test_accuracy": (REAL, "fraction of test samples with positive margin"),
        "margin": (REAL, "q = min_i s_i over the training set"),
        "weight_norm": (REAL, "||w|| over all trained weights and biases"),
        "normalized_margin": (REAL, "q / ||w||^L"),
        "layer_margin": (REAL, "q / prod_l ||W_l||_F^k_l"),
        "smoothed_margin": (REAL, "loss^-1(L) / ||w||^L, L the summed loss"),
        "alignment": (REAL, "cos(w, -grad L)"),
        "kkt_epsilon": (REAL, "KKT residual epsilon of w/||w||"),
        "kkt_delta": (REAL, "KKT residual delta of w/||w||"),
        "limit_cosine": (REAL, "cos(grad L, gtilde); null until the run has finished"),
    },
    "neurons": _SEED_STEP
    | {
        "layer": (pa.int32(), "index of the trained layer"),
        "neuron": (pa.int32(), "index in the layer"),
        "weight_norm": (REAL, "||w_u||"),
        "norm_ratio": (REAL, "||w_u|| over the largest of the layer"),
        "log_gradient_norm": (REAL, "nats; log ||grad_u L||"),
        "log_gradient_ratio": (REAL, "nats; log ||grad_u L|| - log ||w_u||"),
        "alignment": (REAL, "cos(w_u, -grad_u L)"),
        "direction": (pa.list_(REAL), "w_u / ||w_u||, for fan-in up to record.max_direction"),
    },
    "samples": _SEED_STEP
    | {
        "sample": (pa.int32(), "index in the training set"),
        "margin": (REAL, "s_i = min_j s_ij"),
        "loss_share": (REAL, "l_i / ||l||_2"),
    },
    # Scratch for limit_cosine, which needs the last weights; gone when the run has finished.
    ".gradients": _SEED_STEP | {"gradient": (pa.list_(REAL), "grad L / ||grad L||")},
    # Written by `wnexp prune`.
    "pruning": {
        "seed": (INT, "random seed"),
        "norm": (pa.string(), "none, swn, ewn"),
        "log_loss": (REAL, "nats; the snapshot's log loss"),
        "score": (pa.string(), "what the hidden neurons were ranked by"),
        "percent": (REAL, "percent of the hidden neurons removed, lowest score first"),
        "test_accuracy": (REAL, "fraction of test samples with positive margin"),
        "train_accuracy": (REAL, "fraction of training samples with positive margin"),
    },
    # Two-dimensional data only, written once at the end.
    "plane": {
        "part": (pa.string(), "train, test, or grid"),
        "x": (REAL, "first input"),
        "y": (REAL, "second input"),
        "label": (REAL, "label; null on the grid"),
        "output": (REAL, "final network of the first seed: output (two classes) or predicted class"),
    },
}


def schema(table: str, metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """The arrow schema of a table; every field carries its unit or meaning."""
    fields = [pa.field(name, kind, metadata={"unit": unit}) for name, (kind, unit) in TABLES[table].items()]
    return pa.schema(fields, metadata=dict(metadata) if metadata else None)


def column(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """An arrow column of numbers. From buffers, since `pa.array` would import pandas: a quarter of a second."""
    values = np.ascontiguousarray(values, kind.to_pandas_dtype())
    validity = None
    if values.dtype.kind == "f":
        validity = pa.py_buffer(np.packbits(np.isfinite(values), bitorder="little"))
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


def _table(name: str, length: int, columns: Mapping[str, np.ndarray | pa.Array]) -> pa.Table:
    """A table with its full schema; columns that are not given are null."""
    target = schema(name)
    arrays = []
    for entry in target:
        values = columns.get(entry.name)
        if values is None:
            arrays.append(pa.nulls(length, entry.type))
        else:
            arrays.append(values if isinstance(values, pa.Array) else column(values, entry.type))
    return pa.Table.from_arrays(arrays, schema=target)


def chunk_tables(rows: Mapping[str, Any], seeds: np.ndarray) -> dict[str, pa.Table]:
    slots, lanes = np.nonzero(rows["valid"])
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


def pruning_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The `pruning` table from rows; accuracies that are not given are null."""
    return pa.Table.from_pylist(list(rows), schema("pruning"))


def plane_table(parts: Iterable[tuple[str, np.ndarray, np.ndarray | None, np.ndarray]]) -> pa.Table:
    """The `plane` table from `(part, points (n, 2), labels (n,) or None, outputs (n,))`."""
    tables = []
    for part, points, labels, outputs in parts:
        columns = {"part": _words(part, len(points)), "x": points[:, 0], "y": points[:, 1], "output": outputs}
        if labels is not None:
            columns["label"] = labels.astype(np.float64)
        tables.append(_table("plane", len(points), columns))
    return pa.concat_tables(tables)
