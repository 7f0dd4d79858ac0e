"""Whole runs: closed forms, one compilation, batches of seeds, bit-identical repetition, measures with a cadence."""

import dataclasses
from collections import Counter
from typing import ClassVar

import jax
import numpy as np
import pytest

from tests.helpers import (
    LINEAR,
    SMALL,
    column,
    lin_sep,
    make_program,
    make_settings,
    measures,
    mlp,
    outcomes,
    points_of,
    run,
)
from wnexp.measures.base import REAL, REALS, Measure
from wnexp.nn import network
from wnexp.nn.initializers import initialize
from wnexp.nn.weightnorm import neuron_norms
from wnexp.training.loop import make_train

NORMS_ONE_QUICK = [*(pytest.param(norm, marks=pytest.mark.slow) for norm in ("none", "swn")), "ewn"]


def test_one_sample_exponential_flow():
    """Small constant steps follow `1/L(t) = 1/L(0) + ||x||^2 t` (one sample, linear, exponential loss)."""
    data = points_of(np.array([[2.0, 1.0]]), np.array([1]))
    what = make_program(LINEAR, loss="exponential", optimizer="gd_constant", measures=measures())
    weights = ({"weight": np.array([[[0.1], [-0.2]]])},)
    step = 1e-4
    configuration = make_settings(target=-50.0, max_steps=20000, step_size=step, frac=1.0, factor=1.0)
    _, records = run(what, data, configuration, weights=weights)
    inverse = np.exp(-column(records, "log_loss"))
    time = column(records, "step") * step
    np.testing.assert_allclose(inverse, inverse[0] + 5 * time, rtol=2e-3)
    np.testing.assert_allclose(np.exp(column(records, "log_time"))[1:], time[1:], rtol=1e-10)


@pytest.mark.parametrize("norm", [pytest.param("none", marks=pytest.mark.slow), "ewn"])
def test_simple_traj_keeps_its_invariant(norm):
    """Diagonal, one sample: none keeps `x_k w_j - x_j w_k`, EWN keeps `x_k/w_j - x_j/w_k` (hyperbolas)."""
    x = np.array([2.0, 1.0])
    data = points_of(x[None], np.array([1]))
    what = make_program(
        network.diagonal(2), norm, loss="exponential", optimizer="gd_constant", measures=measures("neurons")
    )
    weights = ({"weight": np.array([[[1.0, 3.0]]])}, {"weight": np.ones((1, 2, 1))})
    configuration = make_settings(target=-12.0, max_steps=100_000, step_size=0.01, frac=1.0, factor=1.0)
    _, records = run(what, data, configuration, weights=weights)
    w = np.concatenate([rows["neurons"][0]["weight_norm"][:, 0][rows["valid"][:, 0]] for rows in records])
    kept = x[1] * w[:, 0] - x[0] * w[:, 1] if norm == "none" else x[1] / w[:, 0] - x[0] / w[:, 1]
    assert w[-1, 0] > 1.2, "it must have moved"
    np.testing.assert_allclose(kept, kept[0], rtol=1e-9 if norm == "none" else 2e-3)


@pytest.mark.slow
def test_depth_one_linear_tends_to_the_hard_margin_svm():
    from sklearn.svm import SVC

    what, data = make_program(LINEAR, measures=measures()), lin_sep()
    state, _ = run(what, data, make_settings(target=-300.0, frac=30.0, max_steps=10**6))
    w = np.asarray(make_train(what).weights(state)[0]["weight"])[0, :, 0]
    svm = SVC(kernel="linear", C=1e10, tol=1e-10)
    # No bias: the mirrored points make the origin the middle.
    svm.fit(np.concatenate([data.train_x, -data.train_x]), np.concatenate([data.train_y, -data.train_y]))
    direction = svm.coef_[0] / np.linalg.norm(svm.coef_[0])
    assert w @ direction / np.linalg.norm(w) > 0.9999


@pytest.mark.slow
def test_xor_margins_become_equal():
    """XOR, ReLU, fixed +/-1 output: by symmetry the four margins agree in the limit."""
    x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    data = points_of(x, np.array([-1, -1, 1, 1]))
    fixed = (1.0,) * 10 + (-1.0,) * 10
    what = make_program(mlp(2, (20,), 1, "relu", fixed_output=fixed), measures=measures("samples"))
    _, records = run(what, data, make_settings(target=-50.0, frac=15.0, cap=0.1, max_steps=100_000))
    shares = records[-2]["samples"]["margin"][-1, 0]
    assert np.ptp(shares) / shares.mean() < 1e-3


