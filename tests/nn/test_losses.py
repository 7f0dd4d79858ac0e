"""The loss numerics against 60-digit arithmetic and against their definitions."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from wnexp import losses

mpmath.mp.dps = 60


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


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("classes", [1, 2, 10])
def test_value_and_gradient_agree_with_60_digits(loss, reduction, classes):
    value_and_grad = jax.jit(jax.value_and_grad(lambda s: losses.log_loss(s, loss, reduction)))
    for s in margin_sets(classes):
        value, gradient = value_and_grad(jnp.asarray(s))
        exact_value, exact_gradient = exact(s, loss, reduction)
        assert abs(mpmath.mpf(float(value)) - exact_value) <= mpmath.mpf("1e-12") * max(abs(exact_value), 1e-3)
        for row, exact_row in zip(np.asarray(gradient), exact_gradient, strict=True):
            for got, want in zip(row, exact_row, strict=True):
                # Below the smallest normal float64 there are no 12 digits to agree in.
                assert abs(mpmath.mpf(float(got)) - want) <= mpmath.mpf("1e-12") * abs(want) + mpmath.mpf(1e-300)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_float32_is_finite_and_close(loss):
    for s in margin_sets(3):
        value, gradient = jax.value_and_grad(lambda s: losses.log_loss(s, loss, "sum"))(jnp.asarray(s, jnp.float32))
        assert np.isfinite(value) and np.isfinite(gradient).all()
        want = losses.log_loss(jnp.asarray(s, jnp.float32).astype(float), loss, "sum")
        np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-5)


def test_margins_of_two_and_more_classes():
    outputs = jnp.array([[2.0], [3.0]])
    np.testing.assert_array_equal(losses.margins(outputs, jnp.array([1, -1])), [[2.0], [-3.0]])
    outputs = jnp.array([[1.0, 4.0, 2.0], [5.0, 1.0, 0.0]])
    want = [[1.0, -2.0, np.inf], [np.inf, 4.0, 5.0]]
    np.testing.assert_array_equal(losses.margins(outputs, jnp.array([2, 0])), want)


def test_cross_entropy_is_the_softmax_one(random):
    outputs, labels = jnp.asarray(random.standard_normal((6, 4))), jnp.asarray(random.integers(4, size=6))
    ours = jnp.exp(losses.log_loss(losses.margins(outputs, labels), "cross_entropy", "mean"))
    theirs = -jnp.mean(jax.nn.log_softmax(outputs)[jnp.arange(6), labels])
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_loss_shares_are_the_losses_over_their_norm(loss):
    s = jnp.array([[1.0], [2.5], [-0.5]])
    sample = np.exp(-s[:, 0]) if loss == "exponential" else np.log1p(np.exp(-s[:, 0]))
    np.testing.assert_allclose(losses.loss_shares(s, loss), sample / np.linalg.norm(sample), rtol=1e-13)
    deep = losses.loss_shares(s + 1e6, loss)
    np.testing.assert_allclose(deep, np.exp(-s[:, 0]) / np.linalg.norm(np.exp(-s[:, 0])), rtol=1e-9)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_inverse_loss_inverts_one_sample(loss):
    for z in (-20.0, -1.0, 0.1, 3.0, 30.0, 39.0, 41.0, 1e3, 1e6):
        log_sum = losses.log_loss(jnp.array([[z]]), loss, "sum")
        np.testing.assert_allclose(losses.inverse_loss(log_sum, loss), z, rtol=1e-9)
