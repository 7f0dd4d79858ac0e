"""Training programs: closed forms, outcomes, one compilation, batches of seeds, bit-identical repetition."""

import dataclasses

import jax
import numpy as np
import pytest

from wnexp import network, optimizers, train

LINEAR = network.mlp(2, (), 1, "linear")
SMALL = network.mlp(2, (8,), 1, "relu_squared")


def program(architecture=SMALL, norm="none", **changes):
    return dataclasses.replace(
        train.Program(
            network=architecture,
            norms=(norm,) * len(architecture.layers),
            metrics=("none",) * len(architecture.layers),
            v_norms=(1.0,) * len(architecture.layers),
            loss="cross_entropy",
            reduction="sum",
            optimizer="gd",
            batch_size=0,
            dtype="float64",
            head_dtype="float64",
            max_direction=16,
            max_samples=128,
            max_gradient=1000,
            slots=32,
        ),
        **changes,
    )


def numbers(step_size=0.01, cap=0.01, frac=30.0, factor=1.1, shrink=None):
    exponent = -1.0 if frac == 0 else 1 / frac - 1
    return optimizers.Numbers(
        *map(np.float64, (step_size, cap, exponent, factor, shrink or factor, 1e-8)), continued=np.bool_(False)
    )


def settings(target=-20.0, max_steps=10000, every=1, ratio=1.05, snapshots=(), **step):
    return train.Settings(
        numbers(**step),
        np.float64(target),
        np.int64(max_steps),
        np.int64(every),
        np.float64(ratio),
        np.asarray(snapshots, float),
    )


def lin_sep(seed=0):
    rng = np.random.default_rng(seed)
    x = np.array([[1.0, 1.0], [1.4, 1.2], [-1.0, 1.0], [-1.3, -1.6]]) + 0.01 * rng.standard_normal((4, 2))
    y = np.array([-1, -1, 1, 1])
    return train.Data(x, y, x[:2], y[:2])


def run(what, data, configuration, seeds=(0,), weights=None, attempts=100_000):
    """Train to the end. Returns the final state and every valid row as `(slot, lane, rows)`."""
    functions = train.make_train(what)
    if weights is None:
        lanes = [network.initialize(what.network, seed, "uniform", what.dtype) for seed in seeds]
        weights = jax.tree.map(lambda *arrays: np.stack(arrays), *lanes)
    state = functions.start(np.asarray(seeds), weights, data, configuration)
    records = []
    while True:
        state, rows, filled = functions.chunk(state, data, configuration, attempts)
        slots = int(filled.max())
        records.append(jax.tree.map(lambda values, slots=slots: np.asarray(values[:slots]), rows))
        if not np.any(np.asarray(state.outcome) == train.RUNNING) and slots == 0:
            return state, records


def column(records, name, lane=0):
    """A column of `steps` for one seed, valid rows in order."""
    parts = []
    for rows in records:
        values = rows[name] if name == "step" else rows["steps"][name]
        parts.append(values[:, lane][rows["valid"][:, lane]])
    return np.concatenate(parts)


def outcomes(state):
    return [train.OUTCOMES[code] for code in np.asarray(state.outcome)]


def test_one_sample_exponential_flow():
    """Small constant steps follow `1/L(t) = 1/L(0) + ||x||^2 t` (one sample, linear, exponential loss)."""
    data = train.Data(np.array([[2.0, 1.0]]), np.array([1]), np.zeros((0, 2)), np.zeros(0, int))
    what = program(LINEAR, loss="exponential", optimizer="gd_constant")
    weights = ({"weight": np.array([[[0.1], [-0.2]]])},)
    step = 1e-4
    configuration = settings(target=-50.0, max_steps=20000, step_size=step, frac=1.0, factor=1.0)
    _, records = run(what, data, configuration, weights=weights)
    inverse = np.exp(-column(records, "log_loss"))
    time = column(records, "step") * step
    np.testing.assert_allclose(inverse, inverse[0] + 5 * time, rtol=2e-3)
    np.testing.assert_allclose(np.exp(column(records, "log_time"))[1:], time[1:], rtol=1e-10)