@pytest.mark.parametrize("norm", NORMS_ONE_QUICK)
def test_loss_never_rises_at_accepted_steps_and_rows_are_in_order(norm):
    what = make_program(norm=norm, measures=measures())
    state, records = run(what, lin_sep(), make_settings(target=-60.0), seeds=(0, 1))
    for place in range(2):
        log_loss, step = column(records, "log_loss", place), column(records, "step", place)
        assert (np.diff(log_loss) <= 0).all() and (np.diff(step) > 0).all() and step[0] == 0
        assert (column(records, "attempts", place) >= step).all()
        assert log_loss[-1] == np.asarray(state.optimizer.log_loss)[place] <= -60
    assert outcomes(state) == ["target_reached"] * 2


def test_deep_losses_need_no_loss():
    """With `frac=0` (a constant step on log L) -5,000 nats are reached, far below the smallest float64."""
    what = make_program(LINEAR, measures=measures())
    configuration = make_settings(target=-5000.0, frac=0.0, max_steps=10**6, cap=0.5)
    state, records = run(what, lin_sep(), configuration)
    assert outcomes(state) == ["target_reached"]
    assert np.isfinite(column(records, "log_loss")).all() and column(records, "log_time")[-1] > 4900
    assert column(records, "decay_rate")[-1] == pytest.approx(1.0, abs=0.01)


def test_changed_numbers_do_not_compile_again():
    what = make_program(slots=16, measures=measures())
    functions = make_train(what)
    before = functions.compilations()
    data = lin_sep()
    run(what, data, make_settings(target=-5.0))
    run(what, data, make_settings(target=-7.0, step_size=0.02, cap=0.3, frac=0.0, max_steps=77, every=3, ratio=1.3))
    run(dataclasses.replace(what), lin_sep(5), make_settings(target=-3.0))
    assert functions.compilations() - before == 1


