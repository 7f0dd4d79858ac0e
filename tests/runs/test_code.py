"""Which code a run is of: what changes the fingerprint, what is dirty, and what commands make of it."""

import shutil
import subprocess

import pandas as pd
import pytest

from wnexp import runner
from wnexp.cli.terminal import TrainListener
from wnexp.figures.series import load_series
from wnexp.runs import code, status
from wnexp.runs.reader import Run

WORDS = ("stop.max_steps=2", "norm=ewn")


def test_any_change_of_what_computes_changes_the_fingerprint(tmp_path):
    package = shutil.copytree(code.PACKAGE, tmp_path / "wnexp", ignore=shutil.ignore_patterns("__pycache__"))
    code.fingerprint.cache_clear()
    first = code.fingerprint(package)
    assert first == code.fingerprint() and len(first) == 12
    for name, changes in (
        ("cli/main.py", False),
        ("figures/style.py", False),
        ("nn/losses.py", True),
        ("new.py", True),
    ):
        with (package / name).open("a") as file:
            file.write("# changed\n")
        code.fingerprint.cache_clear()
        assert (code.fingerprint(package) != first) == changes, name
        first = code.fingerprint(package)


def test_a_commit_says_whether_the_files_are_its_own(tmp_path):
    assert code.commit(tmp_path) is None
    git = ("git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e@x")
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert code.commit(tmp_path) == head
    (tmp_path / "file").write_text("two")
    assert code.commit(tmp_path) == f"{head}-dirty"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and the same as other code would have left it."""
    folder = tmp_path_factory.mktemp("code")
    run = runner.train(WORDS, folder / "after")
    shutil.copytree(run.directory, folder / "before")
    other = status.read(folder / "before")
    assert other is not None and other.code == code.fingerprint()
    other.code = "0123456789ab"
    status.write(folder / "before", other)
    return folder


def test_runs_of_other_code_are_another_series(runs):
    series = load_series([runs / "before", runs / "after"])
    assert {one.label for one in series} == {"code=0123456789ab", f"code={code.fingerprint()}"}
    assert [len(one.table("steps")) for one in series] == [3, 3]


def test_a_finished_run_of_other_code_is_said_to_be_one(runs, capsys):
    for name, said in (("before", "finished earlier by other code, not run again"), ("after", "finished earlier, not")):
        runner.train(WORDS, runs / name, [TrainListener()])
        assert said in capsys.readouterr().out


def test_what_is_recorded_makes_no_other_series(runs, tmp_path):
    more = runner.train((*WORDS, "snapshots=[1]", "record.max_gradient=0", "seed=1"), tmp_path / "more")
    (one,) = load_series([runs / "after", more.directory])
    assert one.seeds == 2 and one.label == "norm=ewn"
    assert sorted(one.table("steps")["seed"].unique()) == [0, 1]
    assert pd.notna(Run(runs / "after").frame("steps")["log_loss"]).all()
