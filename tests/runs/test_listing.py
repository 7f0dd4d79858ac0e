"""Runs as rows: columns by name, conditions on seeds, means, figures at a log loss, and the collection in Python."""

import statistics

import numpy as np
import pandas as pd
import pytest

from tests.helpers import LIN_SEP
from wnexp import runner
from wnexp.cli.tables import print_listing
from wnexp.collection import Runs
from wnexp.errors import UserError
from wnexp.runs import status
from wnexp.runs.listing import listing
from wnexp.runs.reader import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two norms of two seeds each, and a third seed of one."""
    folder = tmp_path_factory.mktemp("runs")
    jobs = {"none": ("norm=none",), "ewn": ("norm=ewn",), "more": ("norm=ewn", "seed=2", "seeds=1")}
    return Runs(runner.train((*LIN_SEP, *words), folder / name) for name, words in jobs.items())


def first_at(run, seed, level):
    steps = run.frame("steps").query(f"seed == {seed} and log_loss <= {level}")
    return steps.iloc[0] if len(steps) else None


def test_a_row_is_a_run_with_means_over_its_seeds(runs):
    rows, columns = listing(runs)
    assert columns == ["run", "norm", "seed", "status", "seeds", "outcome", "step", "log_loss", "seconds"]
    assert [(row["norm"], row["seeds"], row["seed"]) for row in rows] == [("none", 2, 0), ("ewn", 2, 0), ("ewn", 1, 2)]
    for row, run in zip(rows, runs, strict=True):
        assert row["log_loss"] == pytest.approx(statistics.fmean(own["log_loss"] for own in run.figures), abs=1e-12)


def test_means_over_seeds_of_several_runs_and_their_deviation(runs):
    rows, columns = listing(runs, ["norm", "normalized_margin@-10", "seeds"], mean_over=["seed"])
    assert columns == ["norm", "normalized_margin@-10", "normalized_margin@-10_deviation", "seeds"]
    margins = [first_at(run, seed, -10)["normalized_margin"] for run in list(runs)[1:] for seed in run.seeds]
    assert rows[1]["seeds"] == 3 and rows[1]["norm"] == "ewn"
    assert rows[1]["normalized_margin@-10"] == pytest.approx(np.mean(margins), abs=1e-14)
    assert rows[1]["normalized_margin@-10_deviation"] == pytest.approx(np.std(margins), abs=1e-14)


def test_a_mean_says_of_how_many_seeds_it_is(runs, capsys):
    """Where some have never been so deep, and in the table that is printed."""
    losses = sorted(own["log_loss"] for run in list(runs)[1:] for own in run.figures)
    column = f"margin@{losses[1]}"
    alone = [row[column] for row in listing(runs, [column], "norm=ewn", None).rows]
    known = [value for value in alone if value is not None]
    rows, columns = listing(runs, [column, "norm"], mean_over=["seed"])
    ewn = rows[1]
    assert 0 < len(known) < 3 and ewn[f"{column}_seeds"] == len(known) and f"{column}_seeds" in columns
    assert ewn[column] == pytest.approx(np.mean(known), abs=1e-14)
    print_listing(rows, columns)
    assert f"({len(known)} of 3)" in capsys.readouterr().out


def test_seeds_that_runs_share_count_once(runs, tmp_path):
    more = Runs([*runs, runner.train((*LIN_SEP, "norm=ewn", "seed=1"), tmp_path)])
    twice, once = (listing(found, ["step", "norm"], mean_over=["seed"]).rows[1] for found in (more, runs))
    assert {key: twice[key] for key in ("seeds", "step", "step_deviation")} == {
        key: once[key] for key in ("seeds", "step", "step_deviation")
    }


def test_a_row_a_seed_and_conditions_on_seeds(runs):
    rows, _ = listing(runs, ["norm", "seed", "test_accuracy"], "norm=ewn and seed>0", None, "-seed")
    assert [(row["norm"], row["seed"]) for row in rows] == [("ewn", 2), ("ewn", 1)]
    assert all(row["test_accuracy"] is not None for row in rows)
    assert [row["seeds"] for row in listing(runs, where="seed<1").rows] == [1, 1]


def test_a_level_that_no_seed_reached_is_null_and_sorts_last(runs):
    assert {row["margin@-500"] for row in listing(runs, ["margin@-500"], mean_over=None).rows} == {None}
    rows = listing(runs, ["seed", "margin@-20.4"], mean_over=None, sort="margin@-20.4").rows
    values = [row["margin@-20.4"] for row in rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known) and values[len(known) :] == [None] * (len(values) - len(known)) and 0 < len(known) < 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nrom", "did you mean norm"),
        ("reference", None),
        ("normalised_margin@-10", "normalized_margin@-10"),
        ("x", "--help"),
    ],
)
def test_names_of_columns(runs, name, message):
    if message is None:
        assert listing(runs, [name]).rows[0][name] == "previous"
        return
    with pytest.raises(UserError, match=message):
        listing(runs, [name])


def test_runs_are_restricted_to_the_seeds_that_a_condition_holds_for(runs):
    some = runs.where("seed=1 or seed=2")
    assert [run.seeds for run in some] == [[1], [1], [2]]
    assert set(some.steps["seed"]) == {1, 2} and set(some[0].frame("neurons")["seed"]) == {1}
    assert [run.only for run in runs.where("norm=ewn")] == [None, None]
    with pytest.raises(UserError, match="holds for none of 3 runs"):
        runs.where("norm=swn")


def test_frames_of_all_runs_say_which_they_are_of(runs):
    steps = runs.steps
    assert list(steps.columns[:3]) == ["norm", "seed", "step"] and len(steps) == sum(
        len(run.frame("steps")) for run in runs
    )
    assert steps.groupby("norm")["seed"].unique().map(sorted).to_dict() == {"none": [0, 1], "ewn": [0, 1, 2]}
    at = runs.at(log_loss=-10)
    for row in at.itertuples():
        run = next(run for run in runs if run.config["norm.name"] == row.norm and row.seed in run.seeds)
        assert row.log_loss == first_at(run, row.seed, -10)["log_loss"] <= -10
    assert len(at) == 5 and len(runs.at(-1000)) == 0 and set(runs.at(-10, "neurons")["neuron"]) == set(range(8))
    assert not len(runs.frame("nothing"))


def test_a_table_is_what_the_command_lists(runs):
    table = runs.table("norm", "seed", "log_loss")
    assert list(table["seed"]) == [0, 1, 0, 1, 2] and isinstance(table, pd.DataFrame)
    assert list(runs.table(mean_over="seed")["seeds"]) == [2, 3]
    assert "ewn" in runs._repr_html_() and "ewn" in repr(runs) and "<table" in runs[0]._repr_html_()


def test_weights_by_level(runs):
    arrays = runs.weights(0, -20)
    assert [sorted(own) for own in arrays if own] == [["layers.0.weight", "layers.1.weight"]] * 2 and arrays[2] is None
    assert np.array_equal(arrays[0]["layers.0.weight"], runs[0].weights(0, "log_loss=-20")["layers.0.weight"])


def test_a_run_that_cannot_be_read_is_a_row(tmp_path, runs):
    (tmp_path / "run.json").write_text("{")
    rows = listing([*runs, Run(tmp_path)]).rows
    assert rows[-1]["status"] == "unreadable run.json" and rows[-1]["seeds"] == 0 and rows[0]["status"] == "finished"


def test_notes_are_listed(tmp_path, runs):
    made = status.read(runs[0].directory)
    made.extra["note"] = "the good one"
    status.write(tmp_path, made)
    rows, columns = listing([Run(tmp_path), runs[1]])
    assert columns[-1] == "note" and [row["note"] for row in rows] == ["the good one", None]