@pytest.mark.parametrize("batched", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("norm", NORMS_ONE_QUICK)
def test_a_seed_among_others_equals_the_seed_alone(norm, batched):
    configuration, seeds = make_settings(target=-30.0, cap=0.01), tuple(range(6))
    what, single = (
        make_program(norm=norm, measures=measures("margins"), batched=batched) for batched in (batched, True)
    )
    batch, batch_records = run(what, lin_sep(), configuration, seeds=seeds)
    alone, alone_records = run(single, lin_sep(), configuration, seeds=(3,))
    early = slice(0, 60)  # later rounding differences grow, as in any chaotic iteration
    for name in ("log_loss", "normalized_margin", "log_time"):
        a, b = column(batch_records, name, 3)[early], column(alone_records, name)[early]
        np.testing.assert_allclose(a, b, rtol=1e-9 if batched else 0, err_msg=name)
    assert outcomes(batch)[3] == outcomes(alone)[0] == "target_reached"


def test_same_seed_twice_is_bit_identical_and_chunks_change_nothing():
    what, configuration = make_program(norm="ewn", measures=measures("margins")), make_settings(target=-40.0)
    _, once = run(what, lin_sep(), configuration, seeds=(0, 1))
    _, twice = run(what, lin_sep(), configuration, seeds=(0, 1))
    _, pieces = run(what, lin_sep(), configuration, seeds=(0, 1), attempts=13)
    for place in range(2):
        for name in ("step", "log_loss", "decay_rate", "alignment", "kkt_delta"):
            reference = column(once, name, place)
            np.testing.assert_array_equal(column(twice, name, place), reference)
            np.testing.assert_array_equal(column(pieces, name, place), reference)


def test_a_done_seed_is_frozen_and_does_not_disturb_the_others():
    """The first one meets its target at once and must not move; the second one must end as if it were alone."""
    what, data = make_program(measures=measures()), lin_sep()
    trained, _ = run(what, data, make_settings(target=-6.0), seeds=(1,))
    done = jax.tree.map(np.asarray, make_train(what).weights(trained))
    fresh = jax.tree.map(lambda a: a[None], initialize(SMALL, 1, "uniform", "float64"))
    weights = jax.tree.map(lambda a, b: np.concatenate([a, b]), done, fresh)
    configuration = make_settings(target=-5.0)
    state, records = run(what, data, configuration, seeds=(1, 1), weights=weights)
    assert outcomes(state) == ["target_reached"] * 2
    assert column(records, "step", 0).tolist() == [0] and column(records, "log_loss", 0)[0] <= -6
    now = state.optimizer
    assert (int(now.step[0]), int(now.attempts[0]), float(now.log_time[0])) == (0, 0, -np.inf)
    assert int(now.step[1]) > 100, "the other one trained meanwhile"
    for layer, start in zip(now.parameters, weights, strict=True):
        np.testing.assert_array_equal(np.asarray(layer["w"])[0], start["weight"][0])
        assert (np.asarray(layer["w"])[1] != start["weight"][1]).any()
    _, alone_records = run(what, data, configuration, weights=fresh)
    np.testing.assert_allclose(column(records, "log_loss", 1)[:40], column(alone_records, "log_loss")[:40], rtol=1e-9)


CALLS: list[float] = []  # the log losses that `Seldom` was called with


@dataclasses.dataclass(frozen=True)
class Seldom(Measure):
    """Two columns of every third record, and each call noted."""

    table: ClassVar[str] = "seldom"
    columns: ClassVar = {"log_loss": (REAL, "nats"), "sizes": (REALS, "||w_u|| of the first layer")}
    cadence: int = 3

    @property
    def every(self):
        return self.cadence

    def measure(self, look):
        jax.debug.callback(lambda value: CALLS.append(float(value)), look.log_loss)
        return {"log_loss": look.log_loss, "sizes": neuron_norms(look.weights[0]["weight"])}


@pytest.mark.parametrize(
    ("seeds", "batched"),
    [((0, 1), True), *(pytest.param(*case, marks=pytest.mark.slow) for case in (((4,), True), ((0, 1), False)))],
)
def test_a_measure_with_a_cadence_is_computed_where_it_is_due_and_nowhere_else(seeds, batched):
    """Seeds that end after different numbers of records, chunks that end between them."""
    what = make_program(norm="ewn", batched=batched, slots=5, measures=(*measures("neurons"), Seldom()))
    CALLS.clear()
    _, records = run(what, lin_sep(), make_settings(target=-8.0, ratio=1.1), seeds=seeds, attempts=17)
    jax.effects_barrier()
    index, want = len(what.measures) - 1, []
    assert all(rows["rare"].keys() == {index} and "seldom" not in rows for rows in records)
    made = [len(column(records, "step", place)) for place in range(len(seeds))]
    assert len(set(made)) == len(seeds) and min(made) > 12
    for place in range(len(seeds)):
        due, log_loss, sizes = (
            np.concatenate([pick(rows)[:, place][rows["valid"][:, place]] for rows in records])
            for pick in (
                lambda rows: rows["rare"][index]["due"],
                lambda rows: rows["rare"][index]["columns"]["log_loss"],
                lambda rows: rows["rare"][index]["columns"]["sizes"],
            )
        )
        np.testing.assert_array_equal(due, np.arange(made[place]) % 3 == 0)
        np.testing.assert_array_equal(log_loss[due], column(records, "log_loss", place)[::3])
        norms = np.concatenate(
            [rows["neurons"][0]["weight_norm"][:, place][rows["valid"][:, place]] for rows in records]
        )
        np.testing.assert_allclose(sizes[due], norms[::3], rtol=1e-13)
        want += log_loss[due].tolist()
    for rows in records:
        assert not (rows["rare"][index]["due"] & ~rows["valid"]).any(), "a row without a record"
    assert Counter(CALLS) == Counter(want), "once for each row that is due"


@pytest.mark.slow
def test_two_cadences_do_not_disturb_each_other():
    what, configuration = make_program(norm="ewn", slots=5, measures=measures()), make_settings(target=-4.0, ratio=1.3)
    both = dataclasses.replace(what, measures=(Seldom(cadence=2), *what.measures, Seldom(cadence=5)))
    _, plain = run(what, lin_sep(), configuration)
    _, records = run(both, lin_sep(), configuration)
    np.testing.assert_array_equal(column(records, "log_loss"), column(plain, "log_loss"))
    for index, every in ((0, 2), (len(both.measures) - 1, 5)):
        due = np.concatenate([rows["rare"][index]["due"][:, 0][rows["valid"][:, 0]] for rows in records])
        np.testing.assert_array_equal(due, np.arange(len(due)) % every == 0)
        assert len(due) > 12
