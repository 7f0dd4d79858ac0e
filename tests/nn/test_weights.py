"""Trained and fixed layers apart, and the arrays of a weights file."""

import ml_dtypes
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
        (
            {"layers.0.bias": None},
            r"w: it holds layers.0.weight, layers.1.weight;\nthe network needs exactly .*0.bias, ",
        ),
        (
            {"layers.2.weight": np.ones((3, 1))},
            r"w: it holds .*, layers.2.weight;\nthe network needs exactly .*1.weight$",
        ),
        ({f"{index}.weight": np.ones(1) for index in range(99)}, r"it holds .*4.weight, \.\.\. \(102\);\nthe network"),
        (
            {"layers.0.weight": np.ones((5, 3))},
            r"\(5, 3\), the network needs \(3, 5\)\nit fits transposed: dense .* all of",
        ),
        ({"layers.1.weight": np.ones((3, 5))}, r"layers.1.weight has .*\nit fits transposed"),
        ({"layers.1.weight": np.ones((5, 3), complex)}, "w: layers.1.weight is of type complex128; allowed: float16, "),
        ({"layers.1.weight": np.ones((5, 3), np.int8)}, "layers.1.weight is of type int8"),
        ({"layers.0.bias": np.ones(5, ml_dtypes.bfloat16)}, "layers.0.bias is of type bfloat16; allowed"),
        ({"layers.0.bias": np.ones(5, ml_dtypes.float8_e4m3fn)}, "layers.0.bias is of type float8_e4m3fn; allowed"),
        ({"layers.0.bias": np.zeros(5, "V2")}, r"layers.0.bias is of type \|V2; allowed"),
        ({"layers.1.weight": np.full((5, 3), np.inf)}, "w: layers.1 holds NaN or infinite values"),
        ({"layers.0.bias": np.full(5, np.nan)}, "w: layers.0 holds NaN or infinite values"),
    ],
)
def test_arrays_of_another_network_are_refused(change, part):
    architecture = ARCHITECTURES["relu with bias"]
    arrays = to_arrays(initialize(architecture, 1, "normal", "float64")) | change
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(UserError, match=part) as error:
        from_arrays(arrays, architecture, "float64", "w")
    assert len(str(error.value).splitlines()) <= 2


def test_convolutions_with_the_axes_of_pytorch_are_named():
    architecture = ARCHITECTURES["convolutions"]
    arrays = to_arrays(initialize(architecture, 1, "normal", "float64"))
    arrays["layers.0.weight"] = arrays["layers.0.weight"].transpose(3, 2, 0, 1)
    with pytest.raises(UserError, match=r"\(3, 2, 3, 3\), .* \(3, 3, 2, 3\)\nit fits as transpose\(2, 3, 1, 0\): conv"):
        from_arrays(arrays, architecture, "float64", "w")
    arrays["layers.0.weight"] = np.ones((2, 3, 3, 3))
    with pytest.raises(UserError, match=r"needs \(3, 3, 2, 3\)$"):
        from_arrays(arrays, architecture, "float64", "w")


def test_weights_beyond_the_precision_are_refused_by_that_name():
    architecture = ARCHITECTURES["linear"]
    arrays = {"layers.0.weight": np.full((3, 1), 1e100)}
    assert from_arrays(arrays, architecture, "float64", "w")[0]["weight"].max() == 1e100
    with pytest.raises(UserError, match=r"w: layers\.0 holds values beyond precision=float32; give precision=float64"):
        from_arrays(arrays, architecture, "float32", "w")
