"""The command line: both spellings, sweeps and their launchers, and one clear line for every mistake."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from wnexp import lock

QUICK = ("stop.log_loss=-20",)


def folders(root):
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("run.json"))


@pytest.mark.parametrize("spelling", ["+norm=swn", "norm=swn"])
def test_both_spellings_of_a_group(inside, tmp_path, spelling):
    assert inside("train", spelling, *QUICK)[0] == 0
    assert folders(tmp_path / "outputs") == ["lin_sep/norm=swn,stop.log_loss=-20"]
    assert inside("train", "+experiment=xor", spelling, *QUICK)[0] == 0
    assert "xor/norm=swn,stop.log_loss=-20" in folders(tmp_path / "outputs")


def test_a_sweep_names_its_jobs_and_skips_what_is_finished(inside, tmp_path):
    code, out, _ = inside("train", "-m", "+norm=none,ewn", "seed=0,1", *QUICK)
    assert code == 0
    first = folders(tmp_path / "outputs")
    assert first == [f"lin_sep/norm={n},seed={s},stop.log_loss=-20" for n in ("ewn", "none") for s in (0, 1)]
    assert out.count("target_reached") >= 4 and "next: wnexp plot outputs/lin_sep" in out
    code, out, _ = inside("train", "-m", "norm=none,ewn", "seed=0,1,2", *QUICK)
    assert code == 0 and out.count("not run again") == 4
    assert set(first) < set(folders(tmp_path / "outputs"))


def test_a_sweep_and_its_single_jobs_have_the_same_names(inside, tmp_path):
    assert inside("train", "-m", "optimizer.step_size=1e-3,1e-2", "stop.max_steps=3")[0] == 0
    code, out, _ = inside("train", "optimizer.step_size=1e-3", "stop.max_steps=3")
    assert code == 0 and "not run again" in out and len(folders(tmp_path / "outputs")) == 2


def test_whole_numbers_in_exponent_notation(inside, tmp_path):
    code, out, _ = inside("train", "-m", "stop.max_steps=1e1,2e1", "model.widths=[4.0]")
    assert code == 0 and out.count("max_steps") > 2
    assert folders(tmp_path / "outputs") == [f"lin_sep/model.widths=[4],stop.max_steps={n}" for n in (10, 20)]


def test_a_failing_job_leaves_the_others(inside, tmp_path):
    np.savez(tmp_path / "good.npz", train_x=np.array([[1.0, 0.2], [-1.0, 0.1]]), train_y=np.array([1, -1]))
    code, out, err = inside("train", "-m", "data=file", "data.path=none.npz,good.npz", "model.widths=[]", *QUICK)
    assert code == 1
    assert "no such file" in err and "1 of 2 jobs failed" in out and "target_reached" in out
    assert len(folders(tmp_path / "outputs")) == 1


def test_two_sweeps_share_the_work_and_two_commands_do_not(inside, tmp_path):
    """What another process owns is left to it: a sweep has a row that says so, a single command ends with an error."""
    held = tmp_path / "outputs/lin_sep/seed=0,stop.log_loss=-20"
    with lock.hold(held):
        code, out, err = inside("train", "-m", "seed=0,1", *QUICK)
        assert code == 0 and err == "" and "running elsewhere" in out and "1 of 2 jobs are run by another" in out
        assert f"seed=0,stop.log_loss=-20: it is being run by process {os.getpid()}" in out and "left to it" in out
        assert folders(tmp_path / "outputs") == ["lin_sep/seed=1,stop.log_loss=-20"]
        code, _, err = inside("train", "seed=0", *QUICK)
        assert code == 1 and f"is being run by process {os.getpid()}" in err and len(err.splitlines()) == 1
        assert [path.name for path in held.iterdir()] == [lock.NAME]
    code, out, _ = inside("train", "-m", "seed=0,1", *QUICK)
    assert code == 0 and out.count("not run again") == 1 and len(folders(tmp_path / "outputs")) == 2
    assert not (held / lock.NAME).exists()


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers(wnexp, tmp_path, launcher):
    extra = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else ["hydra.launcher.timeout_min=5"]
    code, out, err = wnexp("train", "-m", f"hydra/launcher={launcher}", *extra, "norm=none,ewn", "seed=0,1", *QUICK)
    assert code == 0, err
    assert len(folders(tmp_path / "outputs")) == 4 and out.count("finished") >= 4
    for path in tmp_path.rglob("run.json"):
        assert json.loads(path.read_text())["status"] == "finished"
        assert len(pd.read_parquet(path.parent / "steps.parquet")) > 10


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["norm=foo"], ["norm=foo", "none", "swn", "ewn"]),
        (["+norm=foo"], ["norm=foo", "none", "swn", "ewn"]),
        (["experiment=mnits"], ["experiment=mnits", "lin_sep", "xor"]),
        (["nrom=ewn"], ["unknown key 'nrom'", "norm"]),
        (["+nrom=ewn"], ["unknown key 'nrom'", "norm"]),
        (["+foo=1"], ["unknown key 'foo'"]),
        (["optimizer.frak=3"], ["optimizer.frak", "optimizer.frac"]),
        (["+optimizer.frak=3"], ["optimizer.frak", "optimizer.frac"]),
        (["seeds=two"], ["seeds", "two"]),
        (["seeds=0"], ["seeds=0", "at least 1"]),
        (["seed=-1"], ["seed=-1"]),
        (["model.widths=[-8]"], ["model.widths", "at least 1"]),
        (["model.widths=8.5"], ["model.widths"]),
        (["data.train_per_class=-1"], ["data.train_per_class=-1"]),
        (["model.activation=tanh"], ["tanh", "linear, relu, "]),
        (["model.fixed_output=[1,2]"], ["model.fixed_output", "one weight for each"]),
        (["model.init=zeros"], ["zeros", "uniform, normal"]),
        (["stop.log_loss=5"], ["stop.log_loss=5", "already met"]),
        (["device=tpu"], ["device=tpu", "cpu"]),
        (["data=file"], ["data.path"]),
        (["data=file", "data.path=nowhere.npz"], ["nowhere.npz", "no such file"]),
        (["model.initial_weights=nowhere.safetensors"], ["nowhere.safetensors", "not a readable weights file"]),
        (["model=diagonal", "data=digits"], ["diagonal", "mlp"]),
        (["model=diagonal", "model.starts=[[1,2,3]]"], ["model.starts", "lists of 2 numbers"]),
        (["norm=[ewn"], ["norm=[ewn"]),
        (["stop.log_loss"], ["'stop.log_loss' is no setting", "KEY=VALUE"]),
        (["norm=none,ewn"], ["norm=none,ewn has several values", "-m"]),
        (["norm="], ["norm= is unknown", "ewn, none, swn"]),
        (["optimizer.batch_size=4"], ["optimizer.batch_size is no setting of the options chosen"]),
        (["model.widths=8"], ["model.widths", "list"]),
        (["model.widths=[1000000000000]"], ["model.widths", "2^31"]),
        (["stop.max_steps=99999999999999999999"], ["stop.max_steps"]),
        (["seed=4294967295", "seeds=2"], ["below 2^32"]),
        (["stop=3", "stop.max_steps=20"], ["stop=3", "stop.log_loss, stop.max_steps"]),
        (["model=[a]"], ["model=[a]", "mlp"]),
        (["model.widths=null"], ["model.widths: null is not allowed"]),
        (["hydra/launcher=foo"], ["hydra/launcher=foo is unknown", "joblib"]),
        (["outputs=[a]"], ["outputs=['a'] is no folder"]),
        (["model.widths=[999999999]"], ["a run of this size", "GiB of memory"]),
        (["seeds=1000000", "model.widths=[1000]"], ["a run of this size", "GiB of memory"]),
        (["data=gaussian", "data.train_per_class=2000000000", "data.inputs=1000"], ["the data set", "GiB of memory"]),
        (["outputs="], ["outputs=", "no folder"]),
        (["outputs=null"], ["outputs=null", "no folder"]),
        (["-m", "outputs=''", "seed=1,2"], ["outputs=", "no folder"]),
    ],
)
def test_bad_input_is_one_clear_line(inside, tmp_path, words, parts):
    code, _, err = inside("train", *words)
    assert code == 1 and "Traceback" not in err
    assert all(part in err for part in parts), err
    assert err.startswith("wnexp: error") and len(err.strip().splitlines()) <= 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is left behind"


def test_bad_input_needs_no_cleaning_up(inside):
    """After a refused command the right one runs in the same folder."""
    assert inside("train", "norm=ewn", "stop.log_loss=5")[0] == 1
    code, _, err = inside("train", "norm=ewn", "stop.log_loss=-20", "hydra.run.dir='outputs/lin_sep/norm=ewn'")
    assert code == 0, err


def test_a_batch_larger_than_the_data_is_said(inside):
    code, out, _ = inside("train", "optimizer=sgd", "optimizer.batch_size=99", "stop.max_steps=3")
    assert code == 0 and "batch_size=99 is more than the 4 training samples" in out


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ([], 2, "usage: wnexp"),
        (["--help"], 0, "wnexp train +norm=ewn"),
        (["--version"], 0, "wnexp 0."),
        (["train", "--foo"], 2, "unrecognized arguments: --foo"),
        (["trian"], 2, "unknown command 'trian'; known: train, plot, prune, verify, runs"),
        (["plot", "--foo"], 2, "unknown option '--foo'"),
        (["plot", "--to"], 2, "--to needs a directory"),
        (["plot"], 1, "no runs under outputs"),
        (["plot", "nowhere"], 1, "nowhere: no such run"),
        (["runs", "nowhere"], 1, "no runs at or under nowhere"),
        (["runs", "a", "b"], 2, "unknown arguments"),
    ],
)
def test_usage_and_exit_codes(inside, words, code, part):
    got, out, err = inside(*words)
    assert got == code and part in out + err


def test_plot_on_a_folder_without_runs(inside, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = inside("plot", "empty")
    assert code == 1 and "empty holds no run" in err


def test_train_help_lists_groups_and_settings(inside):
    code, out, _ = inside("train", "--help")
    assert code == 0
    assert all(word in out for word in ("norm: ewn, none, swn", "experiment:", "step_size", "log_loss: -300"))


def test_not_a_terminal_means_plain_lines(wnexp):
    code, out, err = wnexp("train", *QUICK)
    assert code == 0 and err == "" and "\x1b" not in out and "\r" not in out


def test_runs_lists_what_has_been_run(inside):
    assert inside("train", "norm=ewn", *QUICK)[0] == 0
    code, out, _ = inside("runs")
    assert code == 0 and "norm=ewn,stop.log_loss=-20" in out and "finished" in out and "target_reached" in out
