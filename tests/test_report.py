"""What the user sees: the bar on a terminal, the closing tables."""

import os
import platform
import pty
import select
import subprocess
import sys

from wnexp import records, report


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


def test_tables_are_aligned(capsys):
    report.print_table(["a", "long name"], [["xyz", 1], ["x", 22]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  a    long name", "  xyz  1", "  x    22"]


def test_a_sweep_ends_with_a_table_that_names_failures(capsys):
    done = {"directory": "o/a", "status": "finished", "seeds": [{"outcome": "max_steps", "log_loss": -1.5}], "steps": 9}
    report.report_sweep([done, {"directory": "o/b", "status": "failed", "error": "no such file"}])
    out = capsys.readouterr().out
    assert "o/b" in out and "failed (no such file)" in out and "1 of 2 jobs failed" in out and "-1.5 " in out
    assert out.rstrip().endswith("next: wnexp plot o")


def test_runs_that_died_or_are_damaged_are_shown_as_such(tmp_path, capsys):
    process = {"host": platform.node(), "pid": 2**22 + 1}
    base = {"status": "running", "config": {}, "versions": {}, "seeds": [], "process": process}
    for name in ("dead", "torn"):
        (tmp_path / name).mkdir()
        records.write_json(tmp_path / name / "run.json", base)
    (tmp_path / "torn" / "run.json").write_text("{")
    report.print_runs(tmp_path)
    captured = capsys.readouterr()
    assert "stopped" in captured.out and "unreadable" in captured.out and "overwrite=true" in captured.err
