"""Activations: homogeneity, and ReLU that slides along a kink."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wnexp.nn.activations import ACTIVATIONS, Activation, SlidingRelu, relu_sliding, relu_through_zero


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


A = np.array([[-2.0, 0.5], [1.0, 3.0], [0.3, -1.0]])


def slopes(gamma, layer=None):
    """Of ReLU at `gamma A`, sample by sample; `gamma` of one neuron, the other's is 1."""
    scale = np.array([gamma, 1.0])
    layer = {"weight": jnp.asarray(scale[None])} | (layer or {})
    return jax.grad(lambda z: jnp.sum(SlidingRelu(through_zero=True).of_layer(z, layer)))(jnp.asarray(scale * A))


def test_relu_through_zero_turns_all_samples_of_a_neuron_in_one_ratio():
    """A share of the samples on the one side, the rest of those on the other; the neighbour is left alone."""
    for gamma in (-1e-7, -1e-9, 1e-30, 2e-8, 1e-7, 3e-7):
        share = 1 / (1 + np.exp(-gamma / 1e-7))
        np.testing.assert_allclose(slopes(gamma)[:, 0], np.where(A[:, 0] > 0, share, 1 - share), rtol=1e-6)
        np.testing.assert_array_equal(slopes(gamma)[:, 1], slopes(1.0)[:, 1])
    z = jnp.asarray(A * 1e-9)
    np.testing.assert_array_equal(relu_through_zero(z, jnp.array([1e-9, 1e-9])), jax.nn.relu(z))


def test_relu_through_zero_is_the_sliding_one_away_from_zero_and_beside_a_bias():
    for gamma, layer in ((1e-5, None), (-1e-5, None), (1e-9, {"bias": jnp.zeros(2)})):
        scale = np.array([gamma, 1.0])
        plain = jax.grad(lambda z: jnp.sum(relu_sliding(z)))(jnp.asarray(scale * A))
        np.testing.assert_array_equal(slopes(gamma, layer), plain)
    assert np.isfinite(jax.grad(lambda z: jnp.sum(relu_through_zero(z, jnp.zeros(2))))(jnp.zeros((2, 2)))).all()
