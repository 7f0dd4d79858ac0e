"""The command line: both spellings, sweeps and their launchers, and one clear line for every mistake."""

import gc
import json
import os

import numpy as np
import pandas as pd
import pytest

from wnexp.runs import lock

QUICK = ("stop.log_loss=-20",)


def folders(root):
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("run.json"))


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["+norm=swn", "norm=swn"])
def test_both_spellings_of_a_group(inside, tmp_path, spelling):
    assert inside("train", spelling, *QUICK)[0] == 0
    assert folders(tmp_path / "outputs") == ["lin_sep/norm=swn,stop.log_loss=-20"]


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["+norm=swn", "norm=swn"])
def test_both_spellings_beside_an_experiment(inside, tmp_path, spelling):
    assert inside("train", "+experiment=xor", spelling, *QUICK)[0] == 0
    assert folders(tmp_path / "outputs") == ["xor/norm=swn,stop.log_loss=-20"]


@pytest.mark.slow
def test_a_sweep_names_its_jobs_and_skips_what_is_finished(inside, tmp_path):
    code, out, _ = inside("train", "-m", "+norm=none,swn", "seed=0,1", *QUICK)
    assert code == 0
    first = folders(tmp_path / "outputs")
    seeds = ("seed=1,", "")
    assert first == [f"lin_sep/norm={norm},{seed}stop.log_loss=-20" for norm in ("none", "swn") for seed in seeds]
    assert out.count("target_reached") >= 4 and "next: wnexp plot outputs/lin_sep" in out
    code, out, _ = inside("train", "-m", "norm=none,swn", "seed=0,1,2", *QUICK)
    assert code == 0 and out.count("not run again") == 4
    assert set(first) < set(folders(tmp_path / "outputs"))


@pytest.mark.slow
def test_a_sweep_and_its_single_jobs_have_the_same_names(inside, tmp_path):
    assert inside("train", "-m", "optimizer.step_size=1e-3,1e-2", "stop.max_steps=3")[0] == 0
    code, out, _ = inside("train", "optimizer.step_size=1e-3", "stop.max_steps=3")
    assert code == 0 and "not run again" in out and len(folders(tmp_path / "outputs")) == 2


@pytest.mark.slow
def test_a_setting_of_the_options_swept_over_that_the_default_has_not(inside, tmp_path):
    code, out, err = inside("train", "-m", "optimizer=adam,lion,sign", "optimizer.b2=0.9,0.8", "stop.max_steps=3")
    assert code == 1 and "4 of 6" not in out and out.count("max_steps") > 3
    assert err.count("optimizer.b2 is not a setting of the optimizer chosen") == 2 and "2 of 6 jobs failed" in out
    named = [f"optimizer.b2={b2},optimizer={rule}" for b2 in (0.8, 0.9) for rule in ("adam", "lion")]
    assert folders(tmp_path / "outputs") == [f"lin_sep/norm=none,{own},stop.max_steps=3" for own in named]
    code, _, err = inside("train", "-m", "optimizer=adam,lion", "optimizer.b22=0.9")
    assert code == 1 and "unknown key 'optimizer.b22'" in err


@pytest.mark.slow
def test_whole_numbers_in_exponent_notation(inside, tmp_path):
    code, out, _ = inside("train", "-m", "stop.max_steps=1e1,2e1", "model.widths=[8.0]")
    assert code == 0 and out.count("max_steps") > 2
    assert folders(tmp_path / "outputs") == [f"lin_sep/norm=none,stop.max_steps={n}" for n in (10, 20)]


def test_a_failing_job_leaves_the_others(inside, tmp_path):
    np.savez(tmp_path / "good.npz", train_x=np.array([[1.0, 0.2], [-1.0, 0.1]]), train_y=np.array([1, -1]))
    code, out, err = inside("train", "-m", "data=file", "data.path=none.npz,good.npz", "model.widths=[]", *QUICK)
    assert code == 1
    assert "no such file" in err and "1 of 2 jobs failed" in out and "target_reached" in out
    assert len(folders(tmp_path / "outputs")) == 1


