"""Full-batch descent against a plain, step-by-step twin."""

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
    mlp,
    outcomes,
    points_of,
    prepared,
    run,
)
from wnexp.errors import UserError
from wnexp.optim import OPTIMIZERS

DEEP = mlp(2, (5,), 1, "linear")


@pytest.mark.parametrize(("frac", "present"), [(0.0, False), (5.0, False), (30.0, False), (0.0, True), (5.0, True)])
def test_loss_based_step_replays_the_rule(frac, present):
    """`eta = lr Lref^(1/frac - 1)`, `Lref` one accepted step behind and 1 at first, or the loss at the step.

    lr goes up and down by 1.1.
    """
    data = lin_sep()
    step_size, cap, factor, last = 0.05, 5.0, 1.1, 40
    w = np.array([0.3, -0.2])
    value, gradient = logistic(w, data.train_x, data.train_y)
    reference, lr, log, rejected = 1.0, step_size, [np.log(value)], 0
    while len(log) <= last:
        reference = value if present else reference
        eta = lr / reference if frac == 0 else lr * reference ** (1 / frac - 1)
        proposal = w - eta * gradient
        new_value, new_gradient = logistic(proposal, data.train_x, data.train_y)
        if new_value <= value:
            reference, w, value, gradient = value, proposal, new_value, new_gradient
            lr = lr * factor if lr < cap else lr
            log.append(np.log(value))
        else:
            lr, rejected = lr / factor, rejected + 1
    weights = ({"weight": np.array([[[0.3], [-0.2]]])},)
    configuration = make_settings(target=-1e9, max_steps=last, step_size=step_size, cap=cap, frac=frac, ratio=1.0)
    what = make_program(LINEAR, measures=measures(), reference="present" if present else "previous")
    state, records = run(what, data, configuration, weights=weights)
    np.testing.assert_allclose(column(records, "log_loss"), log, rtol=1e-9)
    assert int(state.optimizer.attempts[0]) == last + rejected
    np.testing.assert_allclose(float(state.optimizer.step_size[0]), lr, rtol=1e-12)


def test_a_rejection_is_undone_without_a_trace():
    """A first step far too long is refused until it is short enough; the weights are those of the accepted one."""
    x, y = np.array([[1.0, 0.0], [1.0, 0.1]]), np.array([1, -1])  # a long step helps one point and ruins the other
    weights = ({"weight": np.array([[[0.3], [-0.2]]])},)
    configuration = make_settings(target=-1e9, max_steps=1, step_size=1e6, cap=1e9, frac=1.0)
    data = points_of(x, y)
    state, _ = run(make_program(LINEAR, measures=measures()), data, configuration, weights=weights)
    attempts = int(state.optimizer.attempts[0])
    assert attempts > 5
    _, gradient = logistic(np.array([0.3, -0.2]), x, y)
    want = np.array([0.3, -0.2]) - 1e6 / 1.1 ** (attempts - 1) * gradient
    np.testing.assert_allclose(np.asarray(state.optimizer.parameters[0]["w"])[0, :, 0], want, rtol=1e-9)
    value = logistic(np.array([0.3, -0.2]), x, y)[0]
    longer = np.array([0.3, -0.2]) - 1e6 / 1.1 ** (attempts - 2) * gradient
    assert logistic(want, x, y)[0] <= value < logistic(longer, x, y)[0]


def test_a_constant_step_is_accepted_also_where_the_loss_rises():
    x, y = np.array([[3.0, 0.0], [1.0, 0.1]]), np.array([1, -1])
    w, eta, log = np.array([0.3, -0.2]), 1.2, []
    for _ in range(8):
        value, gradient = logistic(w, x, y)
        log.append(np.log(value))
        w = w - eta * gradient
    assert (np.diff(log) > 0).any() and (np.diff(log) < 0).any()
    what = make_program(LINEAR, measures=measures(), optimizer="gd_constant")
    configuration = make_settings(target=-1e9, max_steps=7, step_size=eta, ratio=1.0)
    weights = ({"weight": np.array([[[0.3], [-0.2]]])},)
    state, records = run(what, points_of(x, y), configuration, weights=weights)
    np.testing.assert_allclose(column(records, "log_loss"), log, rtol=1e-9)
    np.testing.assert_allclose(column(records, "log_time")[1:], np.log(eta * np.arange(1, 8)), rtol=1e-12, atol=1e-14)
    assert int(state.optimizer.attempts[0]) == int(state.optimizer.step[0]) == 7


