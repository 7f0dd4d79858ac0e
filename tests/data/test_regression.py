"""Real labels: what they are accepted for and what not, the sparse regression, and which solutions training finds."""

import dataclasses

import cvxpy
import numpy as np
import pandas as pd
import pytest

from wnexp import runner
from wnexp.data import DATA_SETS
from wnexp.data.dataset import Dataset
from wnexp.data.regression import SparseRegression
from wnexp.errors import UserError
from wnexp.runner import reopen

X, Y = np.arange(12.0).reshape(4, 3), np.array([0.5, -1.0, 3.25, 0.0])


def load(folder, **settings):
    np.savez(folder / "d.npz", train_x=X, train_y=Y, test_x=X[:2], test_y=Y[:2, None])
    return dataclasses.replace(DATA_SETS["file"], path=f"{folder}/d.npz", **settings).load()


def test_real_labels_stay_as_they_are(tmp_path):
    data = load(tmp_path, labels="real")
    assert data.real and data.outputs == 1 and data.train_y.tolist() == Y.tolist() and data.test_y.tolist() == [0.5, -1]
    part = load(tmp_path, labels="real", train_samples=2)
    assert len(part.train_y) == 2 and set(part.train_y) <= set(Y)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "labels that are not integers.*data.labels=real"),
        ({"labels": "real", "classes": [0, 1]}, "data.labels=real has none"),
    ],
)
def test_real_labels_are_refused_as_classes(tmp_path, settings, line):
    with pytest.raises(UserError, match=line):
        load(tmp_path, **settings)
    with pytest.raises(UserError, match="labels that are not finite"):
        Dataset(X, np.array([0.5, np.nan, 1, 2]), X[:0], Y[:0], real=True)


def test_a_margin_loss_of_real_labels_is_refused(inside, tmp_path):
    load(tmp_path, labels="real")
    code, _, err = inside("train", "data=file", "data.path=d.npz", "data.labels=real", "loss=exponential")
    assert code == 1 and "loss=exponential is of margins" in err and "allowed: loss=squared" in err


def test_what_is_of_margins_is_left_out_of_a_squared_loss_and_said(inside, tmp_path):
    load(tmp_path, labels="real")
    words = ("loss=squared", "stop.max_steps=20", "record.geometry_every=1", "snapshots=[10]")
    code, out, err = inside("train", "data=file", "data.path=d.npz", "data.labels=real", *words)
    assert code == 0 and "no function of margins" in out, err
    assert "weight norm" in out and "log test loss" in out and "accuracy" not in out and "normalized margin" not in out
    (directory,) = (tmp_path / "outputs").glob("*/*")
    steps = pd.read_parquet(directory / "steps.parquet")
    missing = {name for name in steps if steps[name].isna().all()}
    of_margins = {"margin", "normalized_margin", "layer_margin", "smoothed_margin", "kkt_epsilon", "kkt_delta"}
    assert of_margins | {"train_accuracy", "test_accuracy"} <= missing
    assert not missing & {"log_loss", "log_test_loss", "weight_norm", "alignment"}
    assert pd.read_parquet(directory / "samples.parquet")["margin"].isna().all()
    assert pd.read_parquet(directory / "geometry.parquet")["normalized_margin"].isna().all()
    code, _, err = inside("prune", directory)
    assert code == 1 and "real numbers" in err


def test_the_labels_are_sums_of_few_inputs():
    """Found again from many samples; mirrored inputs come with both signs; the same seed is the same data."""
    source = SparseRegression(inputs=12, train_samples=30, test_samples=5, nonzero=2, group=3, mirrored=True)
    data = source.load()
    np.testing.assert_array_equal(data.train_x[:, :12], -data.train_x[:, 12:])
    weights = np.linalg.lstsq(data.train_x[:, :12], data.train_y, rcond=None)[0].reshape(4, 3)
    np.testing.assert_allclose(np.sort(np.abs(weights).min(axis=1)), [0, 0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(np.abs(weights).max(), 1)
    np.testing.assert_allclose(data.test_x[:, :12] @ weights.ravel(), data.test_y, rtol=1e-10)
    np.testing.assert_array_equal(source.load().train_y, data.train_y)
    noisy = dataclasses.replace(source, noise=0.5).load()
    assert 0.2 < np.std(noisy.train_y - data.train_y) < 0.8 and (noisy.test_y == data.test_y).all()
    with pytest.raises(UserError, match="must divide the inputs"):
        dataclasses.replace(source, group=5).load()


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "power"])
def test_small_starts_find_the_least_norm_and_at_p_2_the_least_sum(tmp_path, norm):
    """Without normalization the pseudo-inverse, at P = 2 basis pursuit, which is the sparse truth."""
    words = ("+experiment=sparse_regression", "data.inputs=40", "data.train_samples=25", "data.nonzero=2", "seeds=1")
    run = runner.train((*words, f"norm={norm}", "model.init_scale=1e-10", "stop.max_steps=40000"), tmp_path)
    data = reopen(run).dataset
    both = run.weights(0, "final")["layers.0.weight"][0]
    found, x = both[:40] - both[40:], data.train_x[:, :40]
    want = cvxpy.Variable(40)
    if norm == "none":
        least = np.linalg.pinv(x) @ data.train_y
    else:
        cvxpy.Problem(cvxpy.Minimize(cvxpy.norm1(want)), [x @ want == data.train_y]).solve(solver=cvxpy.CLARABEL)
        least = want.value
        assert (np.abs(least) > 0.01).sum() == 2
    np.testing.assert_allclose(found, least, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("v_norm", [1.0, 0.3])
def test_what_no_label_asks_for_fades_with_the_length_of_v(tmp_path, v_norm):
    """Under SWN of the whole vector: `|w_perp| / |w| = exp(-(|w|^2 - |w_0|^2) / (2 v_norm^2))` of what it was at first.

    From `gamma' = -vhat.G` and `vhat_perp' = (gamma / v_norm^2) (vhat.G) vhat_perp`, for `G` in the span of the inputs.
    """
    words = ("data=sparse_regression", "data.inputs=6", "data.train_samples=3", "data.nonzero=2", "model=diagonal")
    words += ("loss=squared", "norm=swn", "norm.per=layer", f"norm.v_norm={v_norm}", "optimizer=flow")
    run = runner.train((*words, "model.init_scale=0.1", "stop.log_loss=-30"), tmp_path)
    x = reopen(run).dataset.train_x
    beside = np.eye(6) - np.linalg.pinv(x) @ x
    first, last = (run.weights(0, name)["layers.0.weight"][0] for name in ("initial", "final"))
    shares = [np.linalg.norm(beside @ w) / np.linalg.norm(w) for w in (first, last)]
    faded = np.exp(-(last @ last - first @ first) / (2 * v_norm**2))
    assert faded < 0.9 and shares[1] == pytest.approx(shares[0] * faded, rel=1e-5)