@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_simple_traj_keeps_its_invariant(norm):
    """Diagonal, one sample: none keeps `x_k w_j - x_j w_k`, EWN keeps `x_k/w_j - x_j/w_k` (hyperbolas)."""
    x = np.array([2.0, 1.0])
    data = train.Data(x[None], np.array([1]), np.zeros((0, 2)), np.zeros(0, int))
    what = program(network.diagonal(2), norm, loss="exponential", optimizer="gd_constant")
    weights = ({"weight": np.array([[[1.0, 3.0]]])}, {"weight": np.ones((1, 2, 1))})
    configuration = settings(target=-12.0, max_steps=100_000, step_size=0.01, frac=1.0, factor=1.0)
    _, records = run(what, data, configuration, weights=weights)
    w = np.concatenate([rows["neurons"][0]["weight_norm"][:, 0][rows["valid"][:, 0]] for rows in records])
    kept = x[1] * w[:, 0] - x[0] * w[:, 1] if norm == "none" else x[1] / w[:, 0] - x[0] / w[:, 1]
    assert w[-1, 0] > 1.2, "it must have moved"
    np.testing.assert_allclose(kept, kept[0], rtol=1e-9 if norm == "none" else 2e-3)


def test_depth_one_linear_tends_to_the_hard_margin_svm():
    from sklearn.svm import SVC

    data = lin_sep()
    state, _ = run(program(LINEAR), data, settings(target=-300.0, frac=30.0, max_steps=10**6))
    w = np.asarray(train.make_train(program(LINEAR)).weights(state)[0]["weight"])[0, :, 0]
    svm = SVC(kernel="linear", C=1e10, tol=1e-10)
    # No bias: the mirrored points make the origin the middle.
    svm.fit(np.concatenate([data.train_x, -data.train_x]), np.concatenate([data.train_y, -data.train_y]))
    direction = svm.coef_[0] / np.linalg.norm(svm.coef_[0])
    assert w @ direction / np.linalg.norm(w) > 0.9999


def test_xor_margins_become_equal():
    """XOR, ReLU, fixed +/-1 output: by symmetry the four margins agree in the limit."""
    x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    data = train.Data(x, np.array([-1, -1, 1, 1]), x[:0], np.zeros(0, int))
    what = program(network.mlp(2, (20,), 1, "relu", fixed_output=(1.0,) * 10 + (-1.0,) * 10))
    _, records = run(what, data, settings(target=-50.0, frac=15.0, cap=0.1, max_steps=100_000))
    shares = records[-2]["samples"]["margin"][-1, 0]
    assert np.ptp(shares) / shares.mean() < 1e-3


@pytest.mark.parametrize("norm", ["none", "swn", "ewn"])
def test_loss_never_rises_at_accepted_steps_and_rows_are_in_order(norm):
    state, records = run(program(norm=norm), lin_sep(), settings(target=-60.0), seeds=(0, 1))
    for lane in range(2):
        log_loss, step = column(records, "log_loss", lane), column(records, "step", lane)
        assert (np.diff(log_loss) <= 0).all() and (np.diff(step) > 0).all() and step[0] == 0
        assert (column(records, "attempts", lane) >= step).all()
        assert log_loss[-1] == np.asarray(state.iterate.log_loss)[lane] <= -60
    assert outcomes(state) == ["target_reached"] * 2


def test_record_grids():
    _, records = run(program(), lin_sep(), settings(max_steps=50, every=7, ratio=1.0, target=-1e9))
    assert column(records, "step").tolist() == [0, 7, 14, 21, 28, 35, 42, 49, 50]
    _, records = run(program(), lin_sep(), settings(max_steps=300, ratio=1.1, target=-1e9))
    steps = column(records, "step")
    assert steps[:10].tolist() == list(range(10)) and steps[-1] == 300
    assert (steps[1:] <= np.maximum(steps[:-1] + 1, np.ceil(steps[:-1] * 1.1))).all()


