"""Gradient flow against closed forms, conservation laws and an independent integration."""

import dataclasses
import json
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from tests.helpers import (
    LINEAR,
    SMALL,
    column,
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
from wnexp.nn import network
from wnexp.nn.activations import SlidingRelu
from wnexp.nn.initializers import initialize
from wnexp.nn.weightnorm import NORMS, neuron_norms
from wnexp.training import loop


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def flow_program(architecture, norm, variables="weights", **changes):
    if variables == "weights":
        changes["metrics"] = (NORMS[norm],) * len(architecture.layers)
        norm = "none"
    return make_program(
        architecture, norm, **{"optimizer": "flow", "slots": 64, "measures": measures("neurons")} | changes
    )


def flow_settings(target, snapshots=(), tolerance=1e-8):
    grid = {"max_steps": 100_000, "ratio": 1.0, "snapshots": snapshots}
    return make_settings(target=target, **grid, step_size=1e-3, tolerance=tolerance)


def points(inputs=2, samples=8, seed=4):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, inputs))
    y = np.where(x @ np.arange(1, inputs + 1) > 0, 1, -1)
    return points_of(x, y)


def flattened(weights):
    return np.concatenate([np.asarray(layer["weight"])[0].ravel() for layer in weights])


def test_one_sample_to_a_million_nats():
    """`1/L(t) = 1/L(0) + ||x||^2 t`: exponential loss, one sample, linear."""
    data = points_of(np.array([[2.0, 1.0]]), np.array([1]))
    state, records = run(flow_program(LINEAR, "none", loss="exponential"), data, flow_settings(-1e6))
    assert outcomes(state) == ["target_reached"] and int(state.optimizer.step[0]) < 1000
    log_loss, log_time = column(records, "log_loss"), column(records, "log_time")
    assert log_time[0] == -np.inf and log_loss[-1] == pytest.approx(-1e6, rel=1e-11)
    want = -log_loss[1:] + np.log1p(-np.exp(log_loss[1:] - log_loss[0])) - np.log(5)
    np.testing.assert_allclose(log_time[1:] - want, 0, atol=1e-7)


def test_margins_that_weights_do_not_resolve_do_not_hold_up_the_flow():
    """SWN, depth 1: weights to 1e-8 say margins of 1e4 nats, and the speed of the flow, less exactly."""
    x = np.random.default_rng(0).standard_normal((16, 3))
    y = np.where(x @ [1.0, -0.5, 0.3] > 0, 1, -1)
    data = points_of(x + 0.3 * y[:, None] * [1.0, -0.5, 0.3], y)
    state, _ = run(flow_program(mlp(3, (), 1, "linear"), "swn", loss="exponential"), data, flow_settings(-2e4))
    assert outcomes(state) == ["target_reached"] and int(state.optimizer.step[0]) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_simple_traj_hyperbolas(norm):
    """None keeps `x_2 w_1 - x_1 w_2`, EWN `x_2/w_1 - x_1/w_2`."""
    data = points_of(np.array([[2.0, 1.0]]), np.array([1]))
    weights = ({"weight": np.array([[[3.0, 1.0]]])}, {"weight": np.ones((1, 2, 1))})
    what = flow_program(network.diagonal(2), norm, loss="exponential")
    _, records = run(what, data, flow_settings(-50), weights=weights)
    w = np.concatenate([rows["neurons"][0]["weight_norm"][:, 0][rows["valid"][:, 0]] for rows in records])
    kept = w[:, 0] - 2 * w[:, 1] if norm == "none" else 1 / w[:, 0] - 2 / w[:, 1]
    np.testing.assert_allclose(kept, kept[0], atol=1e-7)


