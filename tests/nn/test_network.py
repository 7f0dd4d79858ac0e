"""Outputs against plain numpy networks, homogeneity, degrees, gates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import ARCHITECTURES, INPUTS, activation, mlp
from wnexp.nn import network
from wnexp.nn.initializers import initialize


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_has_its_degree(name, random):
    architecture = ARCHITECTURES[name]
    weights = jax.tree.map(jnp.asarray, initialize(architecture, 1, "uniform", "float64"))
    x = jnp.asarray(random.standard_normal((9, INPUTS[name])))
    base = network.apply(architecture, weights, x)
    for index, degree in enumerate(architecture.degrees):
        scaled = list(weights)
        scaled[index] = {key: 2.0 * value for key, value in weights[index].items()}
        np.testing.assert_allclose(network.apply(architecture, tuple(scaled), x), 2.0**degree * base, rtol=1e-12)


def test_degree_counts_trained_layers_only():
    assert mlp(2, (8,), 1, "relu_squared").degree == 3
    assert mlp(2, (8, 8), 1, "relu_squared").degree == 7
    assert mlp(2, (4,), 1, "relu", fixed_output=(1.0, 1.0, 1.0, 1.0)).degree == 1
    assert network.diagonal(2).degree == 1


def test_outputs_match_a_plain_numpy_network(random):
    architecture = mlp(3, (5, 4), 2, "relu_squared", first_bias=True)
    weights = initialize(architecture, 2, "normal", "float64")
    weights[0]["bias"][:] = random.standard_normal(5)
    x = random.standard_normal((6, 3))
    hidden = np.maximum(x @ weights[0]["weight"] + weights[0]["bias"], 0) ** 2
    hidden = np.maximum(hidden @ weights[1]["weight"], 0) ** 2
    np.testing.assert_allclose(
        network.apply(architecture, weights, jnp.asarray(x)), hidden @ weights[2]["weight"], rtol=1e-12
    )
    one = initialize(network.diagonal(3), 0, "uniform", "float64")
    np.testing.assert_allclose(
        network.apply(network.diagonal(3), one, jnp.asarray(x))[:, 0], x @ one[0]["weight"][0], rtol=1e-12
    )


@pytest.mark.parametrize("group", [1, 3])
def test_a_neuron_of_a_diagonal_network_sees_its_group_alone(group, random):
    weight, x = random.standard_normal((group, 4)), random.standard_normal((5, 4 * group))
    want = sum(x[:, j * group : (j + 1) * group] @ weight[:, j] for j in range(4))
    weights = ({"weight": jnp.asarray(weight)}, {"weight": jnp.ones((4, 1))})
    found = network.apply(network.diagonal(4 * group, group), weights, jnp.asarray(x))
    np.testing.assert_allclose(found[:, 0], want, rtol=1e-13)


def test_convolutions_match_a_plain_numpy_network(random):
    architecture = network.convolutional((5, 4, 2), (3, "M", 4), (6,), 2, activation("relu"), first_bias=True)
    weights = initialize(architecture, 3, "normal", "float64")
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


@pytest.mark.parametrize("way", [network.convolve_by_columns, network.convolve_by_rows])
def test_convolutions_agree_in_value_and_gradient(way, random):
    weight, x = (jnp.asarray(random.standard_normal(shape)) for shape in ((3, 3, 2, 4), (3, 5, 6, 2)))
    want, got = (jax.vjp(one, weight, x) for one in (network.convolve, way))
    pulled = [pull_back(jnp.cos(value)) for value, pull_back in (want, got)]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), (got[0], pulled[1]), (want[0], pulled[0])
    )


@pytest.mark.parametrize(("size", "neurons", "rows"), [(16, 5, True), (15, 5, False), (16, 6, False)])
def test_large_images_go_by_rows(size, neurons, rows, monkeypatch):
    """Of at least 16 rows, where the rows of all neurons are smaller than the columns."""
    called = []
    for name in ("convolve_by_rows", "convolve_by_columns"):
        way = getattr(network, name)
        monkeypatch.setattr(network, name, lambda *arrays, name=name, way=way: called.append(name) or way(*arrays))
    layer, x = jnp.ones((3, 3, 2, neurons)), jnp.ones((1, size, size, 2))
    np.testing.assert_allclose(network.LAYERS["convolution"](layer, x), network.convolve(layer, x))
    assert called == ["convolve_by_rows" if rows else "convolve_by_columns"]


def test_the_papers_vgg_has_one_place_left_and_tiny_images_are_refused():
    blocks = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
    vgg = network.convolutional((32, 32, 3), blocks, (), 10, activation("relu"), first_bias=True)
    assert [layer.shape for layer in vgg.layers[-2:]] == [(3, 3, 512, 512), (512, 10)]
    assert len(vgg.layers) == 14 and vgg.degree == 14
    with pytest.raises(ValueError, match="nothing of the 8 x 8 image"):
        network.convolutional((8, 8, 1), blocks, (), 10, activation("relu"))


def test_gates_take_neurons_out(random):
    architecture = ARCHITECTURES["convolutions"]
    weights = jax.tree.map(jnp.asarray, initialize(architecture, 0, "normal", "float64"))
    x = jnp.asarray(random.standard_normal((6, 24)))
    gates = (jnp.array([1.0, 0.0, 1.0]), jnp.array([0.0, 1.0, 1.0, 0.0]), None, None)
    smaller = (
        {"weight": weights[0]["weight"][..., [0, 2]], "bias": weights[0]["bias"][jnp.array([0, 2])]},
        {"weight": weights[1]["weight"][:, :, [0, 2]][..., [1, 2]]},
        {"weight": weights[2]["weight"].reshape(2, 4, 5)[:, [1, 2]].reshape(4, 5)},
        weights[3],
    )
    pruned = network.convolutional((3, 4, 2), (2, "M", 2), (5,), 3, activation("relu"), first_bias=True)
    np.testing.assert_allclose(
        network.apply(architecture, weights, x, gates), network.apply(pruned, smaller, x), rtol=1e-12
    )