@pytest.mark.parametrize("from_start", [False, True])
def test_the_first_step_of_given_weights_may_take_their_loss_as_reference(from_start):
    """With 1 as the reference a start at -300 nats would never move."""
    data, w = lin_sep(), np.array([-2.0, 2.5])
    value, gradient = logistic(w, data.train_x, data.train_y)
    eta = 0.01 * (value if from_start else 1.0) ** (1 / 5 - 1)
    what = make_program(LINEAR, measures=measures())
    configuration = make_settings(target=-1e9, max_steps=1, step_size=0.01, frac=5.0, from_start=from_start)
    state, _ = run(what, data, configuration, weights=({"weight": w[None, :, None]},))
    np.testing.assert_allclose(state.optimizer.parameters[0]["w"][0, :, 0] - w, -eta * gradient, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_how_deep_the_lagging_and_the_present_reference_go(norm):
    """Steps of `frac log(factor)` nats: 2.9 with the paper's factor, where only the present reference goes on."""
    ends = {}
    for reference in ("previous", "present"):
        what = make_program(DEEP, norm, "exponential", measures=measures(), reference=reference)
        for factor in (1.1, 1.01):
            configuration = make_settings(target=-2000, max_steps=20_000, cap=np.inf, factor=factor)
            state, _ = run(what, lin_sep(), configuration)
            ends[reference, factor] = outcomes(state)[0], float(state.optimizer.log_loss[0])
    stalled = ends.pop(("previous", 1.1))
    assert stalled[0] == "step_underflow" and stalled[1] > -500
    assert {outcome for outcome, _ in ends.values()} == {"target_reached"}, ends


@pytest.mark.parametrize(
    ("optimizer", "own", "end"),
    [
        ("gd", ("step_size=0.001",), " up to optimizer.step_size_cap=0.01"),
        ("sgd", ("step_size=1",), ""),
        ("gd", ("step_size=0.1",), None),  # above its cap it stays
        ("gd", (), None),
        ("gd_constant", ("step_size=0.1",), None),
    ],
)
def test_a_step_size_that_is_a_start_alone_is_said_to_be_one(optimizer, own, end):
    notes = prepared(f"optimizer={optimizer}", *(f"optimizer.{word}" for word in own)).notes
    found = [note for note in notes if "is where the step size starts" in note]
    assert len(found) == (end is not None) and all(
        note.endswith(f"1.1 a step,{end}" if end else "a step") for note in found
    )


def test_a_loss_based_rule_with_a_memory_has_the_notes_of_both_and_no_time():
    words = ("optimizer=momentum", "optimizer.step_size=0.001", "optimizer.decay=2", "optimizer.batch_size=100")
    notes = prepared(*words).notes
    assert [any(part in note for note in notes) for part in ("finite length", "is more than", "starts: it grows")] == [
        True
    ] * 3
    assert not OPTIMIZERS["momentum"].has_time and OPTIMIZERS["gd"].has_time


@pytest.mark.parametrize("optimizer", ["gd", "gd_constant", "sgd", "momentum", "adam"])
def test_a_decay_that_takes_all_at_once_is_refused(optimizer):
    words = (f"optimizer={optimizer}", "optimizer.step_size=0.1")
    with pytest.raises(UserError, match=r"takes all of the parameters in a first step of 0\.1"):
        prepared(*words, "optimizer.weight_decay=10")
    prepared(*words, "optimizer.weight_decay=9")


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_the_first_step_of_a_schedule_is_what_a_decay_may_not_take_all_in(optimizer):
    """`lr / 2^decay`."""
    words = (f"optimizer={optimizer}", "optimizer.step_size=0.1", "optimizer.weight_decay=15")
    prepared(*words, "optimizer.decay=1")
    with pytest.raises(UserError, match="takes all"):
        prepared(*words, "optimizer.decay=0.5")
