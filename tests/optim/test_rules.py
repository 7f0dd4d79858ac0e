"""What holds for a whole table of rules: steps free of scale, one compilation, seeds as a batch, settings they have."""

from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest

from tests.helpers import (
    SMALL,
    column,
    compose,
    lin_sep,
    make_program,
    make_settings,
    measures,
    numbers_of,
    prepared,
    run,
    started,
)
from wnexp.errors import UserError
from wnexp.nn.losses import CrossEntropy
from wnexp.optim import OPTIMIZERS
from wnexp.optim.transformed import Transformed

RULES = {name: rule for name, rule in OPTIMIZERS.items() if isinstance(rule, Transformed)}
SHIFT = 200.0
# What makes a rule free of scale that is not so by itself: eta = lr/Lref, or a step on `L` over the gradients' sum.
FREE = {
    "momentum": {"frac": 0.0, "first_reference": "start"},
    "nesterov": {"frac": 0.0, "first_reference": "start"},
    "adagrad": {"accept": "any"},
    "dual_acceleration": {"step_size": 1e-4},  # of itself, but its steps have no bound
}


@dataclass(frozen=True)
class Smaller(CrossEntropy):
    """The loss times e^-200."""

    def of_soft_margins(self, high, low):
        high, low = super().of_soft_margins(high, low)
        return high - SHIFT, low


def trained(name, loss=None, steps=30, batch=None, **own):
    """The log losses and the last parameters of a run, one of the loss times e^-200 with `loss=Smaller()`."""
    own = {"step_size": 0.01, **own}
    what = make_program(optimizer=name, norm="ewn", measures=measures(), batch_size=batch, **own)
    what = what if loss is None else replace(what, loss=loss)
    configuration = make_settings(-1e9, steps, ratio=1.0, numbers=numbers_of(name, **own))
    state, records = run(what, lin_sep(), configuration)
    return column(records, "log_loss"), jax.tree.leaves(state.optimizer.parameters)


def both(name, **own):
    one, other = trained(name, **own), trained(name, Smaller(), **own)
    np.testing.assert_allclose(other[0][0], one[0][0] - SHIFT, rtol=1e-12)
    return one, other


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_the_size_of_the_loss_changes_no_step_of_a_scale_free_rule(name):
    for batch in (None, 3) if name != "adam" else (None,):
        (log, parameters), (shifted, same) = both(name, batch=batch, **FREE.get(name, {}))
        np.testing.assert_allclose(shifted + SHIFT, log, rtol=1e-9, atol=1e-11)
        assert abs(log[-1] - log[0]) > 1e-4
        for a, b in zip(parameters, same, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own", "factor"),
    [
        ("momentum", {"accept": "any"}, -SHIFT),  # a step on L
        ("momentum", {"frac": 30.0, "first_reference": "start"}, -SHIFT / 30),
        ("adagrad", {"frac": 1.02, "first_reference": "start", "step_size": 1e-4}, (1 - 1 / 1.02) * SHIFT),
        ("rmsprop", {"log_eps": 1.0}, -SHIFT),  # an absolute eps, above the gradients
    ],
)
def test_how_the_size_of_the_loss_changes_the_first_step_of_the_others(name, own, factor):
    """By the log of the step; where it is as large as the gradients, the eps counts only nearly."""
    moved = []
    for loss in (None, Smaller()):
        (_, first), (_, second) = (trained(name, loss, steps=steps, **own) for steps in (0, 1))
        moved.append(max(float(np.abs(b - a).max()) for a, b in zip(first, second, strict=True)))
    if moved[1] == 0:  # e^-200 beside weights of 1
        assert factor <= -SHIFT
    else:
        assert np.log(moved[1] / moved[0]) == pytest.approx(factor, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_one_compilation_serves_all_numbers(name):
    given = {"step_size": 0.02, "decay": 0.3, "weight_decay": 0.1, "b1": 0.5, "b2": 0.7, "log_eps": -9.0}
    words = [f"optimizer.{key}={value}" for key, value in given.items() if hasattr(RULES[name], key)]
    one, other = (prepared(f"optimizer={name}", "stop.max_steps=20", *more) for more in ([], words))
    assert one.program == other.program
    before = one._train.compilations()
    for session in (one, other):
        session.start()
        session.chunk(10)
    assert one._train.compilations() <= before + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "muon"])
