"""What the user sees: the bar on a terminal, the closing tables."""

import os
import pty
import select
import subprocess
import sys

from wnexp import lock, records, report


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


def test_a_line_of_progress_fits_a_narrow_terminal():
    parts = ["log loss -2869.91 of -100000", "step 36518", "step size 4.5e-07", "margin 2870"]
    assert report.fitting(parts, 60) == "log loss -2869.91 of -100000  step 36518  step size 4.5e-07"
    assert report.fitting(parts, 45) == "log loss -2869.91 of -100000  step 36518"
    assert report.fitting(parts, 5) == parts[0] and report.fitting(parts, 99).endswith("margin 2870")


def test_tables_are_aligned(capsys):
    report.print_table(["a", "long name"], [["xyz", 1], ["x", 22]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  a    long name", "  xyz  1", "  x    22"]


def test_a_sweep_ends_with_a_table_that_names_failures(capsys):
    done = {"directory": "o/a", "status": "finished", "seeds": [{"outcome": "max_steps", "log_loss": -1.5}], "steps": 9}
    report.report_sweep([done, {"directory": "o/b", "status": "failed", "error": "no such file"}])
    out = capsys.readouterr().out
    table, below = out.split("1 of 2 jobs failed")
    assert "o/b" in table and "no such file" not in table and "-1.5 " in table
    assert "  o/b: no such file\n" in below and "another command" not in below
    assert out.rstrip().endswith("next: wnexp plot o")


def test_a_sweep_names_the_jobs_of_another(capsys):
    report.report_sweep([{"directory": "o/a", "status": report.ELSEWHERE}])
    out = capsys.readouterr().out
    assert "running elsewhere" in out and "1 of 1 jobs are run by another command" in out and "failed" not in out


def test_runs_that_died_or_are_damaged_are_shown_as_such(tmp_path, capsys):
    base = {"status": "running", "config": {"seed": 0, "norm.name": "ewn"}, "versions": {}, "seeds": []}
    for name in ("dead", "torn", "alive"):
        (tmp_path / name).mkdir()
        records.write_status(tmp_path / name, base)
    (tmp_path / "torn" / "run.json").write_text("{")
    with lock.hold(tmp_path / "alive"):
        report.print_runs(tmp_path)
    captured = capsys.readouterr()
    states = dict(line.split()[:2] for line in captured.out.splitlines()[1:])
    assert states == {str(tmp_path / name): state for name, state in (("alive", "running"), ("dead", "stopped"))} | {
        str(tmp_path / "torn"): "unreadable"
    }
    assert "overwrite=true" in captured.err
