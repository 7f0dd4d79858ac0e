"""One set of small runs whose records every figure can be drawn from."""

import contextlib

import numpy as np
import pytest

from tests.helpers import LIN_SEP
from wnexp import pruning, runner
from wnexp.figures.series import load_series
from wnexp.nn.weightnorm import NORMS, ExponentialWeightNorm
from wnexp.runs.reader import Run

THREE = ("data=file", "data.path=three.npz", "model.activation=relu", "model.widths=[40]", "norm=none")
RUNS = {
    "lin_sep/none": ("norm=none", *LIN_SEP),
    "lin_sep/ewn": ("norm=ewn", *LIN_SEP),
    "lin_sep/more": ("norm=ewn", *LIN_SEP, "seed=2"),
    "others/none": ("norm=none", *LIN_SEP, "optimizer.step_size=0.005"),
    "others/ewn": ("norm=ewn", *LIN_SEP, "optimizer.step_size=0.005"),
    "others/expo": ("norm=expo", *LIN_SEP),  # EWN by another name
    "simple_traj/none": ("experiment=simple_traj", "norm=none", "stop.log_loss=-10"),
    "three/none": (*THREE, "stop.log_loss=-3", "record.max_gradient=0", "record.max_samples=0"),
}


def three_classes():
    """Two points of each of three classes, around a circle, and one more of each to test on."""
    angles = np.deg2rad([90, 210, 330])
    near, far = (radius * np.stack([np.cos(angles), np.sin(angles)], axis=1) for radius in (1.0, 1.5))
    return {"train_x": np.concatenate([near, far]), "train_y": [0, 1, 2] * 2, "test_x": 1.2 * near, "test_y": [0, 1, 2]}


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The folder `outputs` of `RUNS`; those of `lin_sep` but `more` have been pruned."""
    folder = tmp_path_factory.mktemp("figures")
    np.savez(folder / "three.npz", **three_classes())
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setitem(NORMS, "expo", ExponentialWeightNorm())
        for name, words in RUNS.items():
            runner.train(words, folder / "outputs" / name)
        for name in ("none", "ewn"):
            pruning.prune(Run(folder / "outputs/lin_sep" / name), [0, 50])
    return folder / "outputs"


@pytest.fixture(scope="session")
def series(runs):
    """`series("lin_sep/none", "lin_sep/ewn")`: the series of these runs."""

    def load(*names):
        return load_series([runs / name for name in names])

    return load


@pytest.fixture(scope="session")
def frame(runs):
    """`frame("lin_sep/none", "steps")`: a table of a run, read past `Series`."""

    def read(name, table):
        return Run(runs / name).frame(table)

    return read
