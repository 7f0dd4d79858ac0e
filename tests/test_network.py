"""Homogeneity, shapes, degrees, initial weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_weightnorm import ARCHITECTURES
from wnexp import network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_has_its_degree(name, random):
    architecture = ARCHITECTURES[name]
    weights = network.initialize(architecture, 1, "uniform", "float64")
    x = jnp.asarray(random.standard_normal((9, 3)))
    base = network.apply(architecture, weights, x)
    for index, degree in enumerate(architecture.degrees):
        scaled = list(weights)
        scaled[index] = {key: 2.0 * value for key, value in weights[index].items()}
        np.testing.assert_allclose(network.apply(architecture, tuple(scaled), x), 2.0**degree * base, rtol=1e-12)


def test_degree_counts_trained_layers_only():
    assert network.mlp(2, (8,), 1, "relu_squared").degree == 3
    assert network.mlp(2, (8, 8), 1, "relu_squared").degree == 7
    assert network.mlp(2, (4,), 1, "relu", fixed_output=(1.0, 1.0, 1.0, 1.0)).degree == 1
    assert network.diagonal(2).degree == 1


def test_outputs_match_a_plain_numpy_network(random):
    architecture = network.mlp(3, (5, 4), 2, "relu_squared", first_bias=True)
    weights = network.initialize(architecture, 2, "normal", "float64")
    weights[0]["bias"][:] = random.standard_normal(5)
    x = random.standard_normal((6, 3))
    hidden = np.maximum(x @ weights[0]["weight"] + weights[0]["bias"], 0) ** 2
    hidden = np.maximum(hidden @ weights[1]["weight"], 0) ** 2
    np.testing.assert_allclose(
        network.apply(architecture, weights, jnp.asarray(x)), hidden @ weights[2]["weight"], rtol=1e-12
    )
    one = network.initialize(network.diagonal(3), 0, "uniform", "float64")
    np.testing.assert_allclose(
        network.apply(network.diagonal(3), one, jnp.asarray(x))[:, 0], x @ one[0]["weight"][0], rtol=1e-12
    )


def test_initial_weights_have_the_papers_scale_and_depend_on_the_seed():
    architecture = network.mlp(400, (300,), 1, "relu")
    uniform = network.initialize(architecture, 0, "uniform", "float64")[0]["weight"]
    normal = network.initialize(architecture, 0, "normal", "float64")[0]["weight"]
    assert abs(uniform).max() <= 1 / 20 and uniform.std() == pytest.approx(1 / 20 / np.sqrt(3), rel=0.01)
    assert normal.std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    again = network.initialize(architecture, 0, "uniform", "float64")[0]["weight"]
    other = network.initialize(architecture, 1, "uniform", "float64")[0]["weight"]
    np.testing.assert_array_equal(uniform, again)
    assert (uniform != other).all()


def test_split_and_merge():
    architecture = ARCHITECTURES["fixed output"]
    weights = network.initialize(architecture, 0, "uniform", "float64")
    trained, fixed = network.split(architecture, weights)
    assert trained[1] is None and fixed[0] is None
    np.testing.assert_array_equal(weights[1]["weight"][:, 0], [1, 1, -1, -1])
    merged = network.merge(trained, fixed)
    assert all(merged[index] is weights[index] for index in range(2))
