"""A moment of a run that it can go on from: the state's leaves in a sealed file, which says what tables belong to it.

It says up to which step of each seed the rows go and how many they are, so it is whole with newer tables too.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from wnexp.runs import sealed
from wnexp.runs.files import previous, read_table, write_atomically
from wnexp.runs.tables import Table, table_schema

NAME = "checkpoint.safetensors"


class Checkpoint(NamedTuple):
    """The leaves of the state, and the configuration that led to it."""

    leaves: Sequence[np.ndarray]
    config: dict[str, Any]


def write(directory: Path, moment: Checkpoint, tables: Mapping[str, pa.Table]) -> None:
    """The checkpoint of a run whose tables have just been written."""
    last = tables["steps"].group_by("seed").aggregate([("step", "max")]).sort_by("seed")
    metadata = {
        "config": json.dumps(moment.config, default=str),
        "rows": json.dumps({name: table.num_rows for name, table in tables.items()}),
        "seeds": json.dumps(last["seed"].to_pylist()),
        "steps": json.dumps(last["step_max"].to_pylist()),
    }
    content = sealed.pack({f"{index:04d}": leaf for index, leaf in enumerate(moment.leaves)}, metadata)
    write_atomically(directory / NAME, lambda temporary: temporary.write_bytes(content), keep_previous=True)


def read(file: Path, described: Mapping[str, Table]) -> tuple[Checkpoint, dict[str, pa.Table]]:
    """A checkpoint with the tables of its run cut back to its moment.

    Raises `OSError`, `ValueError`, `KeyError`, `TypeError` or `pa.ArrowException` where one of them is damaged.
    """
    arrays, metadata = sealed.unpack(file)
    seeds, steps = (np.array(json.loads(metadata[key]), np.int64) for key in ("seeds", "steps"))
    rows, config = (json.loads(metadata[key]) for key in ("rows", "config"))
    tables = {
        name: _readable(file.with_name(f"{name}.parquet"), described[name], seeds, steps, count)
        for name, count in rows.items()
    }
    return Checkpoint(leaves=[arrays[key] for key in sorted(arrays)], config=config), tables


def _readable(path: Path, described: Table, seeds: np.ndarray, steps: np.ndarray, count: int) -> pa.Table:
    """The rows of each of the seeds up to its step, `count` of them, from the newest version that has them."""
    reasons = []
    for file in (path, previous(path)):
        try:
            table = read_table(file).cast(table_schema(described))
            own, reached = (table[key].to_numpy() for key in ("seed", "step"))
            places = np.searchsorted(seeds, own).clip(max=len(seeds) - 1)
            table = table.filter(pa.array((seeds[places] == own) & (reached <= steps[places])))
            if table.num_rows == count:
                return table
            reasons.append("it has lost rows")
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            reasons.append(str(error).splitlines()[0])
    raise ValueError(f"{path.name}: {reasons[0]}")
