"""Tags and notes, removing runs, copies with a change, what a sweeper is told."""

import json
import sys

import pytest
import yaml

from wnexp.runs import lock, status
from wnexp.runs.reader import Run
from wnexp.runs.status import Status

SEED = {"outcome": "target_reached", "log_loss": -20.5, "step": 7, "attempts": 8, "step_size": 0.01}
QUICK = ("stop.log_loss=-5", "model.widths=[]")


def made(folder, norm="ewn", seeds=(0,)):
    folder.mkdir(parents=True)
    config = {"seed": 0, "norm.name": norm}
    status.write(folder, Status("finished", config, [SEED | {"seed": seed} for seed in seeds], steps=7))
    return folder


@pytest.fixture
def two(tmp_path):
    return [made(tmp_path / "outputs/lin_sep" / f"norm={norm}", norm, (0, 1)) for norm in ("ewn", "none")]


def test_tags_and_notes_are_kept_shown_and_found(inside, two):
    assert inside("tag", "lin_sep", "paper", "good")[0] == 0
    code, out, _ = inside("tag", "lin_sep/norm=ewn", "best", "--note", "figure 2, left")
    assert code == 0 and "paper, good, best  figure 2, left" in out
    inside("tag", "lin_sep", "good", "--remove")
    assert [Run(folder).status.extra.get("tags") for folder in two] == [["paper", "best"], ["paper"]]
    assert inside("runs", "--where", "tags=best")[1].count("norm=") == 1
    assert inside("runs", "--where", "tags=paper and not tags=best")[1].count("norm=none") == 1
    inside("tag", "lin_sep", "paper", "best", "--remove")
    inside("tag", "lin_sep/norm=ewn", "--note", "")
    assert [Run(folder).status.extra for folder in two] == [{}, {}]


@pytest.mark.parametrize(
    ("words", "code", "message"), [([], 2, "a word or --note is missing"), (["a,b"], 2, "is no word")]
)
def test_what_is_no_tag(inside, two, words, code, message):
    got, _, err = inside("tag", "lin_sep", *words)
    assert got == code and message in err and len(err.splitlines()) == 1


def test_a_run_that_goes_on_is_neither_tagged_nor_removed(inside, two):
    with lock.hold(two[0]):
        code, _, err = inside("tag", two[0], "x")
        assert code == 1 and "it is being run by process" in err and "tag it when it has ended" in err
        code, out, err = inside("rm", "lin_sep", "--yes")
        assert code == 1 and "left alone" in err and out.endswith("removed 1 of 2 runs\n")
    assert two[0].exists() and not two[1].exists()


def test_runs_are_removed_after_asking(inside, two, monkeypatch):
    code, _, err = inside("rm", "lin_sep")
    assert code == 1 and "2 runs would be removed; give --yes" in err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer in ("", "n", "no"):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        assert inside("rm", "lin_sep")[0] == 1 and all(folder.exists() for folder in two)
    (two[0].parent / "notes.txt").write_text("mine")
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")
    assert inside("rm", "lin_sep/norm=ewn")[0] == 0 and asked == ["remove 1 run? [y/N] "]
    assert not two[0].exists() and two[1].exists()
    assert inside("rm", "lin_sep", "--yes")[0] == 0 and (two[0].parent / "notes.txt").exists()


def test_a_condition_removes_runs_of_which_all_seeds_meet_it(inside, two):
    code, _, err = inside("rm", "lin_sep", "--where", "seed=1", "--yes")
    assert code == 1 and "holds for all seeds of no run" in err
    assert inside("rm", "lin_sep", "--where", "norm=none", "--yes")[0] == 0
    assert two[0].exists() and not two[1].exists()
    assert inside("rm", "elsewhere", "--yes")[0] == 1 and inside("rm")[0] == 2


def test_a_copy_with_a_change(inside, tmp_path):
    assert inside("train", *QUICK, "norm=ewn", "optimizer.frac=20")[0] == 0
    (run,) = (tmp_path / "outputs/lin_sep").iterdir()
    code, _, err = inside("train", "--config-from", run, "norm=swn")
    assert code == 0, err
    copy = tmp_path / "outputs/lin_sep/model.widths=none,norm=swn,optimizer.frac=20,stop.log_loss=-5"
    before, after = (json.loads((folder / "run.json").read_text())["config"] for folder in (run, copy))
    assert {key for key in before if before[key] != after[key]} == {"norm.name"}
    assert "not run again" in inside("train", "--config-from", run, "norm=swn")[1]
    code, _, err = inside("train", "--config-from", run, "norm.powr=2")
    assert code == 1 and "norm.powr" in err and len(list((tmp_path / "outputs/lin_sep").iterdir())) == 2


@pytest.mark.slow
def test_optuna_finds_the_step_size_that_needs_fewest_attempts(wnexp, tmp_path):
    """Normalized steps of constant length on lin-sep: too short a one needs many, too long a one never gets there."""
    words = ["norm=ewn", "optimizer=normalized_gd", "stop.log_loss=-100", "stop.max_steps=3000"]
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=25", "hydra.sweeper.sampler.seed=1"]
    code, _, err = wnexp(
        "train", "-m", *search, *words, "optimizer.step_size=tag(log,interval(0.0001,10))", "objective=attempts@-100"
    )
    assert code == 0, err
    best = yaml.safe_load((tmp_path / "outputs/optimization_results.yaml").read_text())
    found = {}
    for path in (tmp_path / "outputs").rglob("run.json"):
        run = Run(path.parent)
        steps = run.frame("steps")
        reached = steps[steps["log_loss"] <= -100]["attempts"]
        found[run.config["optimizer.step_size"]] = float(reached.iloc[0]) if len(reached) else float("inf")
    assert best["best_value"] == min(found.values()) == found[best["best_params"]["optimizer.step_size"]]
    assert sum(value > 3 * best["best_value"] for value in found.values()) > 3, "a search that could have failed"


def test_an_objective_that_is_no_number(inside):
    code, _, err = inside("train", *QUICK, "objective=outcome")
    assert code == 1 and "objective=outcome is target_reached; allowed: columns of numbers" in err
    code, _, err = inside("train", *QUICK, "objective=atempts")
    assert code == 1 and "no column 'atempts'; did you mean attempts" in err