def numpy_velocity(state, x, y, norm):
    """`d(W, v, U)/dtau` of 2-8-1 with squared ReLU and exponential loss, with gradients by hand."""
    hidden, output, clock = state[:16].reshape(2, 8), state[16:24], state[24]
    pre = x @ hidden
    active = np.maximum(pre, 0) ** 2
    s = y * (active @ output)
    share = np.exp(-(s - s.min()))
    pull = -share / share.sum() * y  # d log L / d output
    g_output = active.T @ pull
    g_hidden = x.T @ (pull[:, None] * output * 2 * np.maximum(pre, 0))

    def metric(w, g):
        square = np.sum(w**2, axis=0)
        radial = w * np.sum(w * g, axis=0) / square
        return {"none": g, "ewn": square * g, "swn": radial + square * (g - radial)}[norm]

    d_hidden = metric(hidden, g_hidden)
    d_output = metric(output[:, None], g_output[:, None])[:, 0]
    speed = np.sum(g_hidden * d_hidden) + np.sum(g_output * d_output)
    return np.concatenate([-d_hidden.ravel() / speed, -d_output / speed, [1 / speed - clock]])


@pytest.mark.parametrize("norm", [slow("none"), "swn", slow("ewn")])
def test_scipy_agrees_at_200_nats(norm):
    data = points()
    start = tuple({"weight": layer["weight"][None]} for layer in initialize(SMALL, 1, "uniform", "float64"))
    state, _ = run(flow_program(SMALL, norm, loss="exponential"), data, flow_settings(-200), weights=start)
    initial = np.append(flattened(start), 0.0)
    hidden, output = initial[:16].reshape(2, 8), initial[16:24]
    s = data.train_y * (np.maximum(data.train_x @ hidden, 0) ** 2 @ output)
    span = 200 + np.log(np.exp(-s).sum())
    solved = solve_ivp(
        lambda t, z: numpy_velocity(z, data.train_x, data.train_y, norm),
        *((0, span), initial),
        method="LSODA",
        rtol=1e-10,
        atol=1e-12,
    )
    ours = flattened(tuple({"weight": np.asarray(layer["w"])} for layer in state.optimizer.parameters))
    np.testing.assert_allclose(ours, solved.y[:24, -1], rtol=2e-6, atol=1e-6)
    assert float(state.optimizer.log_time[0]) - 200 == pytest.approx(np.log(solved.y[24, -1]), abs=2e-6)


@cache
def flowed(norm, variables, solver):
    """The state at -100 nats, and its weights."""
    what = flow_program(SMALL, norm, variables, loss="exponential", solver=solver)
    start = tuple({"weight": layer["weight"][None]} for layer in initialize(SMALL, 1, "uniform", "float64"))
    state, _ = run(what, points(), flow_settings(-100), weights=start)
    assert outcomes(state) == ["target_reached"]
    return state, flattened(loop.make_train(what).weights(state))


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["swn", "ewn"])
def test_the_parameters_follow_the_path_of_the_weights(norm):
    """C1; and `||v_u||` is conserved."""
    state, found = flowed(norm, "parameters", "rosenbrock")
    np.testing.assert_allclose(found, flowed(norm, "weights", "rosenbrock")[1], rtol=1e-6, atol=1e-6)
    lengths = [neuron_norms(layer["v"][0]) for layer in state.optimizer.parameters]
    np.testing.assert_allclose(np.concatenate(lengths), 1, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["swn", "ewn"])
