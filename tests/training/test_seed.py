"""One seed: when it makes a record, how it ends, its outputs in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import (
    LINEAR,
    SMALL,
    activation,
    column,
    lin_sep,
    make_program,
    make_settings,
    measures,
    named,
    outcomes,
    points_of,
    run,
    started,
)
from wnexp.nn import network
from wnexp.nn.initializers import initialize
from wnexp.nn.weights import split
from wnexp.training.seed import OUTCOMES, RUNNING, outcome, outputs_of


def test_record_grids():
    _, records = run(
        make_program(measures=measures()), lin_sep(), make_settings(max_steps=50, every=7, ratio=1.0, target=-1e9)
    )
    assert column(records, "step").tolist() == [0, 7, 14, 21, 28, 35, 42, 49, 50]
    _, records = run(make_program(measures=measures()), lin_sep(), make_settings(max_steps=300, ratio=1.1, target=-1e9))
    steps = column(records, "step")
    assert steps[:10].tolist() == list(range(10)) and steps[-1] == 300
    assert (steps[1:] <= np.maximum(steps[:-1] + 1, np.ceil(steps[:-1] * 1.1))).all()


def test_decay_rate_is_the_slope_between_records():
    _, records = run(make_program(measures=measures()), lin_sep(), make_settings())
    log_loss, log_time, rate = (column(records, name) for name in ("log_loss", "log_time", "decay_rate"))
    np.testing.assert_allclose(rate[2:], -np.diff(log_loss)[1:] / np.diff(log_time)[1:], rtol=1e-12)
    assert np.isnan(rate[:2]).all(), "no time has passed before the first step"


def test_max_steps_and_non_finite_outcomes():
    state, records = run(make_program(measures=measures()), lin_sep(), make_settings(max_steps=17))
    assert outcomes(state) == ["max_steps"] and column(records, "step")[-1] == 17
    data = lin_sep()
    wild = make_settings(max_steps=100, step_size=1e200, cap=1e200, frac=1.0, factor=1.0)
    state, _ = run(make_program(optimizer="gd_constant", measures=measures()), data, wild)
    assert outcomes(state) == ["non_finite"]


@pytest.mark.parametrize(
    "log_loss, step_size, step, ending",
    [
        (-3.0, 1.0, 5, "running"),
        (-3.0, 1.0, 10, "max_steps"),
        (-3.0, 0.0, 10, "step_underflow"),
        (-4.0, 0.0, 10, "target_reached"),
        (-np.inf, 0.0, 10, "non_finite"),
        (np.nan, 1.0, 5, "non_finite"),
    ],
)
def test_the_outcome_that_counts_where_several_hold(log_loss, step_size, step, ending):
    _, state = started(make_program(), lin_sep(), make_settings())
    now = jax.tree.map(lambda leaf: leaf[0], state.optimizer)
    now = now._replace(log_loss=jnp.asarray(log_loss), step_size=jnp.asarray(step_size), step=jnp.asarray(step))
    assert OUTCOMES[outcome(now, make_settings(target=-4.0, max_steps=10))] == ending


def test_stalls_end_as_step_underflow():
    """A dead ReLU net has no gradient; opposite labels on one point have a minimum above the target."""
    data = lin_sep()
    dead = initialize(SMALL, 0, "uniform", "float64")
    dead[0]["weight"][:] = 0.0
    weights = jax.tree.map(lambda a: a[None], dead)
    state, records = run(make_program(measures=measures()), data, make_settings(), weights=weights)
    assert outcomes(state) == ["step_underflow"] and column(records, "step").tolist()[0] == 0
    x = np.array([[1.0, 0.5], [1.0, 0.5]])
    opposed = points_of(x, np.array([-1, 1]))
    state, _ = run(
        make_program(LINEAR, measures=measures()),
        opposed,
        make_settings(frac=1.0, step_size=1.0, cap=1.0, max_steps=10**6),
    )
    assert outcomes(state) == ["step_underflow"]


def test_the_first_crossing_of_a_level_counts():
    """A constant step on data that cannot be separated: the loss jumps over a level and back, again and again."""
    what = make_program(LINEAR, optimizer="gd_constant", measures=measures())
    data = points_of(np.array([[4.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([1, -1, -1]))
    configuration = make_settings(target=-50.0, max_steps=40, snapshots=[0.7], step_size=1.0)
    _, chunks = run(what, data, configuration)
    below = column(chunks, "log_loss") <= 0.7
    assert np.sum(~below[:-1] & below[1:]) > 1, "the level is crossed more than once"
    crossed = [rows["snapshots"][slot, 0].tolist() for rows in chunks for slot in np.flatnonzero(rows["valid"][:, 0])]
    assert sum(before < after for before, after in crossed) == 1
    assert crossed[np.flatnonzero(below)[0]] == [0, 1]


def snapshots_of(kept, seeds=(0, 1, 2)):
    """Per seed the records `(step, levels before, after, log loss)` at crossings with the parameters kept there."""
    what, data = make_program(slots=64, kept=kept, measures=measures()), lin_sep()
    levels = (-5.0, -5.001, -12.0, -20.0)
    settings = make_settings(target=-30.0, snapshots=levels)
    functions, state = started(what, data, settings, seeds=seeds)
    found, chunks = [[] for _ in seeds], 0
    while np.any(np.asarray(state.outcome) == RUNNING):
        made = functions.chunk(state, data, settings, 10**6)
        state, chunks = made.state, chunks + 1
        rows = jax.device_get(named(what, made.rows))
        (before, after), log_loss = np.moveaxis(rows["snapshots"], -1, 0), rows["steps"]["log_loss"]
        for place, crossings in enumerate(found):
            slots = np.flatnonzero(rows["valid"][:, place] & (before < after)[:, place])
            assert len(slots) <= kept
            for entry, slot in enumerate(slots):
                parameters = jax.tree.map(lambda a, e=entry, p=place: np.asarray(a[e, p]), made.kept)
                at = (rows["step"], before, after, log_loss)
                crossings.append((*(values[slot, place].item() for values in at), parameters))
    return found, chunks


def test_the_parameters_at_a_crossing_are_kept():
    found, _ = snapshots_of(kept=64)
    what, data = make_program(SMALL, measures=measures()), lin_sep()
    for number, crossings in enumerate(found):
        assert [level for _, low, high, *_ in crossings for level in range(low, high)] == [0, 1, 2, 3]
        for step, _, after, log_loss, parameters in crossings:
            level = (-5.0, -5.001, -12.0, -20.0)[after - 1]
            assert level - 0.5 < log_loss <= level
            state, _ = run(what, data, make_settings(target=-30.0, max_steps=step), seeds=[number])
            for kept, reached in zip(*map(jax.tree.leaves, (parameters, state.optimizer.parameters)), strict=True):
                np.testing.assert_allclose(kept, reached[0], rtol=1e-9)  # seeds in a batch round differently


def test_a_seed_without_room_for_its_snapshot_waits_alone():
    """Room for one, or for all: the same snapshots bit by bit, in more chunks, but not one a snapshot."""
    (few, chunks_of_few), (many, chunks_of_many) = snapshots_of(kept=1), snapshots_of(kept=64)
    assert len({step for crossings in few for step, *_ in crossings}) > 3, "seeds cross at different steps"
    assert chunks_of_many < chunks_of_few <= 5 + chunks_of_many
    for mine, others in zip(few, many, strict=True):
        assert [crossing[:-1] for crossing in mine] == [crossing[:-1] for crossing in others]
        for one, other in zip(mine, others, strict=True):
            jax.tree.map(np.testing.assert_array_equal, one[-1], other[-1])


TINY_CNN = network.convolutional((1, 2, 1), (3,), (), 1, activation("relu"))


@pytest.mark.parametrize("architecture", [SMALL, TINY_CNN], ids=["dense", "convolutions"])
def test_outputs_in_blocks_are_the_outputs(architecture):
    """Data too large for memory go through the network in blocks, values and gradients, also a last smaller block."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((11, 2)))
    trained, fixed = split(architecture, jax.tree.map(jnp.asarray, initialize(architecture, 0, "normal", "float64")))
    whole, blocks = (
        jax.jit(jax.value_and_grad(lambda trained, what=what: jnp.sum(jnp.sin(outputs_of(what, fixed, trained, x)))))
        for what in (make_program(architecture, block=block, measures=measures()) for block in (11, 4))
    )
    text = [made.lower(trained).as_text() for made in (whole, blocks)]
    assert "while" in text[1] and "while" not in text[0], "one goes in blocks and the other does not"
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), blocks(trained), whole(trained))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [SMALL, TINY_CNN], ids=["dense", "convolutions"])
def test_blocks_of_samples_change_no_number(architecture):
    """Whole runs in blocks are the runs without them."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(1, 2, (6, 2)), -rng.uniform(1, 2, (5, 2))])
    data = points_of(x, np.repeat([1, -1], [6, 5]), x[:7], np.repeat([1, -1], [6, 1]))
    whole, blocks = (
        run(
            make_program(architecture, "ewn", block=block, measures=measures("test_set", "margins")),
            data,
            make_settings(target=-3.0),
            seeds=(0, 1),
        )[1]
        for block in (11, 4)
    )
    for name in ("log_loss", "weight_norm", "alignment", "log_test_loss", "test_accuracy"):
        for place in (0, 1):
            a, b = (column(records, name, place) for records in (whole, blocks))
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
