"""The family between SWN and EWN: training at its ends, and the limit that it has at P = 2."""

import numpy as np
import pandas as pd
import pytest

from tests.optim.group_margin import share
from wnexp import runner
from wnexp.runner import reopen

NETWORK = ("data=gaussian", "data.inputs=4", "data.train_per_class=6", "model.widths=[6]", "record.max_gradient=0")


def trained(folder, *words):
    """The steps of a run."""
    return pd.read_parquet(runner.train((*NETWORK, *words), folder).directory / "steps.parquet")


@pytest.mark.slow
@pytest.mark.parametrize(("power", "norm"), [("1", "swn"), ("1e9", "ewn"), ("inf", "ewn")])
@pytest.mark.parametrize(
    "words",
    [
        ("optimizer=gd_constant", "optimizer.step_size=0.05", "stop.max_steps=1000"),
        ("optimizer=flow", "stop.log_loss=-1000", "record.every=1"),
    ],
)
def test_the_ends_train_as_swn_and_ewn(tmp_path, power, norm, words):
    """The log loss at every step of 1,000; of a flow to -1,000 nats norm and margin at equal loss."""
    found = trained(tmp_path / "power", "norm=power", f"norm.power={power}", *words)
    want = trained(tmp_path / "end", f"norm={norm}", *words)
    if words[0] != "optimizer=flow":
        assert len(want) > 100 and found["step"].equals(want["step"]) and want["log_loss"].iloc[-1] < -3
        np.testing.assert_allclose(found["log_loss"], want["log_loss"], rtol=1e-6)
        return
    depth = -want["log_loss"]
    for column in ("weight_norm", "normalized_margin"):
        there = np.interp(depth[depth > 1], -found["log_loss"], found[column])
        np.testing.assert_allclose(there, want[column][depth > 1], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["norm=swn", "norm=power", "norm=ewn"])
def test_a_linear_model_of_several_classes_tends_to_the_margin_of_its_own_power(tmp_path, norm):
    """SWN to the largest in the sum of squares, P = 2 to the group lasso's, and neither to the other's; EWN to none."""
    words = ("model.activation=linear", "model.depth=1", "data.classes=3", "optimizer=flow", "loss=cross_entropy")
    run = runner.train((*NETWORK, *words, norm, "model.init=normal", "stop.log_loss=-10000"), tmp_path)
    data, (weights,) = reopen(run).dataset, run.weights(0, "final").values()
    shares = [share(weights, data.train_x, data.train_y, power) for power in (1, 2)]
    own = {"norm=swn": [True, False], "norm=power": [False, True], "norm=ewn": [False, False]}[norm]
    assert [share > 0.9995 for share in shares] == own and max(shares) < 1 + 1e-6 and min(shares) < 0.97
