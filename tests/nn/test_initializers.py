"""Initial weights: their scale, and what they depend on."""

import numpy as np
import pytest

from tests.helpers import ARCHITECTURES, mlp
from wnexp.nn.initializers import INITIALIZERS, initialize


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_same_function_starts_every_depth_at_one_linear_map(depth):
    def product(seed):
        layers = initialize(mlp(2, (7,) * (depth - 1), 1, "linear"), seed, "same_function", "float64")
        return np.linalg.multi_dot([np.eye(2), *(layer["weight"] for layer in layers), np.eye(1)])

    shallow = initialize(mlp(2, (), 1, "linear"), 5, "same_function", "float64")[0]["weight"]
    np.testing.assert_allclose(product(5), shallow, rtol=1e-12)
    assert not np.allclose(product(6), shallow)


def test_initial_weights_have_the_papers_scale_and_depend_on_the_seed():
    architecture = mlp(400, (300,), 1, "relu")
    uniform = initialize(architecture, 0, "uniform", "float64")[0]["weight"]
    normal = initialize(architecture, 0, "normal", "float64")[0]["weight"]
    assert abs(uniform).max() <= 1 / 20 and uniform.std() == pytest.approx(1 / 20 / np.sqrt(3), rel=0.01)
    assert normal.std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    again = initialize(architecture, 0, "uniform", "float64")[0]["weight"]
    other = initialize(architecture, 1, "uniform", "float64")[0]["weight"]
    np.testing.assert_array_equal(uniform, again)
    assert (uniform != other).all()


@pytest.mark.parametrize("scheme", ["uniform", "normal"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_has_its_shape_its_bias_of_zeros_and_its_constants(name, scheme):
    architecture = ARCHITECTURES[name]
    weights = initialize(architecture, 3, scheme, "float32")
    for spec, layer in zip(architecture.layers, weights, strict=True):
        assert layer["weight"].shape == spec.shape and layer["weight"].dtype == np.float32
        assert ("bias" in layer) == spec.bias
        if spec.bias:
            np.testing.assert_array_equal(layer["bias"], np.zeros(spec.shape[-1]))
        if spec.fixed is not None:
            np.testing.assert_array_equal(layer["weight"].ravel(), spec.fixed)
    assert scheme in INITIALIZERS


def test_a_convolution_has_the_scale_of_its_whole_neighbourhood():
    weight = initialize(ARCHITECTURES["convolutions"], 0, "uniform", "float64")[1]["weight"]
    assert weight.shape[:-1] == (3, 3, 3) and 0.9 / np.sqrt(27) < abs(weight).max() <= 1 / np.sqrt(27)
