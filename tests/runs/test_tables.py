"""Arrow columns from buffers: the same values as arrow's own constructors, which import pandas, make."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from wnexp import tables


@pytest.mark.parametrize("values", [[1.5, -2.0, 0.0], [np.nan, 1.0, np.inf], []])
def test_a_column_is_arrows_own_with_nulls_for_what_is_not_finite(values):
    array = tables.column(np.array(values), tables.REAL)
    assert array.equals(pa.array([value if np.isfinite(value) else None for value in values], tables.REAL))
    back = np.array([value if np.isfinite(value) else np.nan for value in values])
    np.testing.assert_array_equal(tables.numbers(array), back)


def test_numbers_of_a_slice_and_of_integers():
    array = tables.column(np.arange(10), tables.INT)
    np.testing.assert_array_equal(tables.numbers(array[3:7]), np.arange(3, 7))


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


def test_training_does_without_pandas(tmp_path):
    """A short run would wait for its import."""
    script = (
        "import sys; from wnexp.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'pandas' in sys.modules)"
    )
    words = [sys.executable, "-c", script, "train", "+norm=ewn", "stop.log_loss=-20"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
