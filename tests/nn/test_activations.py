"""Activations: homogeneity, and ReLU that slides along a kink."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wnexp.nn.activations import ACTIVATIONS, Activation, SlidingRelu, relu_sliding


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_homogeneous_of_its_degree(name, random):
    z = jnp.asarray(random.standard_normal((7, 3)))
    for activation in (ACTIVATIONS[name], ACTIVATIONS[name].sliding()):
        for scale in (0.25, 3.0):
            want = scale**activation.degree * activation(z)
            np.testing.assert_allclose(activation(scale * z), want, rtol=1e-14)


def test_the_activations_are_what_their_names_say():
    z = jnp.array([-2.0, 0.0, 3.0])
    want = {"linear": [-2, 0, 3], "relu": [0, 0, 3], "relu_squared": [0, 0, 9]}
    assert {name: activation(z).tolist() for name, activation in ACTIVATIONS.items()} == want


def test_only_relu_has_a_kink_to_slide_along():
    sliding = {name: activation.sliding() for name, activation in ACTIVATIONS.items()}
    assert sliding == ACTIVATIONS | {"relu": SlidingRelu()}
    with pytest.raises(TypeError, match="Activation has no function"):
        Activation()(jnp.zeros(1))


def test_relu_sliding_is_relu_with_a_continuous_derivative():
    z = jnp.array([[-2.0, 0.0], [1e-9, 3.0], [4.0, 1.0]])
    np.testing.assert_array_equal(relu_sliding(z), jax.nn.relu(z))
    slope = jax.grad(lambda z: jnp.sum(relu_sliding(z)))(z)
    np.testing.assert_allclose(slope, [[0, 0.5], [0.500624, 1], [1, 1]], atol=1e-5)
    assert np.isfinite(jax.grad(lambda z: jnp.sum(relu_sliding(z)))(jnp.zeros((2, 2)))).all()