def test_decay_rate_is_the_slope_between_records():
    _, records = run(program(), lin_sep(), settings())
    log_loss, log_time, rate = (column(records, name) for name in ("log_loss", "log_time", "decay_rate"))
    np.testing.assert_allclose(rate[2:], -np.diff(log_loss)[1:] / np.diff(log_time)[1:], rtol=1e-12)
    assert np.isnan(rate[:2]).all(), "no time has passed before the first step"


def test_changed_numbers_do_not_compile_again():
    what = program(slots=16)
    functions = train.make_train(what)
    before = functions.compilations()
    data = lin_sep()
    run(what, data, settings(target=-5.0))
    run(what, data, settings(target=-7.0, step_size=0.02, cap=0.3, frac=0.0, max_steps=77, every=3, ratio=1.3))
    run(dataclasses.replace(what), lin_sep(5), settings(target=-3.0))
    assert functions.compilations() - before == 1


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("norm", ["none", "swn", "ewn"])
def test_a_seed_among_others_equals_the_seed_alone(norm, batched):
    configuration = settings(target=-30.0, cap=0.01)
    batch, batch_records = run(program(norm=norm, batched=batched), lin_sep(), configuration, seeds=tuple(range(6)))
    alone, alone_records = run(program(norm=norm), lin_sep(), configuration, seeds=(3,))
    early = slice(0, 60)  # later rounding differences grow, as in any chaotic iteration
    for name in ("log_loss", "normalized_margin", "log_time"):
        a, b = column(batch_records, name, 3)[early], column(alone_records, name)[early]
        np.testing.assert_allclose(a, b, rtol=1e-9 if batched else 0, err_msg=name)
    assert outcomes(batch)[3] == outcomes(alone)[0] == "target_reached"


def test_same_seed_twice_is_bit_identical_and_chunks_change_nothing():
    what, configuration = program(norm="ewn"), settings(target=-40.0)
    _, once = run(what, lin_sep(), configuration, seeds=(0, 1))
    _, twice = run(what, lin_sep(), configuration, seeds=(0, 1))
    _, pieces = run(what, lin_sep(), configuration, seeds=(0, 1), attempts=13)
    for lane in range(2):
        for name in ("step", "log_loss", "decay_rate", "alignment", "kkt_delta"):
            reference = column(once, name, lane)
            np.testing.assert_array_equal(column(twice, name, lane), reference)
            np.testing.assert_array_equal(column(pieces, name, lane), reference)


def test_a_done_seed_is_frozen_and_does_not_disturb_the_others():
    """Lane 0 meets its target at once; lane 1 must end as if it were alone, lane 0 must not move."""
    what, data = program(), lin_sep()
    lanes = [network.initialize(SMALL, 1, "uniform", "float64") for _ in range(2)]
    for layer in lanes[0]:
        layer["weight"] *= 3.0
    weights = jax.tree.map(lambda *arrays: np.stack(arrays), *lanes)
    start = train.make_train(what).start(np.array([1, 1]), weights, data, settings())
    target = float(np.asarray(start.iterate.log_loss)[0])
    configuration = settings(target=min(target, -3.0) if target < 0 else target)
    state, records = run(what, data, configuration, seeds=(1, 1), weights=weights)
    if target < 0:
        assert column(records, "step", 0).tolist() == [0]
        np.testing.assert_array_equal(np.asarray(state.iterate.parameters[0]["w"])[0], weights[0]["weight"][0])
    _, alone_records = run(what, data, configuration, weights=jax.tree.map(lambda a: a[1:], weights))
    np.testing.assert_allclose(column(records, "log_loss", 1)[:40], column(alone_records, "log_loss")[:40], rtol=1e-9)


