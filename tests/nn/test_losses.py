"""The loss numerics against 60-digit arithmetic and against their definitions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from tests.measures.twin import SAMPLE_LOSSES
from wnexp.nn.losses import LOSSES, CrossEntropy, Exponential, Loss, MarginLoss, margins, soft_margins

mpmath.mp.dps = 60
MARGIN_LOSSES = [name for name, loss in LOSSES.items() if isinstance(loss, MarginLoss)]


def exact(s, loss, reduction):
    """`log L` and its gradient in the margins, 60 digits; `s` `(n, c)` with inf where there is no constraint."""
    z, pull = [], []
    for row in s:
        terms = [mpmath.exp(-mpmath.mpf(float(value))) if np.isfinite(value) else mpmath.mpf(0) for value in row]
        total = mpmath.fsum(terms)
        z.append(-mpmath.log(total))
        pull.append([term / total for term in terms])
    if loss == "exponential":
        sample = [mpmath.exp(-value) for value in z]
        slope = [-value for value in sample]
    elif loss == "polynomial":
        sample = [1 / (1 + value) if value > 0 else mpmath.exp(-value) for value in z]
        slope = [-((1 + value) ** -2) if value > 0 else -mpmath.exp(-value) for value in z]
    else:
        sample = [mpmath.log1p(mpmath.exp(-value)) for value in z]
        slope = [-mpmath.exp(-value) / (1 + mpmath.exp(-value)) for value in z]
    total = mpmath.fsum(sample)
    value = mpmath.log(total) - (mpmath.log(len(z)) if reduction == "mean" else 0)
    gradient = [[slope[i] / total * weight for weight in row] for i, row in enumerate(pull)]
    return value, gradient


def margin_sets(classes):
    """Margins from -1e4 to 1e6: alone, close together, spread out, and at the switch of the two branches."""
    rng = np.random.default_rng(classes)
    for center in (-1e4, -700.0, -40.0, -1.0, 0.3, 12.0, 36.0, 39.999999, 40.0, 41.0, 117.3, 750.0, 1e4, 1e6):
        for spread in (0.0, 1e-3, 1.0, 30.0):
            s = center + spread * rng.standard_normal((5, classes))
            if classes > 1:
                s[np.arange(5), rng.integers(classes, size=5)] = np.inf
            yield s
    mixed = np.array([-1e4, -3.0, 0.0, 25.0, 1e6])[:, None] + np.arange(classes)
    yield mixed


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("loss", MARGIN_LOSSES)
@pytest.mark.parametrize("classes", [1, 2, pytest.param(10, marks=pytest.mark.slow)])
def test_value_and_gradient_agree_with_60_digits(loss, reduction, classes):
    value_and_grad = jax.jit(jax.value_and_grad(replace(LOSSES[loss], reduction=reduction).log_loss_of_margins))
    for s in margin_sets(classes):
        value, gradient = value_and_grad(jnp.asarray(s))
        exact_value, exact_gradient = exact(s, loss, reduction)
        assert abs(mpmath.mpf(float(value)) - exact_value) <= mpmath.mpf("1e-12") * max(abs(exact_value), 1e-3)
        for row, exact_row in zip(np.asarray(gradient), exact_gradient, strict=True):
            for got, want in zip(row, exact_row, strict=True):
                # Below the smallest normal float64 there are no 12 digits to agree in.
                assert abs(mpmath.mpf(float(got)) - want) <= mpmath.mpf("1e-12") * abs(want) + mpmath.mpf(1e-300)


@pytest.mark.parametrize("loss", MARGIN_LOSSES)
def test_float32_is_finite_and_close(loss):
    log_loss = jax.jit(LOSSES[loss].log_loss_of_margins)
    value_and_grad = jax.jit(jax.value_and_grad(log_loss))
    for s in margin_sets(3):
        value, gradient = value_and_grad(jnp.asarray(s, jnp.float32))
        assert np.isfinite(value) and np.isfinite(gradient).all()
        want = log_loss(jnp.asarray(s, jnp.float32).astype(float))
        np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-5)


def test_margins_of_two_and_more_classes():
    outputs = jnp.array([[2.0], [3.0]])
    np.testing.assert_array_equal(margins(outputs, jnp.array([1, -1])), [[2.0], [-3.0]])
    outputs = jnp.array([[1.0, 4.0, 2.0], [5.0, 1.0, 0.0]])
    want = [[1.0, -2.0, np.inf], [np.inf, 4.0, 5.0]]
    np.testing.assert_array_equal(margins(outputs, jnp.array([2, 0])), want)


def test_the_soft_margin_is_minus_the_log_of_the_sum_of_exponentials(random):
    s = random.standard_normal((6, 3))
    s[:, 1] = np.inf
    np.testing.assert_allclose(soft_margins(jnp.asarray(s)), -np.log(np.exp(-s).sum(axis=1)), rtol=1e-13)
    one = jnp.asarray(s[:, :1])
    np.testing.assert_array_equal(soft_margins(one), s[:, 0])


@pytest.mark.parametrize("loss", MARGIN_LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("outputs", [1, 4])
def test_outputs_and_labels_give_what_their_margins_give(loss, reduction, outputs, random):
    made = replace(LOSSES[loss], reduction=reduction)
    labels = random.integers(outputs, size=6) if outputs > 1 else random.choice([-1, 1], 6)
    outputs, labels = jnp.asarray(random.standard_normal((6, outputs))), jnp.asarray(labels)
    got = made.log_loss(outputs, labels)
    np.testing.assert_array_equal(got, made.log_loss_of_margins(margins(outputs, labels)))
    total = {"sum": got, "mean": got + np.log(6)}[reduction]
    np.testing.assert_allclose(made.log_sum(got, 6), total, rtol=1e-14)
    np.testing.assert_allclose(total, LOSSES[loss].log_loss(outputs, labels), rtol=1e-13)


def test_cross_entropy_is_the_softmax_one(random):
    outputs, labels = jnp.asarray(random.standard_normal((6, 4))), jnp.asarray(random.integers(4, size=6))
    ours = jnp.exp(CrossEntropy(reduction="mean").log_loss(outputs, labels))
    theirs = -jnp.mean(jax.nn.log_softmax(outputs)[jnp.arange(6), labels])
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("loss", MARGIN_LOSSES)
def test_loss_shares_are_the_losses_over_their_norm(loss):
    s, labels = jnp.array([[1.0], [2.5], [-0.5]]), jnp.ones(3, int)  # for the label 1 the output is the margin
    sample = np.array([SAMPLE_LOSSES[loss](z) for z in np.asarray(s[:, 0])])
    np.testing.assert_allclose(LOSSES[loss].loss_shares(s, labels), sample / np.linalg.norm(sample), rtol=1e-13)
    deep = LOSSES[loss].loss_shares(s + 1e6, labels)
    if loss == "polynomial":  # whose tail does not tell them apart there
        np.testing.assert_allclose(deep, 3**-0.5, rtol=1e-5)
        return
    np.testing.assert_allclose(deep, np.exp(-s[:, 0]) / np.linalg.norm(np.exp(-s[:, 0])), rtol=1e-9)


@pytest.mark.parametrize("loss", MARGIN_LOSSES)
def test_inverse_loss_inverts_one_sample(loss):
    for z in (-20.0, -1.0, 0.1, 3.0, 30.0, 39.0, 41.0, 1e3, 1e6):
        log_sum = LOSSES[loss].log_loss_of_margins(jnp.array([[z]]))
        np.testing.assert_allclose(LOSSES[loss].inverse(log_sum), z, rtol=1e-9)


def test_a_loss_that_says_nothing_of_itself_names_what_it_lacks():
    nothing = jnp.zeros((1, 1))
    with pytest.raises(TypeError, match="Loss has no log_losses"):
        Loss().log_loss(nothing, jnp.ones(1, int))
    with pytest.raises(TypeError, match="MarginLoss has no of_soft_margins"):
        MarginLoss().log_loss_of_margins(nothing)
    assert Exponential() != Exponential(reduction="mean"), "the reduction selects a program"


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_squared_loss_and_its_gradient(reduction, random):
    """Of two classes and of four, against numpy; outputs that equal their labels have no gradient, and a log."""
    made = replace(LOSSES["squared"], reduction=reduction)
    for classes in (1, 4):
        outputs = random.standard_normal((6, classes))
        labels = random.integers(4, size=6) if classes > 1 else random.choice([-1, 1], 6)
        residual = outputs - (np.eye(4)[labels] if classes > 1 else labels[:, None])
        total = (residual**2).sum() / (6 if reduction == "mean" else 1)
        value, gradient = jax.value_and_grad(made.log_loss)(jnp.asarray(outputs), jnp.asarray(labels))
        assert float(value) == pytest.approx(np.log(total), rel=1e-13)
        np.testing.assert_allclose(gradient, 2 * residual / (residual**2).sum(), rtol=1e-12)
    value, gradient = jax.value_and_grad(made.log_loss)(jnp.array([[1.0], [3.0]]), jnp.array([1, 1]))
    assert np.isfinite(value) and gradient[0, 0] == 0 and np.isfinite(gradient).all()


def test_the_penalty_adds_to_the_loss():
    """Of a batch its share; far below it the loss adds nothing, and a penalty of 0 has a gradient."""
    made = replace(LOSSES["exponential"], log_penalty=-5.0)
    for share in (1.0, 0.25):
        want = np.log(np.exp(-4.0) + share * np.exp(-5.0) * 7.0)
        assert float(made.penalized(jnp.asarray(-4.0), jnp.asarray(7.0), share)) == pytest.approx(want, rel=1e-14)
    assert made.penalized(jnp.asarray(-1e4), jnp.asarray(7.0), 1.0) == pytest.approx(-5 + np.log(7))
    assert jax.grad(lambda square: made.penalized(jnp.asarray(-4.0), square, 1.0))(jnp.asarray(0.0)) == 0
    assert not made.falls_exponentially and LOSSES["exponential"].falls_exponentially
