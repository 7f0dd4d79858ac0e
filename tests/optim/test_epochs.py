"""Epochs of mini-batches against a plain, step-by-step twin."""

import jax
import numpy as np
import pytest

from tests.helpers import (
    LINEAR,
    column,
    lin_sep,
    logistic,
    make_program,
    make_settings,
    measures,
    outcomes,
    points_of,
    run,
)


@pytest.mark.parametrize("batch", [4, *(pytest.param(batch, marks=pytest.mark.slow) for batch in (3, 5, 11, 50))])
def test_an_epoch_uses_every_sample_once(batch):
    """Linear loss surface: with a tiny step an epoch moves by eta times the sum of all gradients at the start.

    On the summed loss that is one step, however many batches make it.
    """
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((11, 2)), rng.choice([-1, 1], 11)
    data = points_of(x, y)
    weights = ({"weight": np.array([[[0.3], [-0.2]]])},)
    eta = 1e-9
    configuration = make_settings(target=-1e9, max_steps=1, step_size=eta, cap=eta, frac=0.0)
    what = make_program(LINEAR, measures=measures(), optimizer="sgd", batch_size=batch)
    state, records = run(what, data, configuration, weights=weights)
    _, gradient = logistic(np.array([0.3, -0.2]), x, y)
    moved = np.asarray(state.optimizer.parameters[0]["w"])[0, :, 0] - np.array([0.3, -0.2])
    np.testing.assert_allclose(moved, -eta * gradient, rtol=1e-5)
    assert column(records, "log_time")[-1] == pytest.approx(np.log(eta))


def test_epochs_are_shuffled_anew_and_depend_on_the_seed():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((12, 2))
    y = np.where(x[:, 0] > 0, 1, -1)
    data = points_of(x, y)
    what = make_program(LINEAR, measures=measures(), optimizer="sgd", batch_size=5, reduction="mean")
    weights = ({"weight": np.array([[[0.3], [-0.2]]] * 2)},)
    configuration = make_settings(target=-3.0, max_steps=2000, step_size=0.1, cap=np.inf, frac=0.0)
    state, records = run(what, data, configuration, seeds=(0, 1), weights=weights)
    assert outcomes(state) == ["target_reached"] * 2
    first, second = column(records, "log_loss", 0), column(records, "log_loss", 1)
    assert first[0] == second[0] and first[1] != second[1], "the shuffle depends on the seed"
    same, _ = run(what, data, configuration, seeds=(0, 1), weights=weights)
    jax.tree.map(np.testing.assert_array_equal, same, state)


def test_sgd_takes_the_loss_after_the_last_epoch_as_reference():
    data = lin_sep()
    weights = ({"weight": np.array([[[0.3], [-0.2]]])},)
    configuration = make_settings(target=-1e9, max_steps=3, step_size=0.01, cap=0.01, frac=0.0, ratio=1.0)
    what = make_program(LINEAR, measures=measures(), optimizer="sgd", batch_size=4)
    _, records = run(what, data, configuration, weights=weights)
    w, values, reference = np.array([0.3, -0.2]), [], 1.0
    for _ in range(3):
        _, gradient = logistic(w, data.train_x, data.train_y)
        w = w - 0.01 / reference * gradient
        reference = logistic(w, data.train_x, data.train_y)[0]
        values.append(np.log(reference))
    np.testing.assert_allclose(column(records, "log_loss")[1:], values, rtol=1e-10)


@pytest.mark.parametrize("optimizer", [pytest.param("sgd", marks=pytest.mark.slow), "sgd_clipped"])
def test_epochs_replay_the_rule(optimizer):
    """Batches of one sample in the recorded order; `sgd_clipped` counts a batch's loss as the reference's at most.

    `lr` goes up by one factor and down by another.
    """
    x, y = np.array([[1.0, 0.3], [0.8, -0.5], [-0.9, 0.4], [0.5, 1.0], [-1.0, -0.2]]), np.array([1, 1, -1, -1, -1])
    data = points_of(x, y)
    w, lr, reference, value = np.array([0.3, -0.2]), 0.5, 1.0, logistic(np.array([0.3, -0.2]), x, y)[0] / 5
    log, sizes, clipped, attempts = [np.log(value)], [lr], 0, 0
    while len(log) <= 15:
        proposal = w
        key = jax.random.fold_in(jax.random.key(0), attempts)
        for index in np.asarray(jax.random.permutation(key, 5)):
            sample, slope = logistic(proposal, x[[index]], y[[index]])
            share = reference / sample if optimizer == "sgd_clipped" and sample > reference else 1.0
            clipped += share < 1
            proposal = proposal - lr / reference * share * slope
        new, attempts = logistic(proposal, x, y)[0] / 5, attempts + 1
        if new <= value:
            w, value, reference, lr = proposal, new, new, lr * 1.3
            log.append(np.log(value))
            sizes.append(lr)
        else:
            lr /= 2
    assert attempts > 15 and (clipped > 5) == (optimizer == "sgd_clipped")
    configuration = make_settings(
        target=-1e9, max_steps=15, step_size=0.5, cap=np.inf, frac=0.0, factor=1.3, shrink=2.0
    )
    what = make_program(LINEAR, measures=measures(), optimizer=optimizer, batch_size=1, reduction="mean")
    weights = ({"weight": np.array([[[0.3], [-0.2]]])},)
    state, records = run(what, data, configuration._replace(record_ratio=np.float64(1.0)), weights=weights)
    np.testing.assert_allclose(column(records, "log_loss"), log, rtol=1e-9)
    np.testing.assert_allclose(column(records, "step_size"), sizes, rtol=1e-9)
    assert int(state.optimizer.attempts[0]) == attempts
