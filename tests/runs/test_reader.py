"""The one reader of run directories: which runs are meant, and what each holds."""

import os

import numpy as np
import pyarrow as pa
import pytest

from wnexp.errors import UserError
from wnexp.runs import lock, snapshots, status
from wnexp.runs.files import write_table
from wnexp.runs.reader import STOPPED, Run, find_runs, load, runs_at
from wnexp.runs.status import Status


def made(folder, age=0, **changes):
    """A run directory whose run.json was written so many seconds ago."""
    folder.mkdir(parents=True)
    content = {"status": "finished", "config": {"seed": 5, "norm.name": "swn"}, "seeds": []} | changes
    status.write(folder, Status(**content))
    now = (folder / status.NAME).stat().st_mtime
    os.utime(folder / status.NAME, (now - age, now - age))
    return folder


def test_runs_are_found_by_their_run_json(tmp_path):
    runs = [made(tmp_path / name) for name in ("x/run", "x/also", "y")]
    assert find_runs(tmp_path) == sorted(runs) and find_runs(runs[0]) == [runs[0]]
    assert find_runs(tmp_path / "none") == []
    (runs[2] / "snapshots").mkdir()
    assert find_runs(runs[2] / "snapshots") == []


def test_which_runs_are_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a, b, other = (made(tmp_path / "outputs" / name) for name in ("lin_sep/a", "lin_sep/b=[1]", "xor/c"))
    assert runs_at([tmp_path / "outputs/xor"]) == [other]
    assert [run.directory for run in load([(tmp_path / "outputs/lin_sep").relative_to(tmp_path)])] == [a, b]
    assert runs_at([tmp_path.joinpath("lin_sep").relative_to(tmp_path)]) == [a, b], "an experiment by its name"
    assert runs_at([type(a)("outputs/*/c"), type(a)("lin_sep/b*"), other]) == [other, b], "globs, each run once"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no run"):
        runs_at([type(a)("empty")])
    with pytest.raises(UserError, match="nowhere: no such run directory, folder of runs, or experiment"):
        runs_at([type(a)("nowhere")])


def test_without_a_path_it_is_the_newest_run_and_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no runs under outputs/"):
        runs_at([])
    made(tmp_path / "elsewhere")
    made(tmp_path / "outputs/lin_sep/z", age=60)
    newest = made(tmp_path / "outputs/lin_sep/b", age=30)
    made(tmp_path / "outputs/a/a", age=90)
    assert runs_at([]) == [newest]


def test_a_run_and_its_parts(tmp_path):
    run = Run(made(tmp_path / "run", seeds=[{"seed": 5, "outcome": "max_steps", "log_loss": -1.0}]))
    assert run.seeds == [5] and run.state == "finished" and run.settings == {"seed": 5, "norm.name": "swn"}
    assert run.tables == [] and run.table("steps") is None and run.frame("steps").empty
    write_table(run.directory / "steps.parquet", pa.table({"step": [0, 1]}))
    write_table(run.directory / ".gradients.parquet", pa.table({"step": [0, 1]}))
    assert run.tables == ["steps"] and run.frame("steps")["step"].tolist() == [0, 1]
    snapshots.write(run.directory, 5, snapshots.at(-10.0), {"w": np.ones(2)})
    weights = run.weights(5, "log_loss=-10")
    assert run.snapshot_losses == [-10.0] and weights is not None and weights["w"].tolist() == [1, 1]
    assert run.weights(6, "log_loss=-10") is None
    (run.directory / "steps.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"steps.parquet: not a readable parquet file") as error:
        run.table("steps")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no run there"):
        _ = Run(tmp_path).status


def test_a_run_whose_process_has_died_is_stopped(tmp_path):
    run = Run(made(tmp_path / "run", status="running"))
    assert run.state == STOPPED == "stopped"
    with lock.hold(run.directory):
        assert run.state == "running"
    assert run.state == STOPPED
