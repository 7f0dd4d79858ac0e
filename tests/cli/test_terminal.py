"""What the user sees: the bar on a terminal, the closing tables."""

import io
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import compose
from wnexp import runner
from wnexp.cli import runs
from wnexp.cli import terminal as shown_as
from wnexp.runs import lock, status
from wnexp.runs.reader import Run
from wnexp.runs.status import Status

CONFIG = {"seed": 0, "norm.name": "ewn"}


def made(folder, **content):
    """A run directory with nothing but its status."""
    folder.mkdir(parents=True)
    status.write(folder, Status(**{"status": "finished", "config": CONFIG, "seeds": []} | content))
    return folder


@pytest.mark.slow
def test_a_bar_on_a_terminal(tmp_path):
    main, terminal = pty.openpty()
    words = ["train", "norm=swn", "stop.log_loss=-1e5", "optimizer.frac=0", "stop.max_steps=150000"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "150"}
    process = subprocess.Popen(
        [sys.executable, "-m", "wnexp", *words], cwd=tmp_path, env=environment, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while True:
        if select.select([main], [], [], 0.5)[0]:
            try:
                shown += os.read(main, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    os.close(main)
    text = shown.decode(errors="replace")
    assert process.wait() == 0
    assert "log loss" in text and "of -100000" in text and "step size" in text and "margin" in text
    assert text.rstrip().splitlines()[-1].startswith("next: wnexp plot")


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self):
        return True


class Unusual(runner.Listener):
    """Adds a note to the session's."""

    def started(self, run):
        run.session.notes.append("something unusual")


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_run_as_it_is_shown(tmp_path, monkeypatch, capsys, kind):
    """A bar on a terminal alone; the closing table and what to type next anywhere."""
    error = kind()
    monkeypatch.setattr(sys, "stderr", error)
    for name, value in {"TERM": "xterm", "COLUMNS": "150"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with shown_as.TrainListener() as listener:
        runner.run_in(tmp_path / "run", compose("norm=ewn", "stop.log_loss=-30"), [Unusual(), listener])
    bar, out = error.getvalue(), capsys.readouterr().out
    parts = ("log loss", " of -30", "step size", "margin")
    assert all(part in bar for part in parts) if kind is Terminal else bar == ""
    lines = out.splitlines()
    assert lines[0] == "note: something unusual"
    assert lines[1] == "run" and lines[2].split()[:3] == ["seed", "outcome", "step"]
    assert lines[3].split()[:2] == ["0", "target_reached"] and "test accuracy" in lines[2]
    assert " attempts/s in the loop over 1 seed" in lines[4] and lines[5] == "next: wnexp plot 'run'"
    assert "\x1b" not in out and "\r" not in out


def test_tables_are_aligned(capsys):
    shown_as.print_table(["a", "long name"], [["xyz", 1], ["x", 22]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  a    long name", "  xyz  1", "  x    22"]


def test_a_sweep_ends_with_a_table_that_names_failures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "o/a", seeds=[{"seed": 0, "outcome": "max_steps", "log_loss": -1.5}], steps=9)
    made(tmp_path / "o/c")
    reports = [
        {"directory": "o/a"}, {"directory": "o/b", "error": "no such file"}, {"directory": "o/c", "skipped": True}
    ]  # fmt: skip
    shown_as.report_sweep(reports)
    out = capsys.readouterr().out
    table, below = out.split("1 of 3 jobs failed")
    assert "o/b" in table and "no such file" not in table and "-1.5 " in table
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if "o/" in line}
    assert rows["o/a"][:4] == ["finished", "1", "max_steps", "9"]
    assert rows["o/b"][0] == "failed" and rows["o/c"][:2] == ["finished", "earlier"]
    assert "  o/b: no such file\n" in below and "another command" not in below
    assert out.rstrip().endswith("next: wnexp plot o")


def test_a_sweep_names_the_jobs_of_another(capsys):
    shown_as.report_sweep([{"directory": "o/a", "elsewhere": True}])
    out = capsys.readouterr().out
    assert "running elsewhere" in out and "1 of 1 jobs are run by another command" in out and "failed" not in out


def test_runs_that_died_or_are_damaged_are_shown_as_such(tmp_path, capsys):
    folders = [made(tmp_path / name, status="running") for name in ("dead", "torn", "alive")]
    (tmp_path / "torn" / "run.json").write_text("{")
    with lock.hold(tmp_path / "alive"):
        runs.show([Run(folder) for folder in folders])
    captured = capsys.readouterr()
    states = dict(line.split()[:2] for line in captured.out.splitlines()[1:])
    assert states == {str(tmp_path / name): state for name, state in (("alive", "running"), ("dead", "stopped"))} | {
        str(tmp_path / "torn"): "unreadable"
    }
    assert "overwrite=true" in captured.err


def test_seeds_of_a_run_that_goes_on_no_longer_are_unfinished(tmp_path, capsys):
    seeds = [{"seed": 0, "outcome": "running", "log_loss": -1.5}, {"seed": 1, "outcome": "max_steps", "log_loss": -1.0}]
    there = {"interrupted": {"status": "failed", "error": "interrupted"}, "dead": {"status": "running"}}
    folders = [made(tmp_path / name, seeds=seeds, **own) for name, own in (there | {"alive": there["dead"]}).items()]
    with lock.hold(tmp_path / "alive"):
        runs.show([Run(folder) for folder in folders])
    rows = {Path(line.split()[0]).name: line for line in capsys.readouterr().out.splitlines()[1:4]}
    assert rows["alive"].split()[1] == "running" and "max_steps, running" in rows["alive"]
    for name in ("interrupted", "dead"):
        assert rows[name].split()[1] == "stopped" and "max_steps, unfinished" in rows[name]


@pytest.mark.slow
def test_advice_where_seeds_got_nowhere(inside, tmp_path):
    words = ("optimizer=gd_constant", "optimizer.step_size=1e300", "stop.max_steps=9")
    code, out, _ = inside("train", *words, "seeds=2")
    assert code == 0 and [line.split(":")[1] for line in out.splitlines() if "advice" in line] == [" 2 of 2 seeds"]
    assert "smaller optimizer.step_size" in out and out.splitlines()[-1].startswith("next: ")


@pytest.mark.slow
def test_advice_for_a_network_that_is_dead(inside, tmp_path):
    np.savez(tmp_path / "d.npz", train_x=np.zeros((2, 2)), train_y=np.array([1, -1]))
    _, out, _ = inside("train", "data=file", "data.path=d.npz", "optimizer=flow", "loss=exponential")
    assert "advice: 1 of 1 seeds: no first step lowers the loss" in out


@pytest.mark.slow
def test_advice_where_a_flow_ends_at_a_scale_of_zero(inside):
    words = ("experiment=xor", "norm=swn", "optimizer=flow", "stop.log_loss=-5")
    _, out, _ = inside("train", *words)
    assert "step_underflow" in out and "advice: 1 of 1 seeds: steps have become too small" in out
    assert "optimizer.variables=parameters" in out
    assert "advice" not in inside("train", *words, "optimizer.variables=parameters")[1]
