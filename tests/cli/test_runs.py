"""`wnexp runs`: one line a run, and why runs failed."""

import os
import threading

import pytest

from wnexp.runs import files, status
from wnexp.runs.status import Status

SEED = {"seed": 0, "outcome": "target_reached", "log_loss": -20.5, "step": 7, "attempts": 8, "step_size": 0.01}
CONFIG = {"seed": 0, "norm.name": "ewn"}


def made(folder, **content):
    folder.mkdir(parents=True)
    status.write(folder, Status(**{"status": "finished", "config": CONFIG, "seeds": [SEED], "steps": 7} | content))


def test_what_has_been_run_is_listed(inside, tmp_path):
    made(tmp_path / "outputs/lin_sep/norm=ewn", wall_seconds=1.25)
    made(tmp_path / "outputs/xor/default", status="failed", error="no space left", seeds=[])
    code, out, err = inside("runs")
    assert code == 0 and err == ""
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:4] == ["run", "status", "seeds", "outcome"]
    assert lines[1] == ["outputs/lin_sep/norm=ewn", "finished", "1", "target_reached", "7", "-20.5", "1.2"]
    assert lines[2][:4] == ["outputs/xor/default", "failed", "0", "-"]
    assert out.splitlines()[3:] == ["  outputs/xor/default: no space left"]


def test_only_those_named_are_listed(inside, tmp_path):
    for name in ("a", "b", "c"):
        made(tmp_path / "outputs" / name / "default")
    out = inside("runs", "outputs/a", "c")[1]
    assert [line.split()[0] for line in out.splitlines()] == ["run", "outputs/a/default", "outputs/c/default"]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "latex"])
def test_tables_are_written_whatever_is_in_their_columns(inside, tmp_path, kind):
    """Numbers beside words, lists beside numbers; through a link, which stays one."""
    for name, power in (("a", 2.0), ("b", "inf"), ("c", [1.0, 2.0])):
        made(tmp_path / "outputs" / name, config=CONFIG | {"norm.name": "power", "norm.power": power})
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    code, _, err = inside("runs", f"--{kind}", "link")
    assert code == 0 and (tmp_path / "link").is_symlink() and (tmp_path / "real").stat().st_size > 50, err
    code, _, err = inside("runs", f"--{kind}", "outputs")
    assert code == 1 and "outputs: a folder; the name of a file is needed" in err and (tmp_path / "outputs/a").exists()


def test_a_device_is_written_to_and_stays_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reading = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reading.start()
    files.write_asked(tmp_path / "pipe", lambda path: path.write_text("all"))
    reading.join(timeout=10)
    assert got == ["all"] and (tmp_path / "pipe").is_fifo()


def test_a_run_that_cannot_be_read_hides_no_other(inside, tmp_path):
    made(tmp_path / "outputs/a")
    made(tmp_path / "outputs/b")
    (tmp_path / "outputs/a/run.json").write_text("{")
    code, out, err = inside("runs")
    assert code == 0 and "unreadable run.json" in out.splitlines()[1] and "finished" in out.splitlines()[2]
    assert err.startswith("wnexp: ") and "overwrite=true" in err and len(err.splitlines()) == 1