def test_max_steps_and_non_finite_outcomes():
    state, records = run(program(), lin_sep(), settings(max_steps=17))
    assert outcomes(state) == ["max_steps"] and column(records, "step")[-1] == 17
    data = lin_sep()
    wild = settings(max_steps=100, step_size=1e200, cap=1e200, frac=1.0, factor=1.0)
    state, _ = run(program(optimizer="gd_constant"), data, wild)
    assert outcomes(state) == ["non_finite"]


def test_stalls_end_as_step_underflow():
    """A dead ReLU net has no gradient; opposite labels on one point have a minimum above the target."""
    data = lin_sep()
    dead = network.initialize(SMALL, 0, "uniform", "float64")
    dead[0]["weight"][:] = 0.0
    weights = jax.tree.map(lambda a: a[None], dead)
    state, records = run(program(), data, settings(), weights=weights)
    assert outcomes(state) == ["step_underflow"] and column(records, "step").tolist()[0] == 0
    x = np.array([[1.0, 0.5], [1.0, 0.5]])
    opposed = train.Data(x, np.array([-1, 1]), x[:0], np.zeros(0, int))
    state, _ = run(program(LINEAR), opposed, settings(frac=1.0, step_size=1.0, cap=1.0, max_steps=10**6))
    assert outcomes(state) == ["step_underflow"]


def test_snapshots_stop_the_chunk_at_the_crossing():
    what, data = program(slots=64), lin_sep()
    configuration = settings(target=-30.0, snapshots=(-5.0, -5.001, -20.0))
    functions = train.make_train(what)
    weights = jax.tree.map(lambda a: a[None], network.initialize(SMALL, 0, "uniform", "float64"))
    state = functions.start(np.array([0]), weights, data, configuration)
    crossings = []
    while np.any(np.asarray(state.outcome) == train.RUNNING):
        state, rows, filled = functions.chunk(state, data, configuration, 10**6)
        before, after = np.asarray(rows["snapshots"])[int(filled[0]) - 1, 0]
        for index in range(before, after):
            crossings.append((index, float(state.iterate.log_loss[0])))
            assert np.asarray(rows["steps"]["log_loss"])[int(filled[0]) - 1, 0] == state.iterate.log_loss[0]
    assert [index for index, _ in crossings] == [0, 1, 2]
    for index, log_loss in crossings:
        assert configuration.snapshots[index] - 0.5 < log_loss <= configuration.snapshots[index]


def test_deep_losses_need_no_loss():
    """With `frac=0` (a constant step on log L) -5,000 nats are reached, far below the smallest float64."""
    state, records = run(program(LINEAR), lin_sep(), settings(target=-5000.0, frac=0.0, max_steps=10**6, cap=0.5))
    assert outcomes(state) == ["target_reached"]
    assert np.isfinite(column(records, "log_loss")).all() and column(records, "log_time")[-1] > 4900
    assert column(records, "decay_rate")[-1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("architecture", [SMALL, network.convolutional((1, 2, 1), (3,), (), 1, "relu")])
def test_blocks_of_samples_change_no_number(architecture):
    """Data too large for memory go through the network in blocks, values and gradients, also a last smaller block."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(1, 2, (6, 2)), -rng.uniform(1, 2, (5, 2))])
    data = train.Data(x, np.repeat([1, -1], [6, 5]), x[:7], np.repeat([1, -1], [6, 1]))
    whole, blocks = (
        run(program(architecture, "ewn", block=block), data, settings(target=-3.0), seeds=(0, 1))[1]
        for block in (11, 4)
    )
    for name in ("log_loss", "weight_norm", "alignment", "log_test_loss", "test_accuracy"):
        for lane in (0, 1):
            a, b = (column(records, name, lane) for records in (whole, blocks))
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
