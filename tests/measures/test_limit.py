"""The gradient's direction and its limit against the plain twin."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import ARCHITECTURES, SMALL
from tests.measures.twin import QUICK, flat, small_look, twin
from wnexp.measures.limit import GradientDirection, LimitCosine, limit_direction
from wnexp.nn import losses, network


@pytest.mark.parametrize("case", QUICK)
def test_against_the_plain_twin(case):
    one, classes = twin(case), case[0]
    g = flat(one.gradient)
    found = GradientDirection().measure(one.look)["gradient"]
    np.testing.assert_allclose(found, g / np.linalg.norm(g), atol=1e-6)

    shares = one.sample_losses / np.linalg.norm(one.sample_losses)
    limit = flat(one.differences(lambda losses, soft: shares @ soft))
    x, y = one.x, jnp.asarray(one.look.labels)

    def soft_margins(w):
        return losses.soft_margins(losses.margins(network.apply(one.look.network, w, x), y))

    direction = limit_direction(soft_margins, one.look.weights, one.look.loss.loss_shares(one.look.outputs, y))
    np.testing.assert_allclose(direction, limit / np.linalg.norm(limit), atol=1e-6)
    assert one.look.outputs.shape[1] == classes


def test_the_direction_of_a_tiny_gradient():
    found = GradientDirection().measure(small_look([[1.0], [1.0]], [[3e-200], [-4e-200]], -400.0))["gradient"]
    np.testing.assert_allclose(found, [0.6, -0.8], rtol=1e-14)


def test_gradients_of_large_networks_are_not_recorded():
    assert GradientDirection(max_gradient=24).cost(SMALL, 4) == 24
    assert GradientDirection(max_gradient=23).cost(SMALL, 4) == 0
    assert GradientDirection().cost(ARCHITECTURES["relu with bias"], 4) == 3 * 5 + 5 + 5 * 3, "biases count"
    assert GradientDirection().cost(ARCHITECTURES["fixed output"], 4) == 3 * 4, "fixed layers do not"


def test_the_cosine_is_left_for_the_end_of_the_run():
    assert LimitCosine().measure(small_look([[1.0]], [[1.0]], 0.0)) == {}
    assert GradientDirection.table.startswith("."), "scratch"
