"""Columns of `neurons` against the plain twin."""

import jax
import numpy as np
import pytest

from tests.helpers import ARCHITECTURES
from tests.measures.twin import QUICK, small_look, twin
from wnexp.measures.neurons import Neurons
from wnexp.nn.initializers import initialize


@pytest.mark.parametrize("case", QUICK)
def test_against_the_plain_twin(case):
    one = twin(case)
    found = Neurons(max_direction=3).measure(one.look)
    assert list(found) == [0, 1]
    for index, rows in found.items():
        w_layer, g_layer = one.weights[index]["weight"], one.gradient[index]["weight"]
        norms, pulls = np.linalg.norm(w_layer, axis=0), np.linalg.norm(g_layer, axis=0)
        log_pulls = np.log(pulls)  # of L
        np.testing.assert_allclose(rows["weight_norm"], norms, rtol=1e-12)
        np.testing.assert_allclose(rows["norm_ratio"], norms / norms.max(), rtol=1e-12)
        np.testing.assert_allclose(rows["log_gradient_norm"], log_pulls, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows["log_gradient_ratio"], np.log(pulls / norms), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows["alignment"], -(w_layer * g_layer).sum(axis=0) / norms / pulls, atol=1e-6)
        assert ("direction" in rows) == (index == 0)
        assert set(rows) == set(Neurons.columns) - (set() if index == 0 else {"direction"})
    first = one.weights[0]["weight"]
    np.testing.assert_allclose(found[0]["direction"], first / np.linalg.norm(first, axis=0), rtol=1e-12)


def test_tiny_gradients_keep_norm_and_direction():
    """A gradient of 1e-200, whose square underflows, still has a log norm and an alignment."""
    look = small_look([[3.0, 0.0], [4.0, 2.0]], [[-3e-200, 0.0], [-4e-200, 0.0]], -300.0)
    rows = Neurons(max_direction=0).measure(look)[0]
    np.testing.assert_allclose(rows["log_gradient_norm"][0], -300 + np.log(5e-200), rtol=1e-14)
    np.testing.assert_allclose(rows["alignment"][0], 1.0, rtol=1e-14)
    assert not np.isfinite(rows["log_gradient_norm"][1]), "a zero gradient has no log norm"
    assert not np.isfinite(rows["alignment"][1])


@pytest.mark.parametrize("name", ["fixed output", "convolutions", "relu with bias"])
def test_layers_that_are_not_trained_have_no_rows_and_the_cost_counts_the_numbers(name):
    architecture = ARCHITECTURES[name]
    drawn = initialize(architecture, 0, "normal", "float64")
    kept = tuple(layer if trained else None for layer, trained in zip(drawn, architecture.trained, strict=True))
    kept = jax.tree.map(jax.numpy.asarray, kept)
    look = small_look([[1.0]], [[1.0]], 0.0)._replace(network=architecture, weights=kept, gradient=kept)
    found = Neurons(max_direction=20).measure(look)
    assert list(found) == [index for index, trained in enumerate(architecture.trained) if trained]
    for index, rows in found.items():
        neurons = drawn[index]["weight"].shape[-1]
        assert all(column.shape[-1] == neurons for column in rows.values())
        assert ("direction" in rows) == (drawn[index]["weight"][..., 0].size <= 20)
    numbers = sum(array.size for array in jax.tree.leaves(found))
    fixed = sum(5 + 4 for trained in architecture.trained if not trained)  # an upper estimate: fixed layers too
    assert Neurons(max_direction=20).cost(architecture, 5) == numbers + fixed
