"""What series of runs are called, in which order they come, and what joining their tables costs."""

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from wnexp.figures.looks import natural
from wnexp.figures.series import Series, load_series, telling_apart


def test_labels_are_the_keys_that_differ_without_what_follows():
    base = {"norm.name": "none", "data.name": "xor", "optimizer.frac": 15, "model.widths": [8], "seed": 0, "seeds": 1}
    by_norm = [base, base | {"norm.name": "ewn", "optimizer.frac": 5, "seed": 3, "seeds": 4}]
    assert telling_apart(by_norm) == ["norm.name"]
    assert telling_apart([*by_norm, base | {"model.widths": [9]}]) == ["norm.name", "model.widths"]
    assert telling_apart([base, base | {"optimizer.frac": 3}]) == ["optimizer.frac"]
    assert telling_apart([base, base | {"norm.name": "ewn", "model.widths": [9]}]) == ["norm.name", "model.widths"]
    assert telling_apart([base, base | {"data.name": "lin_sep", "model.widths": [9]}]) == ["data.name"]
    by_rule = [{"optimizer.name": "sign", "stop.log_loss": -9}, {"optimizer.name": "adam", "optimizer.b1": 0.9}]
    assert telling_apart([base | rule for rule in by_rule]) == ["optimizer.name"]
    assert telling_apart([by_rule[1], by_rule[1] | {"optimizer.b1": 0.5}]) == ["optimizer.b1"]
    files = [{"data.path": name, "data.path (sha256)": name * 2} for name in "ab"]
    assert telling_apart(files) == ["data.path"]


def copies(run, folder, count):
    """So many copies of a run that differ in their step size on record."""
    for index in range(count):
        place = shutil.copytree(run, folder / f"copy{index:02d}", ignore=shutil.ignore_patterns("figures", "snapshots"))
        status = json.loads((place / "run.json").read_text())
        status["config"]["optimizer.step_size"] = 0.001 * (index + 1)
        status.pop("sha256", None)
        (place / "run.json").write_text(json.dumps(status))
    return sorted(folder.iterdir())


def test_of_many_series_some_are_drawn_from_the_first_to_the_last(runs, tmp_path, capsys):
    """And read: no figure is taller than a page because a sweep was long."""
    found = copies(next(Path(runs).rglob("run.json")).parent, tmp_path, 20)
    assert len(load_series(found)) == 20 and not capsys.readouterr().err
    (found[10] / "steps.parquet").unlink()
    series = load_series(found, 4)
    assert "19 series of runs, 4 of them are drawn (--most N draws more)" in capsys.readouterr().err
    assert [one.config["optimizer.step_size"] for one in series] == pytest.approx([0.001, 0.007, 0.014, 0.02])
    assert len(load_series(found[:4], 4)) == 4


def test_numbers_in_labels_are_sorted_by_their_values():
    labels = ["model.widths=[32]", "model.widths=[8]", "model.widths=[16]", "snapshots=-100", "snapshots=-10", "a=1e-3"]
    want = ["a=1e-3", "model.widths=[8]", "model.widths=[16]", "model.widths=[32]", "snapshots=-100", "snapshots=-10"]
    assert sorted(labels, key=natural) == want


def test_joining_the_tables_of_many_runs_costs_in_proportion_to_them():
    """Four times the runs: some four times the processor, sixteen times if each run looked at all before it."""

    def cost(runs):
        tables = [{"steps": pd.DataFrame({"seed": [seed] * 3, "step": [0, 1, 2]})} for seed in range(runs)]
        best = float("inf")
        for _ in range(3):
            one, began = Series(config={}, runs=tables, settings={}), time.process_time()
            assert len(one.table("steps")) == 3 * runs
            best = min(best, time.process_time() - began)
        return best

    assert cost(800) < 8 * cost(200)
