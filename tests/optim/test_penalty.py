"""Penalty and decay: what is minimized, and where its minimum goes as the penalty goes to 0."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from tests.optim.group_margin import share
from wnexp import runner
from wnexp.runner import reopen
from wnexp.theory.largest_margin import largest_margin

LINEAR = ("data=gaussian", "data.inputs=3", "data.train_per_class=5", "model.activation=linear", "model.depth=1")
DESCENT = ("optimizer=gd", "optimizer.reference=present", "optimizer.frac=0", "optimizer.step_size_cap=null")


def trained(folder, *words):
    """The run, its data and the final weights of its layers."""
    run = runner.train((*LINEAR, *DESCENT, "stop.max_steps=100000", *words), folder)
    return run, reopen(run).dataset, run.weights(0, "final")


@pytest.mark.parametrize(
    "words", [("norm=none",), ("norm=swn", "loss.reduction=mean"), ("norm=swn", "loss.penalty=parameters")]
)
def test_the_minimum_of_loss_and_penalty(tmp_path, words):
    """Against scipy's, of the logistic loss; a normalization changes the path, not the minimum."""
    run, data, weights = trained(tmp_path, "loss.log_penalty=-3", *words)
    scale = 1 / len(data.train_x) if "loss.reduction=mean" in words else 1

    def objective(w):
        return scale * np.logaddexp(0, -data.train_y * (data.train_x @ w)).sum() + np.exp(-3) * (w @ w)

    best = minimize(objective, np.zeros(3), tol=1e-12)
    np.testing.assert_allclose(weights["layers.0.weight"][:, 0], best.x, rtol=1e-4)
    steps = pd.read_parquet(run.directory / "steps.parquet")
    assert steps["log_loss"].iloc[-1] == pytest.approx(np.log(best.fun), abs=1e-8)
    assert steps["log_loss"].iloc[-1] > steps["log_loss"].min() - 1e-12


def test_a_target_below_the_penalty_is_said_to_be_out_of_reach(inside, tmp_path):
    code, out, _ = inside("train", *LINEAR, "loss.log_penalty=-3", "stop.max_steps=50")
    assert code == 0 and "loss.log_penalty=-3" in out and "out of reach" in out


@pytest.mark.slow
def test_the_regularization_path_ends_at_the_largest_margin(tmp_path):
    """The gap falls as `1/log(1/lambda)`, to a penalty of e^-1000 (Rosset, Zhu, Hastie, NIPS 2003)."""
    gaps = []
    for penalty in (-100, -300, -1000):
        words = ("loss=exponential", f"loss.log_penalty={penalty}", "stop.log_loss=-10000")
        _, data, weights = trained(tmp_path / str(penalty), *words)
        w = weights["layers.0.weight"][:, 0]
        margin = (data.train_y * (data.train_x @ w)).min() / np.linalg.norm(w)
        gaps.append(1 - margin / largest_margin(data.train_x, data.train_y, 1, "l2").margin)
    products = np.array(gaps) * [100, 300, 1000]
    assert 0 < gaps[2] < gaps[1] < gaps[0] < 0.2 and products.max() < 1.5 * products.min(), gaps


@pytest.mark.slow
def test_a_penalty_on_parameters_ends_at_the_margin_of_the_norm_s_own_power(tmp_path):
    """Of P = 2 on the group lasso's, where one on the weights ends at the largest in their own norm."""
    gaps = {}
    for penalty in ("weights", "parameters"):
        words = ("data.classes=3", "data.inputs=4", "data.train_per_class=6", "model.init=normal", "norm=power")
        words += ("loss=exponential", f"loss.penalty={penalty}", "loss.log_penalty=-100", "stop.log_loss=-10000")
        _, data, weights = trained(tmp_path / penalty, *words, "stop.max_steps=200000")
        shares = [share(weights["layers.0.weight"], data.train_x, data.train_y, power) for power in (1, 2)]
        gaps[penalty] = 1 - np.array(shares)
    assert (gaps["weights"] < [0.01, 1]).all() and gaps["weights"][1] > 0.03, gaps
    assert (gaps["parameters"] < [1, 0.01]).all() and gaps["parameters"][0] > 0.03, gaps


def test_epochs_of_one_batch_decay_as_full_batches_do_and_have_no_time(tmp_path):
    words = ("norm=ewn", "stop.max_steps=40", "optimizer.frac=1", "optimizer.step_size_cap=null")
    ends = []
    for name, own in (("gd", ()), ("sgd", ("optimizer.batch_size=100",))):
        decayed = (*LINEAR, f"optimizer={name}", "optimizer.weight_decay=0.2", *words, *own)
        run = runner.train(decayed, tmp_path / name)
        steps = pd.read_parquet(run.directory / "steps.parquet")
        assert steps["log_time"].iloc[1:].isna().all() and steps["decay_rate"].isna().all()
        ends.append(steps.set_index("step")["log_loss"])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-12)
    free = runner.train((*LINEAR, "optimizer=gd", *words), tmp_path / "free")
    assert pd.read_parquet(free.directory / "steps.parquet")["log_loss"].iloc[-1] < ends[0].iloc[-1] - 0.01
