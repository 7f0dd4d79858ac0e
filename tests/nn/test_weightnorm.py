"""The three parametrizations: same function at the start, pull-backs, orthogonality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wnexp import network, weightnorm

ARCHITECTURES = {
    "linear": network.mlp(3, (), 1, "linear"),
    "deep linear": network.mlp(3, (4, 4), 2, "linear"),
    "relu with bias": network.mlp(3, (5,), 3, "relu", first_bias=True),
    "relu squared": network.mlp(3, (5, 4), 1, "relu_squared"),
    "fixed output": network.mlp(3, (4,), 1, "relu", fixed_output=(1.0, 1.0, -1.0, -1.0)),
    "diagonal": network.diagonal(3),
    "convolutions": network.convolutional((3, 4, 2), (3, "M", 4), (5,), 3, "relu", first_bias=True),
}
INPUTS = {name: 24 if name == "convolutions" else 3 for name in ARCHITECTURES}


def start(name, seed=0):
    architecture = ARCHITECTURES[name]
    weights = jax.tree.map(jnp.asarray, network.initialize(architecture, seed, "normal", "float64"))
    return architecture, *network.split(architecture, weights)


@pytest.mark.parametrize("v_norm", [1.0, 0.3, None])
@pytest.mark.parametrize("norm", weightnorm.NORMS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_same_function_at_initialization(name, norm, v_norm, random):
    architecture, trained, fixed = start(name)
    norms = (norm,) * len(architecture.layers)
    parameters = weightnorm.from_weights(trained, norms, (v_norm,) * len(norms))
    x = jnp.asarray(random.standard_normal((7, INPUTS[name])))
    before = network.apply(architecture, network.merge(trained, fixed), x)
    after = network.apply(architecture, network.merge(weightnorm.to_weights(parameters, norms), fixed), x)
    np.testing.assert_allclose(after, before, rtol=1e-13, atol=1e-14)
    factored = network.apply(architecture, network.merge(weightnorm.factors(parameters, norms), fixed), x)
    np.testing.assert_allclose(factored, before, rtol=1e-13, atol=1e-14)
    for layer, start_weights in zip(parameters, trained, strict=True):
        if layer is not None and norm != "none":
            want = weightnorm.neuron_norms(start_weights["weight"]) if v_norm is None else v_norm
            np.testing.assert_allclose(weightnorm.neuron_norms(layer["v"]), want, rtol=1e-14)


@pytest.mark.parametrize("norm", weightnorm.NORMS)
def test_pull_back_is_the_papers_formula_and_orthogonal_to_v(norm, random):
    weight = jnp.asarray(random.standard_normal((4, 3)))
    parameters = weightnorm.NORMS[norm].from_weights(weight, 0.7)
    g = jnp.asarray(random.standard_normal((4, 3)))
    _, pull_back = jax.vjp(weightnorm.NORMS[norm].to_weights, parameters)
    pulled = pull_back(g)[0]
    if norm == "none":
        np.testing.assert_array_equal(pulled["w"], g)
        return
    v = parameters["v"]
    length = np.linalg.norm(v, axis=0)
    unit = v / length
    tangential = g - unit * np.sum(unit * g, axis=0)
    scale = parameters["gamma"] if norm == "swn" else np.exp(parameters["alpha"])
    radial = np.sum((unit if norm == "swn" else weight) * g, axis=0)
    np.testing.assert_allclose(pulled["gamma" if norm == "swn" else "alpha"], radial, rtol=1e-12)
    np.testing.assert_allclose(pulled["v"], scale / length * tangential, rtol=1e-12)
    np.testing.assert_allclose(np.sum(pulled["v"] * v, axis=0), 0, atol=1e-14)


@pytest.mark.parametrize("norm", weightnorm.NORMS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_pull_back_equals_autodiff_through_the_parametrization(name, norm, random):
    architecture, trained, fixed = start(name)
    norms = (norm,) * len(architecture.layers)
    parameters = weightnorm.from_weights(trained, norms, (1.3,) * len(norms))
    x = jnp.asarray(random.standard_normal((7, INPUTS[name])))

    def value(weights):
        return jnp.sum(jnp.sin(network.apply(architecture, network.merge(weights, fixed), x)))

    direct = jax.grad(lambda p: value(weightnorm.to_weights(p, norms)))(parameters)
    weights, pull_back = jax.vjp(lambda p: weightnorm.to_weights(p, norms), parameters)
    (pulled,) = pull_back(jax.grad(value)(weights))
    factored = jax.grad(lambda p: value(weightnorm.factors(p, norms)))(parameters)
    for other in (pulled, factored):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), direct, other)


def test_effective_flow_is_the_papers():
    """`dw/dt` of the three flows at `||v|| = 1` (paper, section 3): rates 1, ||w||^2, and SWN's radial 1."""
    rng = np.random.default_rng(3)
    weight, g = jnp.asarray(rng.standard_normal((4, 2))), jnp.asarray(rng.standard_normal((4, 2)))
    square = np.sum(weight**2, axis=0)
    unit = weight / np.sqrt(square)
    radial = unit * np.sum(unit * g, axis=0)
    want = {"none": g, "ewn": square * g, "swn": square * g + (1 - square) * radial}
    for norm, row in weightnorm.NORMS.items():
        parameters = row.from_weights(weight, 1.0)
        _, pull_back = jax.vjp(row.to_weights, parameters)
        _, velocity = jax.jvp(row.to_weights, (parameters,), (pull_back(g)[0],))
        np.testing.assert_allclose(velocity, want[norm], rtol=1e-12)


@pytest.mark.parametrize("v_norm", [1.0, 1.7])
@pytest.mark.parametrize("norm", weightnorm.NORMS)
def test_the_metric_is_the_pull_back_pushed_forward(norm, v_norm, random):
    """`M G = J J^T G`, the velocity of the weights when the parameters follow their gradient."""
    weight, gradient = (jnp.asarray(random.standard_normal((3, 2, 4))) for _ in range(2))
    row = weightnorm.NORMS[norm]
    parameters = row.from_weights(weight, v_norm)
    _, pull_back = jax.vjp(row.to_weights, parameters)
    _, velocity = jax.jvp(row.to_weights, (parameters,), (pull_back(gradient)[0],))
    np.testing.assert_allclose(row.metric(weight, gradient, v_norm), velocity, rtol=1e-12)


def test_a_direction_too_long_to_measure_is_no_dead_neuron():
    v = jnp.array([[1e200, 1.0], [1e200, 1.0]])
    weights = weightnorm.NORMS["swn"].to_weights({"gamma": jnp.ones(2), "v": v})
    assert np.isnan(weights[:, 0]).all() and np.isfinite(weights[:, 1]).all()
