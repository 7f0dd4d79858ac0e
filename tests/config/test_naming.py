"""Names of run directories: stable, readable, safe, one for every spelling of a command."""

import pytest

from wnexp.config.naming import run_directory

CHOICES = {"data": "lin_sep", "experiment": None}


def test_run_directory_names_are_stable_and_readable():
    assert run_directory(CHOICES, []) == "lin_sep/default"
    assert run_directory(CHOICES, ["norm=ewn"]) == run_directory(CHOICES, ["+norm=ewn"]) == "lin_sep/norm=ewn"
    assert run_directory(CHOICES, ["seed=1", "norm=ewn"]) == "lin_sep/norm=ewn,seed=1"
    assert run_directory(CHOICES, ["norm=ewn", "seed=1", "overwrite=true", "outputs=/x"]) == "lin_sep/norm=ewn,seed=1"
    xor = {"data": "xor", "experiment": "xor"}
    assert run_directory(xor, ["experiment=xor", "norm=swn"]) == "xor/norm=swn"
    assert run_directory({"data": "xor", "experiment": None}, ["data=xor", "norm=swn"]) == "xor/norm=swn"


def test_run_directory_names_are_safe_and_distinct():
    paths = ("'/a/b c.npz'", "/a/b_c.npz", "'../x\ny'", "'q\\'\"'")
    names = [run_directory(CHOICES, [f"data.path={path}"]) for path in paths]
    names.append(run_directory(CHOICES, ["model.widths=[" + ",".join(["8"] * 200) + "]"]))
    assert len(set(names)) == len(names)
    for name in names:
        last = name.removeprefix("lin_sep/")
        assert "/" not in last and "\n" not in last and '"' not in last and len(last.encode()) < 255


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (["optimizer.step_size=1e-3", "optimizer.step_size=0.001"], "optimizer.step_size=0.001"),
        (["stop.log_loss=-300", "stop.log_loss=-300.0", "stop.log_loss=-3e2"], "stop.log_loss=-300"),
        (["seed=1", "seed=01", "++seed=1"], "seed=1"),
        (["optimizer.tolerance=1e-9", "optimizer.tolerance=1.0e-09"], "optimizer.tolerance=1e-9"),
        (["optimizer.step_size=1e300"], "optimizer.step_size=1e300"),
        (["snapshots=[-10, -20.0]", "snapshots=[-10,-20]"], "snapshots=[-10,-20]"),
        (["model.channels=[16,M]"], "model.channels=[16,M]"),
        (["overwrite=true"], "default"),
        (["record.every=null"], "record.every=null"),
        (["~record.every"], "~record.every"),
    ],
)
def test_one_name_for_every_spelling(spellings, name):
    assert {run_directory(CHOICES, [text]) for text in spellings} == {f"lin_sep/{name}"}


def test_the_length_of_a_name_counts_in_bytes():
    """A file system takes 255 of them, and a letter may have four."""
    for letter in ("a", "é", "\N{MUSICAL SYMBOL G CLEF}"):
        words = [f"data.path='{letter * 300}'"]
        found = run_directory({"experiment": "lin_sep", "data": "lin_sep"}, words).split("/")[1]
        assert len(found.encode()) <= 180 and found.encode().decode() == found


def test_of_a_key_given_twice_the_last_counts():
    assert run_directory(CHOICES, ["norm=ewn", "seed=3", "+norm=swn"]) == "lin_sep/norm=swn,seed=3"