def test_sixty_four_seeds_are_each_as_alone(name):
    """As one batch, up to rounding: its code on a CPU is another."""
    what = make_program(SMALL, "ewn", optimizer=name, measures=measures())
    configuration = make_settings(-1e9, 50, every=50, numbers=numbers_of(name))
    together, _ = run(what, lin_sep(), configuration, seeds=tuple(range(64)))
    for seed in (0, 31, 63):
        alone, _ = run(what, lin_sep(), configuration, seeds=(seed,))
        for a, b in zip(*(jax.tree.leaves(state.optimizer.parameters) for state in (alone, together)), strict=True):
            np.testing.assert_allclose(a[0], b[seed], rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_the_state_is_a_batch_of_arrays_as_the_checkpoint_takes_it(name):
    _, state = started(make_program(optimizer=name), lin_sep(), make_settings(numbers=numbers_of(name)), seeds=(0, 1))
    shapes = {leaf.shape for leaf in jax.tree.leaves(state.optimizer.parameters)}
    for leaf in jax.tree.leaves(state.optimizer.memory):
        assert leaf.shape in shapes | {(2,)}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "norm"), [("momentum", "swn"), ("nesterov", "swn"), ("nesterov", "ewn")])
def test_a_moment_that_points_uphill_does_not_end_a_run(name, norm):
    """Nothing but an empty memory gets off: these stood still between -8 and -265 nats."""
    session = prepared(f"optimizer={name}", f"norm={norm}", "seeds=4", "stop.max_steps=4000")
    session.start()
    while session.running():
        session.chunk(2000)
    assert [figures["outcome"] for figures in session.seed_figures()] == ["target_reached"] * 4


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["optimizer=sign", "optimizer.b1=.9"], ["optimizer.b1", "optimizer=sign has step_size, decay"]),
        (["optimizer=sign", "+optimizer.b1=.9"], ["optimizer.b1", "optimizer=sign has step_size, decay"]),
        (["optimizer=sign", "+optimizer.log_eps=-18"], ["optimizer.log_eps", "optimizer=sign has"]),
        (["+optimizer.batch_size=4"], ["optimizer.batch_size", "optimizer=gd has step_size, step_size_cap, frac"]),
        (["experiment=digits", "++optimizer.reference=present"], ["optimizer.reference", "optimizer=sgd has"]),
        (["+data.labels=parity"], ["data.labels", "data=lin_sep has seed"]),
        (
            ["norm=none", "+model.channels=[3]"],
            ["model.channels", "model=mlp has init, init_scale, initial_weights, widths"],
        ),
        (["optimizer=adam", "optimizer.b1=1"], ["optimizer.b1=1.0 is out of range", "at least 0, below 1"]),
        (["optimizer=rmsprop", "optimizer.b2=-.1"], ["optimizer.b2=-0.1 is out of range"]),
        (["optimizer=adam", "optimizer.b2=.99999999", "precision=float32"], ["b2=0.99999999 is 1 in float32"]),
        (["optimizer=muon", "optimizer.b1=.99999999", "precision=float32"], ["b1=0.99999999 is 1 in float32"]),
        (["optimizer=muon", "model.widths=[]"], ["optimizer=muon needs a layer whose weights are a matrix"]),
        (["optimizer=muon", "experiment=simple_traj"], ["optimizer=muon needs a layer"]),
        (["optimizer=spectral", "optimizer.polar=qr"], ["optimizer.polar=qr", "svd, newton_schulz"]),
        (["optimizer=adam", "optimizer.memory=grad"], ["optimizer.memory=grad", "loss, log_loss"]),
    ],
)
def test_bad_settings_of_rules(words, parts):
    with pytest.raises(UserError) as error:
        prepared(*words)
    message = str(error.value)
    assert all(part in message for part in parts) and len(message.splitlines()) <= 2, message


def test_what_an_experiment_sets_for_another_rule_is_left_out():
    assert compose("experiment=digits", "optimizer=sign").optimizer == OPTIMIZERS["sign"]


def notes(*words):
    return prepared(*words, "stop.max_steps=3").notes


def test_a_schedule_of_finite_length_is_said():
    (note,) = notes("optimizer=sign", "optimizer.decay=1.5")
    assert "optimizer.decay=1.5: the steps add up to a finite length" in note
    assert notes("optimizer=sign", "optimizer.decay=1") == []
