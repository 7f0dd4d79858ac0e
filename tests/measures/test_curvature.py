"""The largest eigenvalue of the Hessian against dense ones, a closed form, and gradients in plain floats."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree

from tests.helpers import (
    LINEAR,
    SMALL,
    column,
    lin_sep,
    make_program,
    make_settings,
    measures,
    mlp,
    numbers_of,
    points_of,
    run,
)
from tests.optim.net_twin import Net
from wnexp import runner
from wnexp.measures import MEASURES
from wnexp.measures.lanczos import largest_eigenvalue, vectors
from wnexp.nn import network, parametrization

SHARPNESS = replace(MEASURES["sharpness"], sharpness_every=1)


def with_sharpness(*arguments, **options):
    return make_program(*arguments, measures=(*measures(), SHARPNESS), **options)


def trained(what, data, target, **options):
    """The final parameters of one seed, and its records."""
    state, records = run(what, data, make_settings(target, 100_000, ratio=1.5, **options))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], state.optimizer.parameters), records


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "norm"), [(SMALL, "none"), (SMALL, "swn"), (mlp(2, (12,), 1, "relu"), "ewn")])
def test_against_the_dense_hessian_at_minus_300_nats(architecture, norm):
    data = lin_sep()
    what = with_sharpness(architecture, norm, loss="cross_entropy")
    parameters, records = trained(what, data, -300.0)
    flat, unravel = ravel_pytree(parameters)
    x, y = jnp.asarray(data.train_x), jnp.asarray(data.train_y)

    def log_loss(flat):
        weights = parametrization.to_weights(unravel(flat), what.norms)
        return what.loss.log_loss(network.apply(what.network, weights, x), y)

    slope = np.asarray(jax.grad(log_loss)(flat))
    dense = np.asarray(jax.hessian(log_loss)(flat)) + np.outer(slope, slope)
    want = np.linalg.eigvalsh(dense)[-1]
    assert column(records, "log_loss")[-1] < -300
    found = column(records, "log_sharpness")[-1] - column(records, "log_loss")[-1]
    assert found == pytest.approx(np.log(want), abs=1e-8)
    assert column(records, "sharpness_error")[-1] < 1e-6


@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_against_differences_of_gradients_in_plain_floats(norm):
    random = np.random.default_rng(1)
    x = random.standard_normal((9, 3))
    y = np.where(x @ [1.0, -0.5, 0.3] > 0, 1, -1)
    what = with_sharpness(mlp(3, (5,), 1, "relu_squared"), norm)
    parameters, records = trained(what, points_of(x, y), -4.0)
    leaves = jax.tree.leaves(parameters)
    net, columns = Net(norm, x, y), []
    flat, unravel = ravel_pytree(parameters)
    for place in range(len(flat)):
        moved = [np.asarray(flat).copy(), np.asarray(flat).copy()]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        looks = [net.look(list(map(np.asarray, jax.tree.leaves(unravel(jnp.asarray(one)))))) for one in moved]
        columns.append(np.concatenate([(a - b).ravel() for a, b in zip(looks[0][1], looks[1][1], strict=True)]) / 2e-5)
    slope = np.concatenate([g.ravel() for g in net.look(list(map(np.asarray, leaves)))[1]])
    dense = np.array(columns) + np.outer(slope, slope)
    want = np.linalg.eigvalsh((dense + dense.T) / 2)[-1]
    found = column(records, "log_sharpness")[-1] - column(records, "log_loss")[-1]
    assert found == pytest.approx(np.log(want), abs=1e-6)


def test_one_sample_and_a_constant_step():
    """`H = L x x^T`; the product with the step is `eta L ||x||^2` at every record."""
    data = points_of(np.array([[2.0, 1.0]]), np.array([1]))
    what = with_sharpness(LINEAR, loss="exponential", optimizer="gd_constant")
    _, records = run(what, data, make_settings(-3.0, numbers=numbers_of("gd_constant", step_size=0.02)))
    log_loss = column(records, "log_loss")
    np.testing.assert_allclose(column(records, "log_sharpness"), log_loss + np.log(5), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(column(records, "step_sharpness"), 0.02 * 5 * np.exp(log_loss), rtol=1e-12)


def test_the_step_of_the_loss_based_rule():
    """`eta = lr Lref^(1/frac - 1)`, one step late: what the log time grows by at the next step."""
    what = with_sharpness(SMALL, "none")
    _, records = run(what, lin_sep(), make_settings(-5.0, ratio=1.0))
    time, product = column(records, "log_time"), column(records, "step_sharpness")
    attempts = column(records, "attempts")
    log_eta = np.log(np.diff(np.exp(time)))  # of steps that were not refused
    kept = np.flatnonzero((np.diff(attempts) == 1) & (np.arange(len(log_eta)) < 200) & np.isfinite(log_eta))
    want = np.log(product[:-1]) - column(records, "log_sharpness")[:-1]
    assert len(kept) > 50
    np.testing.assert_allclose(log_eta[kept], want[kept], atol=1e-8)


@pytest.mark.parametrize("size", [1, 2, 7, 150])
def test_lanczos_against_numpy(size):
    """Also where the smallest eigenvalue is the largest in size, and where the largest one is there twice."""
    random = np.random.default_rng(size)
    axes = np.linalg.qr(random.standard_normal((size, size)))[0]
    for values in (random.standard_normal(size), np.r_[-50.0, np.full(size, 2.0)][-size:], -1 - random.random(size)):
        matrix = jnp.asarray(axes * values @ axes.T)
        found, error = largest_eigenvalue(lambda v, a=matrix: a @ v, jnp.asarray(random.standard_normal(size)), 1e-7)
        assert float(found) == pytest.approx(values.max(), rel=1e-9, abs=1e-12) and float(error) <= 1e-7
    assert vectors(size) == min(size, 100) + 1


def test_it_is_recorded_when_due_and_costs_nothing_without(tmp_path):
    assert MEASURES["sharpness"].cost(SMALL, 4) == 0
    words = ("norm=ewn", "stop.log_loss=-2", "record.sharpness_every=5")
    steps = pd.read_parquet(runner.train(words, tmp_path).directory / "steps.parquet")
    due = steps["log_sharpness"].notna().to_numpy()
    np.testing.assert_array_equal(due, np.arange(len(steps)) % 5 == 0)
    assert (steps.loc[due, "step_sharpness"] > 0).all() and (steps.loc[due, "sharpness_error"] < 1e-6).all()
