"""The three parametrizations: same function at the start, pull-backs, orthogonality."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from tests.helpers import ARCHITECTURES, INPUTS
from wnexp.errors import UserError
from wnexp.nn import network, parametrization, weightnorm
from wnexp.nn.initializers import initialize
from wnexp.nn.weightnorm import NORMS, PowerWeightNorm
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
    parameters = parametrization.from_weights(trained, norms)
    x = jnp.asarray(random.standard_normal((7, INPUTS[name])))
    before = network.apply(architecture, merge(trained, fixed), x)
    after = network.apply(architecture, merge(parametrization.to_weights(parameters, norms), fixed), x)
    np.testing.assert_allclose(after, before, rtol=1e-13, atol=1e-14)
    factored = network.apply(architecture, merge(parametrization.weights_and_scales(parameters, norms), fixed), x)
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
    root = 1 + parameters.get("alpha", np.nan) / 2  # of the norm between, P = 2
    scale = {"swn": lambda: parameters["gamma"], "power": lambda: root**2, "ewn": lambda: np.exp(parameters["alpha"])}
    scale = scale[norm]()
    radial = np.sum({"swn": unit, "power": root * unit, "ewn": weight}[norm] * g, axis=0)
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
    parameters = parametrization.from_weights(trained, norms)
    x = jnp.asarray(random.standard_normal((7, INPUTS[name])))

    def value(weights):
        return jnp.sum(jnp.sin(network.apply(architecture, merge(weights, fixed), x)))

    direct = jax.grad(lambda p: value(parametrization.to_weights(p, norms)))(parameters)
    weights, pull_back = jax.vjp(lambda p: parametrization.to_weights(p, norms), parameters)
    (pulled,) = pull_back(jax.grad(value)(weights))
    factored = jax.grad(lambda p: value(parametrization.weights_and_scales(p, norms)))(parameters)
    for other in (pulled, factored):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), direct, other)


def test_effective_flow_is_the_papers():
    """`dw/dt` of the flows at `||v|| = 1` (paper, section 3): rates 1, ||w||^2, and SWN's radial 1."""
    rng = np.random.default_rng(3)
    weight, g = jnp.asarray(rng.standard_normal((4, 2))), jnp.asarray(rng.standard_normal((4, 2)))
    square = np.sum(weight**2, axis=0)
    unit = weight / np.sqrt(square)
    radial = unit * np.sum(unit * g, axis=0)
    want = {"none": g, "ewn": square * g, "swn": square * g + (1 - square) * radial}
    want["power"] = square * g + (np.sqrt(square) - square) * radial  # ||w||^(2 - 2/P), P = 2
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
    assert hidden.by_layer(3) == (ewn, ewn, NORMS["none"])
    assert replace(ewn, layers=[2, 0]).by_layer(3) == (ewn, NORMS["none"], ewn)
    raw = replace(ewn, output_v="raw")
    assert raw.by_layer(3) == (raw, raw, replace(raw, starts_as_weights=True))


def test_biases_have_the_metric_one_and_layers_that_are_not_trained_none(random):
    weight, gradient = (jnp.asarray(random.standard_normal((3, 4))) for _ in range(2))
    weights = ({"weight": weight, "bias": weight[0]}, None)
    slopes = ({"weight": gradient, "bias": gradient[0]}, None)
    found = parametrization.precondition(weights, slopes, (NORMS["ewn"],) * 2)
    np.testing.assert_array_equal(found[0]["bias"], gradient[0])
    np.testing.assert_array_equal(found[0]["weight"], NORMS["ewn"].metric(weight, gradient))
    assert found[1] is None


POWERS = (0.5, 1, 1.5, 2, 3, 8, 1e9, "inf")


@pytest.mark.parametrize("per", ["neuron", "layer"])
@pytest.mark.parametrize("power", POWERS)
def test_the_metric_of_the_family_is_that_of_its_parameters(power, per, random):
    """`J J^T` of the parametrization, with as many scales as it has, from weights that it gives back."""
    weight, gradient = (jnp.asarray(random.standard_normal((3, 2, 4))) for _ in range(2))
    row = PowerWeightNorm(power=power, per=per, v_norm=1.7)
    parameters = row.from_weights(weight)
    assert parameters["alpha"].shape == ((4,) if per == "neuron" else (1,))
    np.testing.assert_allclose(row.sizes(parameters["v"]), 1.7, rtol=1e-14)
    np.testing.assert_allclose(row.to_weights(parameters), weight, rtol=1e-13)
    jacobian = jax.jacobian(row.to_weights)(parameters)
    columns = np.concatenate([np.reshape(leaf, (weight.size, -1)) for leaf in jacobian.values()], axis=1)
    want = columns @ columns.T @ np.ravel(gradient)
    np.testing.assert_allclose(np.ravel(row.metric(weight, gradient)), want, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("power", "other"), [(1, "swn"), ("inf", "ewn")])
