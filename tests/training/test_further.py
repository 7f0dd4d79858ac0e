"""States of seeds that go on under a later stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import make_settings
from wnexp.optim.descent import ConstantGradientDescent, GradientDescent
from wnexp.optim.flow import Flow
from wnexp.training import seed
from wnexp.training.further import Last, judged, obstacle, without_ends
from wnexp.training.seed import MAX_STEPS, RUNNING, STEP_UNDERFLOW, TARGET_REACHED


def state_at(log_loss, outcome, step=9, next_record=12, fruitless=0):
    """Some seeds between two attempts, as far as what is asked here needs them."""
    count = len(log_loss)

    def full(value):
        return np.full(count, value)

    optimizer = seed.base.State(
        parameters=(),
        memory=(),
        log_loss=np.array(log_loss, float),
        step_size=full(0.1),
        log_time=full(1.0),
        step=full(step),
        attempts=full(step),
        fruitless=np.zeros(count, int) + fruitless,
    )
    return seed.SeedState(
        optimizer=optimizer,
        fixed=(),
        seed=np.arange(count),
        outcome=np.array(outcome),
        records=full(5),
        next_record=full(next_record),
        recorded_step=full(step),
        recorded_log_loss=np.array(log_loss, float),
        recorded_log_time=full(1.0),
        snapshots_taken=full(2),
    )


def then(target=-20.0, snapshots=()):
    return {"stop.log_loss": target, "snapshots": list(snapshots)}


def test_outcomes_are_those_of_the_later_stop():
    """A seed that both reached its target and could get no further has stalled now."""
    ended = [TARGET_REACHED, MAX_STEPS, STEP_UNDERFLOW, RUNNING, TARGET_REACHED]
    state = state_at([-20.5, -7, -3, -2, -31], ended, fruitless=[0, 0, 1000, 0, 0])
    found, go_on = judged(state, make_settings(target=-30, max_steps=10))
    assert found.outcome.tolist() == [RUNNING, RUNNING, STEP_UNDERFLOW, RUNNING, TARGET_REACHED]
    assert go_on.tolist() == [True, True, False, False, False]
    stalled = judged(state_at([-20.5], [TARGET_REACHED], fruitless=1000), make_settings(target=-30))[0]
    assert stalled.outcome.tolist() == [STEP_UNDERFLOW]


@pytest.mark.parametrize(
    ("rule", "snapshots", "outcome", "fits"),
    [
        (GradientDescent(), [-25], TARGET_REACHED, True),
        (GradientDescent(), [-20], TARGET_REACHED, True),  # the state itself makes a snapshot
        (GradientDescent(), [-19], TARGET_REACHED, False),
        (GradientDescent(), [-20.6], RUNNING, True),
        (GradientDescent(), [-20.5], RUNNING, False),  # taken, if it had been asked for
        (ConstantGradientDescent(), [-25], TARGET_REACHED, True),
        (ConstantGradientDescent(), [-19], TARGET_REACHED, False),
    ],
)
def test_new_snapshots_lie_below_all_that_was(rule, snapshots, outcome, fits):
    state = state_at([-20.5], [outcome])
    found = obstacle(rule, state, then(-20.0), make_settings(target=-30, snapshots=sorted(snapshots, reverse=True)))
    assert (found is None) == fits and (fits or f"snapshots={snapshots[0]:g}" in str(found))


@pytest.mark.parametrize("rule", [GradientDescent(), ConstantGradientDescent()])
def test_a_loss_that_may_rise_may_have_been_lower(rule):
    """Where it has been above its target so far nothing is known but that."""
    state, before = state_at([-7.0], [MAX_STEPS], step=9), then(-20.0)
    found = obstacle(rule, state, before, make_settings(max_steps=100, snapshots=[-10.0]))
    assert (found is None) == rule.descends
    assert obstacle(rule, state, before, make_settings(max_steps=100, snapshots=[-20.0])) is None


@pytest.mark.parametrize(
    ("log_loss", "snapshots", "fits"),
    [(-20.0, [], False), (-20.0, [-20.0], True), (-19.5, [], False), (-18.0, [], True)],
)
def test_flow_goes_on_where_it_has_not_seen_its_target(log_loss, snapshots, fits):
    """A step is at most a twentieth of the way: farther off no step was cut to land there."""
    state = state_at([log_loss], [TARGET_REACHED if log_loss <= -20 else RUNNING])
    found = obstacle(Flow(), state, then(-20.0), make_settings(target=-30, snapshots=snapshots))
    assert (found is None) == fits and (fits or "snapshots=[-20]" in str(found))


def test_the_last_record_is_made_again_only_where_it_is_due():
    """On the grid (the point after 9 is 13), at a snapshot that no record before it had reached, or neither."""
    settings = make_settings(target=-30.0, every=4, ratio=1.0, snapshots=[-5.0, -20.0])
    due = {}
    for name, point, lowest in (("grid", 13, -20.1), ("neither", 12, -20.1), ("snapshot", 12, -19.0)):
        state = judged(state_at([-20.5, -20.5], [TARGET_REACHED, RUNNING], next_record=point), settings)[0]
        last = Last(*(np.array([value]) for value in (6, -19.0, 0.5, lowest)))
        found = without_ends(state, np.array([0]), last, settings)
        one, other = (jax.tree.map(lambda leaf, place=place: jnp.asarray(leaf)[place], found) for place in (0, 1))
        due[name] = bool(seed.is_due(one, settings))
        assert (one.records, one.recorded_step, one.recorded_log_loss, one.recorded_log_time) == (4, 6, -19.0, 0.5)
        assert (other.records, other.recorded_step, other.next_record, other.snapshots_taken) == (5, 9, point, 2)
    assert due == {"grid": True, "neither": False, "snapshot": True}