def test_another_solver_follows_the_same_path(norm):
    found = flowed(norm, "weights", "tsit5")[1]
    np.testing.assert_allclose(found, flowed(norm, "weights", "rosenbrock")[1], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_tenth_of_the_tolerance_changes_as_much_as_stated():
    """The README's accuracy: weights to 1e-6 and `log t + log L` to 1e-6 at tolerance 1e-8, seeds as one batch."""
    data, what = points(), flow_program(SMALL, "ewn")
    coarse, _ = run(what, data, flow_settings(-1000, snapshots=(-10.0, -100.0)), seeds=(0, 1))
    fine, records = run(what, data, flow_settings(-1000, snapshots=(-10.0, -100.0), tolerance=1e-9), seeds=(0, 1))
    assert (np.asarray(fine.optimizer.step) > np.asarray(coarse.optimizer.step)).all()
    for seed in range(2):
        for a, b in zip(coarse.optimizer.parameters, fine.optimizer.parameters, strict=True):
            scale = np.linalg.norm(b["w"][seed], axis=0)
            assert np.max(np.abs(a["w"][seed] - b["w"][seed]) / scale) < 1e-6
        assert float(coarse.optimizer.log_time[seed]) == pytest.approx(float(fine.optimizer.log_time[seed]), abs=1e-6)
        for level in (-10.0, -100.0, -1000.0):  # a step ends where a snapshot is asked for
            assert np.abs(column(records, "log_loss", seed) - level).min() < 1e-6
    alone, _ = run(what, data, flow_settings(-1000, snapshots=(-10.0, -100.0)), seeds=(1,))
    np.testing.assert_allclose(alone.optimizer.parameters[0]["w"][0], coarse.optimizer.parameters[0]["w"][1], rtol=1e-6)


@pytest.mark.slow
def test_neurons_slide_along_a_kink():
    """XOR: hidden neurons come to rest on the kinks of the other two points, and the flow goes on."""
    x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    data = points_of(x, np.array([-1, -1, 1, 1]))
    fixed = (1.0,) * 10 + (-1.0,) * 10
    architecture = dataclasses.replace(mlp(2, (20,), 1, "relu", fixed_output=fixed), activation=SlidingRelu())
    state, records = run(flow_program(architecture, "none"), data, flow_settings(-1000))
    assert outcomes(state) == ["target_reached"] and int(state.optimizer.step[0]) < 2000
    directions = records[-2]["neurons"][0]["direction"][-1, 0]
    resting = np.abs(x @ directions) < 1e-6
    assert resting.any(axis=0).sum() >= 4


@pytest.mark.slow
def test_data_that_cannot_be_separated_end_as_step_underflow():
    x = np.array([[1.0, 0.5], [1.0, 0.5], [-1.0, 0.2]])
    data = points_of(x, np.array([1, -1, 1]))
    state, records = run(flow_program(LINEAR, "none"), data, flow_settings(-10))
    assert outcomes(state) == ["step_underflow"] and int(state.optimizer.attempts[0]) < 3000
    assert column(records, "log_loss")[-1] > 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["precision=float32"], "optimizer=flow needs precision=float64"),
        (["optimizer.tolerance=0"], "optimizer.tolerance=0.0 is out of range; allowed: a number from 1e-13 to 0.01"),
        (["model.widths=[2000]"], "at most 3,000 weights, this network has 6,000; optimizer.solver=tsit5"),
        (["optimizer.solver=euler"], "optimizer.solver=euler is unknown; allowed: rosenbrock, tsit5"),
        (["norm=ewn", "norm.output_v=raw"], "needs optimizer.variables=parameters"),
    ],
)
def test_what_a_flow_cannot_do_is_refused(words, part):
    with pytest.raises(UserError) as error:
        prepared("optimizer=flow", *words)
    assert part in str(error.value) and "\n" not in str(error.value)


def test_max_pooling_is_a_note():
    words = ("optimizer=flow", "precision=float64", "data=digits", "model=cnn", "model.widths=[]")
    (note,) = prepared(*words, "model.channels=[2,M]").notes
    assert "flow with max-pooling may stall" in note and "model.channels" in note
    assert prepared(*words, "model.channels=[1]").notes == []
    assert prepared("optimizer=gd", *words[1:], "model.channels=[2,M]").notes == []


def test_bad_input_is_one_clear_line(inside, tmp_path):
    code, _, err = inside("train", "optimizer=flow", "stop.log_loss=5")
    assert code == 1 and "already met by the initial weights" in err and len(err.splitlines()) <= 2
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.slow
def test_a_flow_run_has_the_records_of_every_run(inside, tmp_path):
    code, out, _ = inside("train", "norm=ewn", "optimizer=flow", "snapshots=[-10]")
    assert code == 0 and "target_reached" in out
    directory = next(tmp_path.rglob("run.json")).parent
    assert json.loads((directory / "run.json").read_text())["seeds"][0]["log_loss"] == pytest.approx(-300, abs=1e-6)
    assert (directory / "snapshots" / "seed=0" / "log_loss=-10.safetensors").exists()
    assert inside("plot")[0] == 0