def test_the_ends_of_the_family_are_swn_and_ewn(power, other, random):
    weight, gradient = (jnp.asarray(random.standard_normal((4, 3))) for _ in range(2))
    row, end = PowerWeightNorm(power=power), NORMS[other]
    assert row.law == end.law and row.passes_zero == end.passes_zero
    np.testing.assert_allclose(row.metric(weight, gradient), end.metric(weight, gradient), rtol=1e-15)
    scale = jnp.array([-0.7, 0.3, 2.5])
    np.testing.assert_allclose(row.length(scale), end.length(scale + 1 if other == "swn" else scale), rtol=1e-14)
    np.testing.assert_allclose(row.scale_of(scale**2), end.scale_of(scale**2) - (other == "swn"), rtol=1e-14)


@pytest.mark.parametrize("power", [0.5, 2, 3, 1e9])
@pytest.mark.parametrize("alpha", [-0.4, 1e-12, 3.0, 40.0])
def test_the_length_agrees_with_higher_precision(power, alpha):
    """`(1 + alpha/P)^P` also for a `P` beside which `alpha/P` is next to nothing."""
    with mpmath.workdps(60):
        want = (1 + mpmath.mpf(alpha) / power) ** power
        back = power * (want ** (mpmath.mpf(1) / power) - 1)
    row = PowerWeightNorm(power=power)
    assert float(row.length(jnp.array([alpha]))[0]) == pytest.approx(float(want), rel=1e-13)
    assert float(row.scale_of(jnp.array([float(want)]))[0]) == pytest.approx(float(back), rel=1e-12, abs=1e-15)


def test_a_scale_below_zero_turns_the_neuron_round():
    """Odd in `rho = 1 + alpha/P` for every `P`, so that length and scale determine each other."""
    for power in (0.5, 1, 2, 3):
        row = PowerWeightNorm(power=power)
        rho = jnp.array([0.3, 1.0, 2.0])
        np.testing.assert_allclose(row.length(power * (-rho - 1)), -(rho**power), rtol=1e-14)


def test_layers_may_have_powers_of_their_own():
    norms = PowerWeightNorm(power=[2, "inf", 1]).by_layer(3)
    assert [norm.law.power for norm in norms] == [2, np.inf, 1] and len({*map(hash, norms)}) == 3
    assert PowerWeightNorm(power=[2, 1], layers="hidden").by_layer(2) == (PowerWeightNorm(power=2), NORMS["none"])


@pytest.mark.parametrize(
    ("norm", "line"),
    [
        (PowerWeightNorm(power=[2, 1]), "norm.power=[2, 1]: 2 powers for the network's 3 layers"),
        (replace(NORMS["swn"], layers=[0, 3]), "norm.layers=[0, 3]: the network has 3 layers, 0 to 2"),
    ],
)
def test_a_list_that_does_not_fit_the_layers_is_named(norm, line):
    with pytest.raises(UserError) as error:
        norm.by_layer(3)
    assert str(error.value) == line


@pytest.mark.parametrize("per", ["neuron", "layer"])
@pytest.mark.parametrize(
    ("norm", "scale"),
    [
        (NORMS["swn"], lambda size: size),
        (PowerWeightNorm(power=2.0), lambda size: 2 * (np.sqrt(size) - 1)),
        (NORMS["ewn"], np.log),
    ],
)
def test_a_penalty_is_on_weights_without_normalization_and_on_scales_with_it(norm, scale, per, random):
    """`v` is left out; biases are in, layers that are not trained are not; scales may stand beside the weights."""
    weight, bias, plain = random.standard_normal((3, 2)), random.standard_normal(2), random.standard_normal((2, 1))
    norm = replace(norm, per=per)
    norms = (norm, NORMS["none"], norm)
    weights = ({"weight": jnp.asarray(weight), "bias": jnp.asarray(bias)}, {"weight": jnp.asarray(plain)}, None)
    sizes = np.linalg.norm(weight, axis=0) if per == "neuron" else np.linalg.norm(weight)
    want = (scale(sizes) ** 2).sum() + (bias**2).sum() + (plain**2).sum()
    assert float(parametrization.square(weights, norms)) == pytest.approx(want, rel=1e-13)
    parts = parametrization.weights_and_scales(parametrization.from_weights(weights, norms), norms)
    assert float(parametrization.square(parts, norms)) == pytest.approx(want, rel=1e-13)
