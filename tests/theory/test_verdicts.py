"""From runs to verdicts: rows, table, figures, exit code, what is left out."""

import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.helpers import LIN_SEP
from wnexp.cli import terminal
from wnexp.theory import battery, claims, relations, verdicts
from wnexp.theory.hypothesis import Estimate


def test_verify_judges_runs_writes_a_table_and_figures(inside, lin_sep_runs, tmp_path):
    """Discrete descent, too shallow to tell; the exit code is 0 as nothing fails."""
    folder = shutil.copytree(lin_sep_runs, tmp_path / "outputs" / "lin_sep")
    code, out, err = inside("verify", "lin_sep")
    assert code == 0 and not err and "not reached" in out and "needs" not in out
    table = pd.read_parquet(folder / "verify.parquet")
    assert set(table["claim"]) == {"C2", "C3", "C5", "C6", "C7", "C9", "C14"}
    assert set(zip(table["norm"], table["normalizes"], table["slope"], strict=True)) == {
        ("none", False, 1.0),
        ("ewn", True, -1.0),
    }
    rates = table[(table["claim"] == "C6") & (table["used"] > 0)]
    names = {*table["claim"], *["exponents"] * bool(len(rates))}
    files = {f"outputs/lin_sep/figures/{name}.{suffix}" for name in names for suffix in ("png", "pdf")}
    assert {line for line in out.splitlines() if line.startswith("outputs/")} == files
    assert (folder / "figures" / "C6.png").stat().st_size > 5000
    of_rules = "M1, M2, M2 others, M3, M4, M5, M6, P1, P2, P3, P4, P5"
    assert f"claims that apply to none of these runs: C1, C4, C8, C10, C11, C12, C13, {of_rules}, SVM, margin" in out


def test_a_failing_claim_is_the_exit_code(inside, lin_sep_runs, tmp_path, monkeypatch):
    class Failing(relations.Alignment):
        def estimate(self, run, seed):
            return Estimate(1, 1)

    monkeypatch.setitem(claims.CLAIMS, "C2", Failing())
    code, out, _ = inside("verify", shutil.copytree(lin_sep_runs / "none", tmp_path / "copy"))
    assert code == 1 and "fails" in out


def test_a_seed_that_does_not_separate_its_data_is_left_out(inside, lin_sep_runs, tmp_path):
    run = shutil.copytree(lin_sep_runs / "none", tmp_path / "copy")
    steps = pq.read_table(run / "steps.parquet")
    margins = np.where(steps["seed"].to_numpy() == 1, -1.0, steps["margin"].to_numpy())
    place = steps.schema.get_field_index("margin")
    pq.write_table(steps.set_column(place, "margin", [margins]), run / "steps.parquet", write_page_checksum=True)
    last = steps.to_pandas().query("seed == 1")["log_loss"].iloc[-1]
    code, out, _ = inside("verify", run)
    assert code == 0 and f"seed 1 does not separate its data (target_reached), log loss {last:.4g}; left out" in out
    assert "seed 0 does not" not in out
    table = pd.read_parquet(run / "verify.parquet")
    assert set(table["left_out"] + table["used"]) == {2} and "does not separate its data" in table["reasons"].iloc[0]


@pytest.mark.slow
def test_data_that_cannot_be_separated_are_named(inside, tmp_path):
    x = np.array([[1.0, 0.5], [1.0, 0.5], [-1.0, 0.2]])
    np.savez(tmp_path / "mixed.npz", train_x=x, train_y=np.array([1, -1, 1]))
    words = ("data=file", "data.path=mixed.npz", "optimizer=flow", "model.widths=[]", "stop.log_loss=-5")
    assert inside("train", *words)[0] == 0
    code, out, _ = inside("verify", "file")
    assert code == 0 and "seed 0 does not separate its data (step_underflow), log loss" in out


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["nowhere"], 1, "nowhere: no such run directory"),
        (["--deeper"], 2, "unrecognized arguments: --deeper"),
        (["x", "--deep"], 2, "--deep and --data-seeds are of the battery and take no PATH"),
        (["x", "--data-seeds", "3"], 2, "--deep and --data-seeds are of the battery and take no PATH"),
        (["--data-seeds", "0"], 2, "argument --data-seeds: '0' must be an integer of at least 1"),
        (["--data-seeds", "many"], 2, "argument --data-seeds: 'many' must be an integer of at least 1"),
    ],
)
def test_bad_words(inside, words, code, part):
    got, _, err = inside("verify", *words)
    assert got == code and part in err


