"""Arrow tables from arrays: arrow's own values, without pandas; rows where they are valid and due."""

import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from tests.invariants import Table
from wnexp.runs import tables


class Rows(NamedTuple):
    """What a chunk recorded."""

    valid: np.ndarray
    step: np.ndarray
    blocks: list[Any]


@pytest.mark.parametrize("values", [[1.5, -2.0, 0.0], [np.nan, 1.0, np.inf], []])
def test_a_column_is_arrows_own_with_nulls_for_what_is_not_finite(values):
    array = tables.column(np.array(values), tables.REAL)
    assert array.equals(pa.array([value if np.isfinite(value) else None for value in values], tables.REAL))
    back = np.array([value if np.isfinite(value) else np.nan for value in values])
    np.testing.assert_array_equal(tables.numbers(array), back)


def test_numbers_of_a_slice_and_of_integers():
    array = tables.column(np.arange(10), tables.INT)
    np.testing.assert_array_equal(tables.numbers(array[3:7]), np.arange(3, 7))


def test_every_field_has_its_kind_and_its_unit():
    table = Table({"size": ("integer", "of it"), "vector": ("list of reals", "nats")}, ("layer", "neuron"), ())
    schema = tables.table_schema(table)
    assert schema.names == ["seed", "step", "layer", "neuron", "size", "vector"]
    assert schema.types == [pa.int64(), pa.int64(), pa.int32(), pa.int32(), pa.int64(), pa.list_(pa.float64())]
    assert schema.field("vector").metadata == {b"unit": b"nats"} and b"index" in schema.field("layer").metadata[b"unit"]


def test_a_block_that_is_due_seldom_is_null_between_and_a_table_of_its_own_has_no_rows_there():
    valid, due = np.ones((4, 2), bool), np.array([[1, 1], [0, 0], [1, 0], [0, 0]], bool)
    valid[3, 1] = False
    step, values = np.arange(8).reshape(4, 2), np.arange(8.0).reshape(4, 2)
    described = {
        "steps": Table({"often": ("real", "-"), "seldom": ("real", "-")}, (), ()),
        "parts": Table({"share": ("real", "-")}, ("part",), ("head", "tail")),
        "empty": Table({"nothing": ("real", "-")}, (), ()),
    }
    blocks = [
        ("steps", valid, {"often": values}),
        ("steps", due, {"seldom": -values}),
        ("parts", due, {"share": np.stack([values, values + 0.5], axis=-1)}),
        ("empty", valid, {}),
    ]
    made = tables.chunk_tables(Rows(valid, step, blocks), np.array([5, 6]), described)
    assert sorted(made) == ["parts", "steps"]
    steps = made["steps"].to_pydict()
    assert steps["seed"] == [5, 6, 5, 6, 5, 6, 5] and steps["step"] == steps["often"] == [0, 1, 2, 3, 4, 5, 6]
    assert steps["seldom"] == [0, -1, None, None, -4, None, None]
    parts = made["parts"].to_pydict()
    assert parts["step"] == [0, 0, 1, 1, 4, 4] and parts["part"] == ["head", "tail"] * 3
    assert parts["share"] == [0, 0.5, 1, 1.5, 4, 4.5]


def test_the_plane_has_a_word_a_point_and_labels_where_there_are_any():
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    plane = tables.plane_table(
        [
            ("train", points, np.array([-1, 1]), np.zeros(2)),
            ("grid", points, None, np.ones(2)),
            ("test", points[:0], None, np.ones(0)),
        ]
    )
    assert plane["part"].to_pylist() == ["train", "train", "grid", "grid"]
    assert plane["x"].to_pylist() == [0.0, 2.0] * 2 and plane["label"].to_pylist() == [-1.0, 1.0, None, None]


@pytest.mark.slow
def test_training_does_without_pandas(tmp_path):
    """A short run would wait for its import."""
    script = (
        "import sys; from wnexp.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'pandas' in sys.modules)"
    )
    words = [sys.executable, "-c", script, "train", "+norm=ewn", "stop.log_loss=-20"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
