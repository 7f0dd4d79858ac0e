"""Homogeneity, shapes, degrees, initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_weightnorm import ARCHITECTURES, INPUTS
from wnexp import network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_has_its_degree(name, random):
    architecture = ARCHITECTURES[name]
    weights = jax.tree.map(jnp.asarray, network.initialize(architecture, 1, "uniform", "float64"))
    x = jnp.asarray(random.standard_normal((9, INPUTS[name])))
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


def test_convolutions_match_a_plain_numpy_network(random):
    architecture = network.convolutional((5, 4, 2), (3, "M", 4), (6,), 2, "relu", first_bias=True)
    weights = network.initialize(architecture, 3, "normal", "float64")
    weights[0]["bias"][:] = random.standard_normal(3)
    x = random.standard_normal((3, 40))

    def convolve(images, weight):
        n, height, width, _ = images.shape
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        out = np.zeros((n, height, width, weight.shape[-1]))
        for i in range(height):
            for j in range(width):
                out[:, i, j] = np.tensordot(padded[:, i : i + 3, j : j + 3], weight, 3)
        return out

    hidden = np.maximum(convolve(x.reshape(3, 5, 4, 2), weights[0]["weight"]) + weights[0]["bias"], 0)
    corners = [(i, j) for i in (0, 2) for j in (0, 2)]  # the fifth row is dropped
    pooled = np.stack([hidden[:, i : i + 2, j : j + 2].max(axis=(1, 2)) for i, j in corners], axis=1)
    flat = np.maximum(convolve(pooled.reshape(3, 2, 2, 3), weights[1]["weight"]), 0).reshape(3, -1)
    want = np.maximum(flat @ weights[2]["weight"], 0) @ weights[3]["weight"]
    got = network.apply(architecture, jax.tree.map(jnp.asarray, weights), jnp.asarray(x))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_both_convolutions_agree_in_value_and_gradient(random):
    weight, x = (jnp.asarray(random.standard_normal(shape)) for shape in ((3, 3, 2, 4), (3, 5, 6, 2)))
    for way in (network.convolve_by_columns, network.convolve):
        value, pull_back = jax.vjp(way, weight, x)
        pulled = pull_back(jnp.cos(value))
        if way is network.convolve_by_columns:
            want = (value, pulled)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), (value, pulled), want)


def test_the_papers_vgg_has_one_place_left_and_tiny_images_are_refused():
    blocks = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
    vgg = network.convolutional((32, 32, 3), blocks, (), 10, "relu", first_bias=True)
    assert [layer.shape for layer in vgg.layers[-2:]] == [(3, 3, 512, 512), (512, 10)]
    assert len(vgg.layers) == 14 and vgg.degree == 14
    with pytest.raises(ValueError, match="nothing of the 8 x 8 image"):
        network.convolutional((8, 8, 1), blocks, (), 10, "relu")


def test_gates_take_neurons_out(random):
    architecture = ARCHITECTURES["convolutions"]
    weights = jax.tree.map(jnp.asarray, network.initialize(architecture, 0, "normal", "float64"))
    x = jnp.asarray(random.standard_normal((6, 24)))
    gates = (jnp.array([1.0, 0.0, 1.0]), jnp.array([0.0, 1.0, 1.0, 0.0]), None, None)
    smaller = (
        {"weight": weights[0]["weight"][..., [0, 2]], "bias": weights[0]["bias"][jnp.array([0, 2])]},
        {"weight": weights[1]["weight"][:, :, [0, 2]][..., [1, 2]]},
        {"weight": weights[2]["weight"].reshape(2, 4, 5)[:, [1, 2]].reshape(4, 5)},
        weights[3],
    )
    pruned = network.convolutional((3, 4, 2), (2, "M", 2), (5,), 3, "relu", first_bias=True)
    np.testing.assert_allclose(
        network.apply(architecture, weights, x, gates), network.apply(pruned, smaller, x), rtol=1e-12
    )


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_same_function_starts_every_depth_at_one_linear_map(depth):
    def product(seed):
        layers = network.initialize(network.mlp(2, (7,) * (depth - 1), 1, "linear"), seed, "same_function", "float64")
        return np.linalg.multi_dot([np.eye(2), *(layer["weight"] for layer in layers), np.eye(1)])

    shallow = network.initialize(network.mlp(2, (), 1, "linear"), 5, "same_function", "float64")[0]["weight"]
    np.testing.assert_allclose(product(5), shallow, rtol=1e-12)
    assert not np.allclose(product(6), shallow)


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


def test_relu_sliding_is_relu_with_a_continuous_derivative():
    z = jnp.array([[-2.0, 0.0], [1e-9, 3.0], [4.0, 1.0]])
    np.testing.assert_array_equal(network.relu_sliding(z), jax.nn.relu(z))
    slope = jax.grad(lambda z: jnp.sum(network.relu_sliding(z)))(z)
    np.testing.assert_allclose(slope, [[0, 0.5], [0.500624, 1], [1, 1]], atol=1e-5)
    assert np.isfinite(jax.grad(lambda z: jnp.sum(network.relu_sliding(z)))(jnp.zeros((2, 2)))).all()