@pytest.mark.slow
def test_verify_without_a_path_trains_and_judges_the_battery(inside, monkeypatch, tmp_path):
    words = ("norm=ewn", *LIN_SEP, "stop.log_loss=-10")
    monkeypatch.setattr(battery, "jobs", lambda deep, data_seeds: {"one": words, "other": (*words, "seed=4")})
    monkeypatch.setattr(battery, "cores", lambda: 1)
    code, out, err = inside("verify")
    assert code == 0 and not err
    folder = tmp_path / "outputs" / "verify"
    table = pd.read_parquet(folder / "verify.parquet")
    assert set(table["run"]) == {str(folder / "one"), str(folder / "other")}
    assert set(table["claim"]) == {"C2", "C3", "C6", "C7", "C14"} and "outputs/verify/figures/C2.png" in out.split()
    status = folder / "other" / "run.json"
    before = status.read_bytes(), status.stat().st_mtime_ns
    assert battery.train({"other": (*words, "seed=4")}, folder) == 1
    assert (status.read_bytes(), status.stat().st_mtime_ns) == before, "a finished run is not run again"


def test_the_deep_battery_has_a_folder_of_its_own(inside, lin_sep_runs, monkeypatch, tmp_path):
    asked = []

    def run(folder, jobs):
        asked.append((str(folder), list(jobs)))
        shutil.copytree(lin_sep_runs, folder)
        yield 2, "ewn"

    monkeypatch.setattr(battery, "jobs", lambda deep, data_seeds: {"none": (), "ewn": ()} if deep else {})
    monkeypatch.setattr(battery, "run", run)
    assert inside("verify", "--deep")[0] == 0
    assert asked == [("outputs/verify-deep", ["none", "ewn"])]
    assert (tmp_path / "outputs" / "verify-deep" / "verify.parquet").exists()


def test_the_table_has_a_line_for_every_tolerance_and_names_that_tell_runs_apart(capsys, tmp_path):
    """Rows of one claim and norm with two tolerances, and a depth only where it is known."""
    common = {"claim": "C9", "norm": "none", "measured_as": "residual", "one_sided": False, "predicted": 0.0}
    common |= {"low": 0.0, "high": 0.02, "used": 3, "left_out": 1, "reasons": "few records", "verdict": "not reached"}
    rows = [
        common | {"name": "relu/none/0", "tolerance": 0.01, "needed_low": 2e4, "needed_high": 3e4},
        common | {"name": "relu/none/1", "tolerance": 0.005, "needed_low": np.nan, "needed_high": np.nan},
    ]
    terminal.report_verdicts(verdicts.Judged(rows, tmp_path, []))
    above, below = capsys.readouterr().out.split("\n\n")
    assert [line.split()[3:] for line in above.splitlines()[1:]] == [
        ["not", "reached", "1", "0.02", "0.01", "3", "of", "4"],
        ["not", "reached", "1", "0.02", "0.005", "3", "of", "4"],
    ]
    first, second = below.splitlines()[1:]
    assert "relu/none/0" in first and "needs 2e+04 to 3e+04 nats; left out: few records" in first
    assert "relu/none/1" in second and "nats" not in second


def test_the_largest_error_is_that_of_the_verdict_beside_it(capsys, tmp_path):
    """Verdicts of one claim stand together, and what holds has no error of what does not."""
    common = {"norm": "none", "measured_as": "residual", "one_sided": False, "predicted": 0.0, "tolerance": 0.01}
    common |= {"low": 0.0, "used": 1, "left_out": 0, "reasons": "", "needed_low": np.nan, "needed_high": np.nan}
    found = [
        ("C1", "a", 0.004, "holds"),
        ("C2", "a", 0.001, "holds"),
        ("C1", "b", 0.5, "fails"),
        ("C1", "c", 0.002, "holds"),
    ]
    rows = [common | {"claim": claim, "name": name, "high": high, "verdict": word} for claim, name, high, word in found]
    terminal.report_verdicts(verdicts.Judged(rows, tmp_path, []))
    lines = [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]]
    assert [(line[0], *line[3:6]) for line in lines] == [
        ("C1", "holds", "2", "0.004"),
        ("C1", "fails", "1", "0.5"),
        ("C2", "holds", "1", "0.001"),
    ]
