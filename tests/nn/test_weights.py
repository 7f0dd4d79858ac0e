"""Trained and fixed layers apart, and the arrays of a weights file."""

import numpy as np
import pytest

from tests.helpers import ARCHITECTURES
from wnexp.errors import UserError
from wnexp.nn.initializers import initialize
from wnexp.nn.weights import from_arrays, merge, split, to_arrays


def test_split_and_merge():
    architecture = ARCHITECTURES["fixed output"]
    weights = initialize(architecture, 0, "uniform", "float64")
    trained, fixed = split(architecture, weights)
    assert trained[1] is None and fixed[0] is None
    np.testing.assert_array_equal(weights[1]["weight"][:, 0], [1, 1, -1, -1])
    merged = merge(trained, fixed)
    assert all(merged[index] is weights[index] for index in range(2))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_arrays_and_back(name):
    architecture = ARCHITECTURES[name]
    weights = initialize(architecture, 1, "normal", "float64")
    arrays = to_arrays(weights)
    assert "layers.0.weight" in arrays and ("layers.0.bias" in arrays) == architecture.layers[0].bias
    back = from_arrays(arrays, architecture, "float32", "w")
    assert len(back) == len(weights)
    for mine, theirs in zip(back, weights, strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            assert mine[key].dtype == np.float32
            np.testing.assert_array_equal(mine[key], theirs[key].astype(np.float32))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"layers.0.weight": np.ones((3, 4))}, r"w: layers.0.weight has shape \(3, 4\), the network needs \(3, 5\)"),
        ({"layers.0.bias": None}, r"layers.0.bias has shape None, the network needs \(5,\)"),
        ({"layers.2.weight": np.ones((3, 1))}, r"layers.2.weight has shape \(3, 1\), the network needs None"),
        ({"layers.1.weight": np.full((5, 3), np.inf)}, "w: layers.1 holds NaN or infinite values"),
        ({"layers.0.bias": np.full(5, np.nan)}, "w: layers.0 holds NaN or infinite values"),
    ],
)
def test_arrays_of_another_network_are_refused(change, part):
    architecture = ARCHITECTURES["relu with bias"]
    arrays = to_arrays(initialize(architecture, 1, "normal", "float64")) | change
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(UserError, match=part):
        from_arrays(arrays, architecture, "float64", "w")
