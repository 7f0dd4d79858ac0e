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
from wnexp.runs.tables import Table, numbers, table_schema

NAME = "checkpoint.safetensors"
_ABOUT = "about"


class Checkpoint(NamedTuple):
    """The leaves of the state, and the configuration that led to it."""

    leaves: Sequence[np.ndarray]
    config: dict[str, Any]


def write(directory: Path, moment: Checkpoint, tables: Mapping[str, pa.Table]) -> None:
    """The checkpoint of a run, to be restored with these tables, or with longer ones."""
    own, step = (numbers(tables["steps"][key].combine_chunks()) for key in ("seed", "step"))
    seeds, places = np.unique(own, return_inverse=True)
    last = np.zeros(len(seeds), np.int64)
    np.maximum.at(last, places, step)  # arrow's groups would import pandas
    about = {
        "config": moment.config,
        "rows": {name: table.num_rows for name, table in tables.items()},
        "seeds": seeds.tolist(),
        "steps": last.tolist(),
    }
    arrays = {f"{index:04d}": leaf for index, leaf in enumerate(moment.leaves)}
    # As an array: the library writes the entries of its metadata in any order, equal runs shall have equal files.
    arrays[_ABOUT] = np.frombuffer(json.dumps(about, default=str).encode(), np.uint8)
    content = sealed.pack(arrays, {})
    write_atomically(directory / NAME, lambda temporary: temporary.write_bytes(content), keep_previous=True)


def read(file: Path, described: Mapping[str, Table]) -> tuple[Checkpoint, dict[str, pa.Table]]:
    """A checkpoint with the tables of its run cut back to its moment.

    Raises `OSError`, `ValueError`, `KeyError`, `TypeError` or `pa.ArrowException` where one of them is damaged.
    """
    arrays, _ = sealed.unpack(file)
    about = json.loads(arrays.pop(_ABOUT).tobytes())
    seeds, steps = (np.array(about[key], np.int64) for key in ("seeds", "steps"))
    tables = {
        name: _readable(file.with_name(f"{name}.parquet"), described[name], seeds, steps, count)
        for name, count in about["rows"].items()
    }
    return Checkpoint(leaves=[arrays[key] for key in sorted(arrays)], config=about["config"]), tables


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