def test_two_sweeps_share_the_work_and_two_commands_do_not(inside, tmp_path):
    """What another process owns is left to it: a sweep has a row that says so, a single command ends with an error."""
    held = tmp_path / "outputs/lin_sep/norm=none,stop.log_loss=-20"
    with lock.hold(held):
        code, out, err = inside("train", "-m", "seed=0,1", *QUICK)
        assert code == 0 and err == "" and "running elsewhere" in out and "1 of 2 jobs are run by another" in out
        assert f"norm=none,stop.log_loss=-20: it is being run by process {os.getpid()}" in out and "left to it" in out
        assert folders(tmp_path / "outputs") == ["lin_sep/norm=none,seed=1,stop.log_loss=-20"]
        code, _, err = inside("train", "seed=0", *QUICK)
        assert code == 1 and f"is being run by process {os.getpid()}" in err and len(err.splitlines()) == 1
        assert [path.name for path in held.iterdir()] == [lock.NAME]
    code, out, _ = inside("train", "-m", "seed=0,1", *QUICK)
    assert code == 0 and out.count("not run again") == 1 and len(folders(tmp_path / "outputs")) == 2
    assert not (held / lock.NAME).exists()


@pytest.mark.slow
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
        (["+norm=foo"], ["norm=foo", "none", "swn", "ewn"]),
        (["+nrom=ewn"], ["unknown key 'nrom'", "norm"]),
        (["seeds=0"], ["seeds=0", "an integer from 1 to 1,000,000"]),
        (["norm=none,ewn"], ["norm=none,ewn has several values", "-m"]),
        (["data=file", "data.path=nowhere.npz"], ["nowhere.npz", "no such file"]),
        (["stop.log_loss=5"], ["stop.log_loss=5", "already met"]),
        (["hydra/launcher=foo"], ["hydra/launcher=foo is unknown", "joblib"]),
        (["outputs=[a]"], ["outputs=['a'] is not a folder"]),
        (["outputs="], ["outputs=", "not a folder"]),
        (["outputs=null"], ["outputs=null", "not a folder"]),
        (["-m", "outputs=''", "seed=1,2"], ["outputs=", "not a folder"]),
    ],
)
def test_bad_input_is_one_clear_line(inside, tmp_path, words, parts):
    """A few of each kind; the others are in tests/config/test_refusals.py."""
    code, _, err = inside("train", *words)
    assert code == 1 and "Traceback" not in err
    assert all(part in err for part in parts), err
    assert err.startswith("wnexp: error") and len(err.strip().splitlines()) <= 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is left behind"


def test_bad_input_in_a_process_of_its_own(wnexp, tmp_path):
    code, out, err = wnexp("train", "norm=foo")
    assert (code, out) == (1, "") and err == "wnexp: error: norm=foo is unknown; allowed: ewn, none, power, swn\n"
    assert not list(tmp_path.rglob("*"))


@pytest.mark.slow
def test_bad_input_needs_no_cleaning_up(inside):
    """After a refused command the right one runs in the same folder."""
    assert inside("train", "norm=ewn", "stop.log_loss=5")[0] == 1
    code, _, err = inside("train", "norm=ewn", "stop.log_loss=-20", "hydra.run.dir='outputs/lin_sep/norm=ewn'")
    assert code == 0, err


@pytest.mark.slow
def test_not_a_terminal_means_plain_lines(wnexp):
    code, out, err = wnexp("train", *QUICK)
    assert code == 0 and err == "" and "\x1b" not in out and "\r" not in out


@pytest.mark.slow
def test_garbage_is_collected_while_a_job_trains_and_afterwards(inside, monkeypatch):
    from wnexp import runner

    trains, collects = runner.run_in, []
    monkeypatch.setattr(
        runner, "run_in", lambda *a: collects.append((gc.isenabled(), gc.get_freeze_count() > 0)) or trains(*a)
    )
    assert inside("train", "-m", "seed=0,1", "stop.max_steps=3")[0] == 0
    assert collects == [(True, True)] * 2
    assert inside("train", "seed=nonsense")[0] == 1
    assert gc.isenabled() and gc.get_freeze_count() == 0
