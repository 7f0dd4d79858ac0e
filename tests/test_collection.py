"""The Python door: training, sweeping and drawing leave the user's session as it was."""

import logging
import os
import signal
import sys
import warnings

import jax
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import wnexp
from tests.helpers import LIN_SEP
from wnexp.errors import UserError

QUICK = ("stop.log_loss=-5", "model.widths=[]")


def test_nothing_of_the_users_session_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jax.config.update("jax_enable_x64", False)
    mpl.rcParams["lines.linewidth"] = 7.25

    def session():
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        levels = [logging.getLogger(name).level for name in ("", "matplotlib", "fontTools", "jax")]
        values = {name: value for name, value in jax.config.values.items() if name != "jax_num_cpu_devices"}
        return dict(mpl.rcParams), values, list(sys.argv), handlers, levels, dict(os.environ), warnings.filters[:]

    try:
        before = session()
        run = wnexp.train(*QUICK, "norm=ewn")
        assert isinstance(run.plot("margin"), Figure)
        assert session() == before
    finally:
        mpl.rcdefaults()
        jax.config.update("jax_enable_x64", True)


def test_a_sweep_is_the_runs_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = wnexp.sweep(*QUICK, "norm=none,ewn", "seed=range(2)")
    assert [(run.config["norm.name"], run.seeds) for run in runs] == [
        ("none", [0]),
        ("none", [1]),
        ("ewn", [0]),
        ("ewn", [1]),
    ]
    assert [run.directory.name for run in wnexp.load("lin_sep", where="seed=1")] == [
        f"model.widths=none,norm={norm},seed=1,stop.log_loss=-5" for norm in ("ewn", "none")
    ]


def test_a_job_that_fails_keeps_no_other_from_running(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="1 of 2 jobs failed, the others are done") as caught:
        wnexp.sweep(*QUICK, "optimizer.step_size=-1,0.01")
    assert "optimizer.step_size=-1" in str(caught.value) and len(wnexp.load("lin_sep")) == 1


def test_arrays_are_trained_on_and_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(12, 3))
    y = np.where(x @ [1, 2, 3] > 0, 1, -1)
    run = wnexp.train(*QUICK, data=(x, y))
    np.savez(tmp_path / "same.npz", train_x=x, train_y=y)
    other = wnexp.train(*QUICK, "data=file", "data.path=same.npz")
    assert run.frame("steps").equals(other.frame("steps")) and run.directory != other.directory
    again = wnexp.train(*QUICK, data=(x.tolist(), y.tolist()))
    assert again.directory == run.directory and len(list((tmp_path / "outputs/arrays").iterdir())) == 1
    assert wnexp.train(*QUICK, data=(x, -y)).directory != run.directory
    tested = wnexp.train(*QUICK, data=(x, y, x, y)).frame("steps").iloc[-1]
    assert tested["test_accuracy"] == tested["train_accuracy"]
    for bad in ((x,), (x, y, x), ([[1], [1, 2]], [0, 1])):
        with pytest.raises((UserError, ValueError)):
            wnexp.train(*QUICK, data=bad)


@pytest.mark.parametrize("words", [("data=iris",), ("data.path=d.csv",)])
def test_arrays_and_other_data_are_not_mixed(tmp_path, words):
    with pytest.raises(UserError, match=r"both say what to train on; give one"):
        wnexp.train(*words, f"outputs={tmp_path}", data=([[1.0], [2.0]], [1, -1]))


def test_labels_that_are_words_of_a_pandas_column(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0, -1.0, -2.0], "y": ["up", "up", "down", "down"]})
    for labels in (frame["y"], frame["y"].to_numpy(object), list(frame["y"])):
        run = wnexp.train(*QUICK, f"outputs={tmp_path}", data=(frame[["x"]], labels))
        assert run.status.labels == {"down": -1, "up": 1}
    assert len(list((tmp_path / "arrays").iterdir())) <= 2


def test_what_cannot_be_drawn_or_looked_up_is_said(tmp_path):
    run = wnexp.train(*LIN_SEP, f"outputs={tmp_path}")
    runs = wnexp.load(run.directory)
    assert list(runs.at(-1000)[["seed", "log_loss"]].columns) == ["seed", "log_loss"]
    assert isinstance(runs.plot("loss", where="seed=1"), Figure)
    assert isinstance(runs.plot("final", x="norm", y="step"), Figure)
    for call, message in (
        (lambda: runs.plot("loss", x="bogus"), "of curves step, log_time, log_loss"),
        (lambda: runs.plot("loss", width=-1), "inches from 1 to 100"),
        (lambda: runs.plot("loss", facet_by="seed"), "one series may have several values of it"),
        (lambda: runs[:0].plot("loss"), "no runs to draw"),
        (lambda: runs.at(-1, "plane"), "without seeds and steps"),
        (lambda: wnexp.sweep("norm=glob(*)x"), "norm=glob"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_figures_by_name_and_by_column(tmp_path):
    run = wnexp.train(*LIN_SEP, f"outputs={tmp_path}")
    figure = run.plot("weight_norm", x="log_loss", width=3.25)
    assert figure.get_figwidth() == 3.25 and [panel.get_ylabel() for panel in figure.axes] == ["weight norm"]
    with pytest.raises(UserError, match="figure=margn is unknown"):
        run.plot("margn")
    with pytest.raises(UserError, match="do not hold what the figure sharpness shows"):
        run.plot("sharpness")
