"""Rules with memory far below the smallest float: twins that keep true gradients, in longdouble, to e^-1000."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.helpers import LINEAR, column, make_program, make_settings, measures, numbers_of, points_of, prepared, run
from tests.optim import rule_twins
from wnexp.optim import OPTIMIZERS
from wnexp.settings import settings as known

ANGLES = np.pi / np.array([8, 20, 3])
POINTS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * [[1.0], [1.2], [0.8]]


class Line:
    """A linear model under the exponential loss (sum), all labels +1: `log L` and its gradient."""

    x = POINTS

    def look(self, leaves, batch=slice(None)):
        margins = self.x[batch] @ leaves[0][:, 0]
        parts = np.exp(margins.min() - margins)
        return np.log(parts.sum()) - margins.min(), [-(self.x[batch].T @ (parts / parts.sum()))[:, None]]


def deep(name, target, batch=None, memory="loss", **own):
    """The log losses of a rule and of its twin, to the target."""
    numbers = {key: found.value for key, found in known(OPTIMIZERS[name]).items()} | own
    numbers |= {"eps": np.exp(np.longdouble(own["log_eps"]))} if "log_eps" in own else {}
    start = np.array([[0.3], [-0.1]])
    own |= {"memory": memory} if "memory" in numbers else {}
    what = make_program(LINEAR, loss="exponential", optimizer=name, batch_size=batch, measures=measures(), **own)
    configuration = make_settings(target, 10**6, ratio=1.0, numbers=numbers_of(name, **own))
    data = points_of(POINTS, np.ones(3, int))
    _, records = run(what, data, configuration, weights=({"weight": start[None]},))
    log = column(records, "log_loss")
    twin, _, _ = rule_twins.trained(Line(), [start], name, numbers, len(log) - 1, batch, memory)
    assert log[-1] <= target
    return log, twin


def agrees(name, target, **own):
    log, twin = deep(name, target, **own)
    np.testing.assert_allclose(log, twin, rtol=1e-9, atol=1e-9)


def test_memory_of_the_gradient_to_a_thousand_nats():
    agrees("adam", -1000.0, step_size=1.0, b1=0.5, b2=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("momentum", {"frac": 0.0, "step_size": 0.01, "step_size_cap": 0.01}),
        ("momentum", {"step_size": 0.01, "step_size_cap": 0.05, "reference": "present"}),
        ("nesterov", {"frac": 0.0, "step_size": 0.01, "step_size_cap": 0.01, "batch": 2}),
        ("signum", {"step_size": 0.5}),
        ("lion", {"step_size": 0.5, "b2": 0.9}),
        ("lion", {"step_size": 2.0, "b2": 0.999, "batch": 2}),
        ("lion", {"step_size": 0.5, "batch": 2}),
        ("adam", {"step_size": 0.5, "b1": 0.9, "b2": 0.9}),
        ("adam", {"step_size": 0.5, "b1": 0.9, "b2": 0.5, "batch": 2}),
        ("adam", {"step_size": 0.5, "memory": "log_loss"}),
        ("rmsprop", {"step_size": 0.3, "b2": 0.5}),
        ("rmsprop", {"step_size": 0.3, "b2": 0.5, "batch": 2}),
        ("adagrad", {"frac": 0.0, "step_size": 0.5, "factor": 1.5}),
    ],
)
def test_all_memories_to_a_thousand_nats(name, own):
    agrees(name, -1000.0, **own)


@pytest.mark.slow
def test_an_absolute_eps_below_the_smallest_float():
    agrees("rmsprop", -900.0, step_size=0.2, b2=0.3, log_eps=-700.0, accept="lower", step_size_cap=None, factor=1.02)


@pytest.mark.slow
def test_momentum_runs_away_where_lref_falls_faster_than_the_memory_fades():
    """Older, larger gradients divided by a newer, smaller loss; all these steps lower the loss and are accepted."""
    last = {}
    for reference in ("previous", "memory"):
        words = (f"optimizer.reference={reference}", "stop.log_loss=-1e6", "stop.max_steps=20")
        session = prepared("optimizer=momentum", *words)
        session.start()
        session.chunk(20)
        last[reference] = float(session.log_losses()[0])
    assert last["previous"] < -1e8 and -10 < last["memory"] < 0, last


@pytest.mark.slow
def test_a_hundred_thousand_nats_are_an_ordinary_run(inside, tmp_path):
    code, _, err = inside("train", "optimizer=sign", "stop.log_loss=-100000")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs").glob("*/*")
    assert json.loads((folder / "run.json").read_text())["seeds"][0]["outcome"] == "target_reached"
    steps = pd.read_parquet(folder / "steps.parquet")
    assert steps["log_loss"].iloc[-1] <= -1e5 and steps[["log_time", "decay_rate"]].isna().all(axis=None)
    assert steps["margin"].iloc[-1] == pytest.approx(-steps["log_loss"].iloc[-1], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "muon", "rmsprop"])
def test_float32_on_images_under_ewn(inside, tmp_path, optimizer):
    words = ("experiment=digits", "norm=ewn", "precision=float32", f"optimizer={optimizer}", "stop.max_steps=40")
    step = 0.02 if optimizer == "muon" else 0.003  # of a matrix, whose entries move by less
    code, _, err = inside("train", *words, f"optimizer.step_size={step}", "stop.log_loss=-30")
    assert code == 0, err
    steps = pd.read_parquet(next((tmp_path / "outputs").glob("*/*")) / "steps.parquet")
    assert np.isfinite(steps["log_loss"]).all() and steps["log_loss"].iloc[-1] < steps["log_loss"].iloc[0] - 1
    assert steps["test_accuracy"].iloc[-1] > 0.9
