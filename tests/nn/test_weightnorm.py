"""The three parametrizations: same function at the start, pull-backs, orthogonality."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import ARCHITECTURES, INPUTS
from wnexp.nn import network, weightnorm
from wnexp.nn.initializers import initialize
from wnexp.nn.weightnorm import NORMS
from wnexp.nn.weights import merge, split


def start(name, seed=0):
    architecture = ARCHITECTURES[name]
    weights = jax.tree.map(jnp.asarray, initialize(architecture, seed, "normal", "float64"))
    return architecture, *split(architecture, weights)


def with_v_norm(norm, v_norm):
    """The norm of that name; `v_norm` None starts with `v_u = w_u`."""
    changes = {"starts_as_weights": True} if v_norm is None else {"v_norm": v_norm}
    return replace(NORMS[norm], **changes)


@pytest.mark.parametrize("v_norm", [pytest.param(1.0, marks=pytest.mark.slow), 0.3, None])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_same_function_at_initialization(name, norm, v_norm, random):
    architecture, trained, fixed = start(name)
    norms = (with_v_norm(norm, v_norm),) * len(architecture.layers)
    parameters = weightnorm.from_weights(trained, norms)
    x = jnp.asarray(random.standard_normal((7, INPUTS[name])))
    before = network.apply(architecture, merge(trained, fixed), x)
    after = network.apply(architecture, merge(weightnorm.to_weights(parameters, norms), fixed), x)
    np.testing.assert_allclose(after, before, rtol=1e-13, atol=1e-14)
    factored = network.apply(architecture, merge(weightnorm.weights_and_scales(parameters, norms), fixed), x)
    np.testing.assert_allclose(factored, before, rtol=1e-13, atol=1e-14)
    for layer, start_weights in zip(parameters, trained, strict=True):
        if layer is not None and norm != "none":
            want = weightnorm.neuron_norms(start_weights["weight"]) if v_norm is None else v_norm
            np.testing.assert_allclose(weightnorm.neuron_norms(layer["v"]), want, rtol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_pull_back_is_the_papers_formula_and_orthogonal_to_v(norm, random):
    weight = jnp.asarray(random.standard_normal((4, 3)))
    made = with_v_norm(norm, 0.7)
    parameters = made.from_weights(weight)
    g = jnp.asarray(random.standard_normal((4, 3)))
    _, pull_back = jax.vjp(made.to_weights, parameters)
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


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name != "convolutions" else []) for name in ARCHITECTURES],
)
def test_pull_back_equals_autodiff_through_the_parametrization(name, norm, random):
    architecture, trained, fixed = start(name)
    norms = (with_v_norm(norm, 1.3),) * len(architecture.layers)
    parameters = weightnorm.from_weights(trained, norms)
    x = jnp.asarray(random.standard_normal((7, INPUTS[name])))

    def value(weights):
        return jnp.sum(jnp.sin(network.apply(architecture, merge(weights, fixed), x)))

    direct = jax.grad(lambda p: value(weightnorm.to_weights(p, norms)))(parameters)
    weights, pull_back = jax.vjp(lambda p: weightnorm.to_weights(p, norms), parameters)
    (pulled,) = pull_back(jax.grad(value)(weights))
    factored = jax.grad(lambda p: value(weightnorm.weights_and_scales(p, norms)))(parameters)
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
    for norm, row in NORMS.items():
        parameters = row.from_weights(weight)
        _, pull_back = jax.vjp(row.to_weights, parameters)
        _, velocity = jax.jvp(row.to_weights, (parameters,), (pull_back(g)[0],))
        np.testing.assert_allclose(velocity, want[norm], rtol=1e-12)


@pytest.mark.parametrize("v_norm", [1.0, 1.7])
@pytest.mark.parametrize("norm", NORMS)
def test_the_metric_is_the_pull_back_pushed_forward(norm, v_norm, random):
    """`M G = J J^T G`, the velocity of the weights when the parameters follow their gradient."""
    weight, gradient = (jnp.asarray(random.standard_normal((3, 2, 4))) for _ in range(2))
    row = with_v_norm(norm, v_norm)
    parameters = row.from_weights(weight)
    _, pull_back = jax.vjp(row.to_weights, parameters)
    _, velocity = jax.jvp(row.to_weights, (parameters,), (pull_back(gradient)[0],))
    np.testing.assert_allclose(row.metric(weight, gradient), velocity, rtol=1e-12)


def test_a_direction_too_long_to_measure_is_no_dead_neuron():
    v = jnp.array([[1e200, 1.0], [1e200, 1.0]])
    weights = NORMS["swn"].to_weights({"gamma": jnp.ones(2), "v": v})
    assert np.isnan(weights[:, 0]).all() and np.isfinite(weights[:, 1]).all()


def test_hidden_and_raw_say_which_layers_differ():
    ewn = NORMS["ewn"]
    assert ewn.by_layer(3) == (ewn,) * 3
    hidden = replace(ewn, layers="hidden")
    assert hidden.by_layer(3) == (hidden, hidden, NORMS["none"])
    raw = replace(ewn, output_v="raw")
    assert raw.by_layer(3) == (raw, raw, replace(raw, starts_as_weights=True))


def test_biases_have_the_metric_one_and_layers_that_are_not_trained_none(random):
    weight, gradient = (jnp.asarray(random.standard_normal((3, 4))) for _ in range(2))
    weights = ({"weight": weight, "bias": weight[0]}, None)
    slopes = ({"weight": gradient, "bias": gradient[0]}, None)
    found = weightnorm.precondition(weights, slopes, (NORMS["ewn"],) * 2)
    np.testing.assert_array_equal(found[0]["bias"], gradient[0])
    np.testing.assert_array_equal(found[0]["weight"], NORMS["ewn"].metric(weight, gradient))
    assert found[1] is None


@pytest.mark.parametrize(
    ("norm", "degree", "slope", "exponent"), [("none", 3, 1, 4 / 3), ("swn", 3, 1, 4 / 3), ("ewn", 3, -1, 2)]
)
def test_the_laws_are_the_papers(norm, degree, slope, exponent):
    law, norms = NORMS[norm].law, np.array([0.5, 1.0, 7.0])
    assert law.slope == slope and weightnorm.rate_exponent([law] * 2, [1, degree - 1]) == pytest.approx(exponent)
    assert law.normalizes == (norm != "none")
    np.testing.assert_allclose(law.conserved(norms), np.log(norms) if norm == "ewn" else (norms**2 - 1) / 2)
    np.testing.assert_allclose(law.penalty(norms), 1 if norm == "ewn" else norms**2)
    weight = jnp.array([[0.6, 3.0], [0.8, 4.0]])  # the radial rate, `||w||^2` under EWN and else 1
    sizes = np.array([1.0, 5.0])
    np.testing.assert_allclose(NORMS[norm].metric(weight, weight), weight * law.radial_rate(sizes), rtol=1e-14)
    across = jnp.array([[0.8, 4.0], [-0.6, -3.0]])
    np.testing.assert_allclose(NORMS[norm].metric(weight, across), across * law.tangential_rate(sizes), rtol=1e-14)


def test_one_ewn_layer_decides_the_exponent():
    """`p = 2 - 2/sum_l P_l k_l`: without normalization above EWN it is still 2."""
    assert weightnorm.rate_exponent([NORMS["ewn"].law, NORMS["none"].law], [1, 1]) == 2
