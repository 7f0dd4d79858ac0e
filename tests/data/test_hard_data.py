"""Data and weights that leave gradient descent nothing to do, or too much: a right answer or a named outcome."""

import resource

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.helpers import compose
from tests.invariants import check_run
from wnexp import runner

POINTS = np.array([[1.0, 0.5], [0.5, 1.0]])
ALIVE = {"layers.0.weight": np.array([[1.0, -0.25], [0.5, 1.0]]), "layers.1.weight": np.array([[0.75], [-0.5]])}
DEAD = ALIVE | {"layers.0.weight": -np.ones((2, 2))}
LARGE = {"layers.0.weight": np.full((2, 2), 1e150), "layers.1.weight": np.full((2, 1), 1e150)}
WRONG = LARGE | {"layers.1.weight": -LARGE["layers.1.weight"]}
# Squares of these weights are no numbers, the margins are.
LARGER = {"layers.0.weight": np.full((2, 2), 1e200), "layers.1.weight": np.full((2, 1), 1e100)}
# Cases of one rule differ in numbers alone and share its program.
RULES = {"gd": ("optimizer=gd", "norm=ewn"), "flow": ("optimizer=flow", "norm=none", "loss=exponential")}
STUCK = "step_underflow"
# Inputs, labels, weights, target, and how each rule ends.
CASES = {
    "dead": (POINTS, [-1, 1], DEAD, -9, (STUCK, STUCK)),
    "zeros": (0 * POINTS, [-1, 1], ALIVE, -9, (STUCK, STUCK)),
    "opposed": (POINTS[[0, 0]], [-1, 1], ALIVE, -9, ("max_steps", STUCK)),
    "one_class": (POINTS, [1, 1], ALIVE, -9, ("target_reached", "target_reached")),
    "tiny_inputs": (1e-300 * POINTS, [1, 1], ALIVE, -9, (STUCK, STUCK)),
    "huge_inputs": (1e153 * POINTS, [-1, 1], ALIVE, -9, (STUCK, STUCK)),
    "tiny_margins": (POINTS, [1, 1], {key: 1e-150 * w for key, w in ALIVE.items()}, -9, (STUCK, STUCK)),
    "huge_margins": (POINTS, [1, 1], LARGE, -1e302, (STUCK, STUCK)),
    "huge_wrong": (POINTS, [1, 1], WRONG, -9, (STUCK, STUCK)),
    "huge_weights": (POINTS, [1, 1], LARGER, -1e302, ("non_finite", STUCK)),
}
# What the last record says, by arithmetic: the loss of margins 0, log 2 at the optimum, q / ||w||^2.
VALUES = {
    ("zeros", "flow"): ("log_loss", np.log(2)),
    ("tiny_inputs", "flow"): ("log_loss", np.log(2)),
    ("opposed", "gd"): ("log_loss", np.log(2 * np.log(2))),
    ("opposed", "flow"): ("log_loss", np.log(2)),
    ("huge_margins", "flow"): ("normalized_margin", 3 / 6),
    ("huge_wrong", "flow"): ("normalized_margin", -3 / 6),
    ("huge_weights", "flow"): ("normalized_margin", 3e300 / 4e200 / 1e200),
}


def train(folder, x, y, *words):
    np.savez(folder / "d.npz", train_x=x, train_y=y)
    runner.run_in(folder / "run", compose("data=file", f"data.path={folder}/d.npz", *words))
    status, steps = check_run(folder / "run", sampled=len(x) <= 128)
    return status["seeds"][0]["outcome"], steps[0].slice(len(steps[0]) - 1).to_pylist()[0]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", CASES)
def test_hard_data(tmp_path, rule, case):
    x, y, weights, target, outcomes = CASES[case]
    save_file(weights, tmp_path / "w.safetensors")
    words = [f"model.initial_weights={tmp_path}/w.safetensors", "model.widths=[2]", "model.activation=relu"]
    words += [*RULES[rule], f"stop.log_loss={target}", "stop.max_steps=2000"]
    outcome, last = train(tmp_path, x, y, *words)
    assert outcome == dict(zip(RULES, outcomes, strict=True))[rule]
    if (case, rule) in VALUES:
        key, value = VALUES[case, rule]
        assert last[key] == pytest.approx(value, rel=1e-2 if rule == "gd" else 1e-6)


@pytest.mark.slow
def test_a_million_samples(tmp_path):
    x = np.random.default_rng(0).normal(size=(10**6, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, last = train(tmp_path, x, np.where(x[:, 0] > 0, 1, -1), "model.widths=[]", "stop.max_steps=2")
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB, of which the inputs are 8,000
    assert outcome == "max_steps" and last["train_accuracy"] == 1 and taken < 500_000
