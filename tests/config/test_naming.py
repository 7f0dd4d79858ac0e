"""Names of run directories: stable, readable, safe, one for every spelling of a command."""

import re

import pytest

from wnexp.config import compose as composing
from wnexp.config.naming import run_directory
from wnexp.training.options import OPTIONS

CHOICES = {"data": "lin_sep", "experiment": None, "norm": "none"}
EWN = CHOICES | {"norm": "ewn"}


def composed_name(*words):
    return composing.compose(words, OPTIONS).name


def test_run_directory_names_are_stable_and_readable():
    assert run_directory(CHOICES, []) == "lin_sep/norm=none"
    assert run_directory(EWN, ["norm=ewn"]) == run_directory(EWN, ["+norm=ewn"]) == "lin_sep/norm=ewn"
    assert run_directory(EWN, ["seed=1", "norm=ewn"]) == "lin_sep/norm=ewn,seed=1"
    assert run_directory(EWN, ["norm=ewn", "seed=1", "overwrite=true", "outputs=/x"]) == "lin_sep/norm=ewn,seed=1"
    xor = {"data": "xor", "experiment": "xor", "norm": "swn"}
    assert run_directory(xor, ["experiment=xor", "norm=swn"]) == "xor/norm=swn"
    assert run_directory(xor | {"experiment": None}, ["data=xor", "norm=swn"]) == "xor/norm=swn"


@pytest.mark.parametrize(
    ("commands", "name"),
    [
        (["", "norm=none", "seed=0 seeds=1", "stop.log_loss=-3e2", "data=lin_sep"], "lin_sep/norm=none"),
        (["norm=ewn", "norm=ewn seed=0", "norm=ewn model.widths=[8]", "norm=ewn optimizer=gd"], "lin_sep/norm=ewn"),
        (["experiment=digits snapshots=[-10,-100,-300]", "experiment=digits data=digits"], "digits/norm=none"),
        (["experiment=digits norm=swn optimizer=gd"], "digits/norm=swn,optimizer=gd"),
        (["experiment=power"], "power/norm=power"),
        (["record.every=null", "optimizer.shrink=null"], "lin_sep/norm=none"),
        (["data=iris", "data=iris data.standardize=false data.test_share=0.2"], "iris/norm=none"),
        (["experiment=xor", "experiment=xor data=xor"], "xor/norm=none"),
        (["experiment=null", "+experiment=null seed=0"], "lin_sep/norm=none"),
        (["data=xor"], "xor/data=xor,norm=none"),  # another run than the experiment's
        # Without the first word the second one would not be the default: the experiment's cap is the step size.
        (
            ["experiment=margins optimizer.step_size=0.1 optimizer.step_size_cap=0.001"],
            "margins/norm=none,optimizer.step_size=0.1,optimizer.step_size_cap=0.001",
        ),
    ],
)
def test_one_run_has_one_name(commands, name):
    """Words that change nothing, in groups, values, lists and beside an experiment, name no other directory."""
    assert {command: composed_name(*command.split()) for command in commands} == dict.fromkeys(commands, name)


def test_a_folder_of_runs_may_be_called_by_a_number():
    assert composed_name("outputs=1", "norm=ewn") == "lin_sep/norm=ewn"


def test_a_run_under_the_name_of_an_earlier_version_is_found(tmp_path):
    words = (f"outputs={tmp_path}", "norm=ewn", "model.widths=[8,8]", "seed=0")
    assert composed_name(*words) == "lin_sep/model.widths=8+8,norm=ewn"
    for name, command in (("model.widths=[8,8],norm=ewn,seed=0", words), ("default", words[:1])):
        now = composed_name(*command)
        (tmp_path / "lin_sep" / name).mkdir(parents=True)
        assert composed_name(*command) == now
        (tmp_path / "lin_sep" / name / "run.json").write_text("{}")
        assert composed_name(*command) == f"lin_sep/{name}" != now
    (tmp_path / "lin_sep/norm=none").mkdir()
    (tmp_path / "lin_sep/norm=none/run.json").write_text("{}")
    assert composed_name(words[0]) == "lin_sep/norm=none"


def test_a_run_on_a_data_set_is_not_taken_for_the_experiment_of_that_name(tmp_path):
    """By its earlier name it is found, unless that is the experiment's."""
    words = (f"outputs={tmp_path}", "data=xor", "norm=ewn")
    (tmp_path / "xor/norm=ewn").mkdir(parents=True)
    for command, name in (("wnexp train data=xor", "xor/norm=ewn"), ("wnexp train +experiment=xor", None)):
        (tmp_path / "xor/norm=ewn/run.json").write_text(f'{{"command": "{command} norm=ewn"}}')
        assert composed_name(*words) == (name or "xor/data=xor,norm=ewn")


def test_run_directory_names_are_safe_and_distinct():
    paths = ("'/a/b c.npz'", "/a/b_c.npz", "'../x\ny'", "'q\\'\"'")
    names = [run_directory(CHOICES, [f"data.path={path}"]) for path in paths]
    names.append(run_directory(CHOICES, ["model.widths=[" + ",".join(["8"] * 200) + "]"]))
    assert len(set(names)) == len(names)
    for name in names:
        assert not re.search(r"[][{}()*?~;&\s]", name)
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
        (["snapshots=[-10, -20.0]", "snapshots=[-10,-20]"], "snapshots=-10+-20"),
        (["model.channels=[16,M]"], "model.channels=16+M"),
        (["model.widths=[]"], "model.widths=none"),
        (["record.every=null"], "record.every=null"),
    ],
)
def test_one_name_for_every_spelling(spellings, name):
    names = {",".join(sorted([name, "norm=none"]))}
    assert {run_directory(CHOICES, [text]).removeprefix("lin_sep/") for text in spellings} == names


def test_the_length_of_a_name_counts_in_bytes():
    """A file system takes 255 of them, and a letter may have four."""
    for letter in ("a", "é", "\N{MUSICAL SYMBOL G CLEF}"):
        words = [f"data.path='{letter * 300}'"]
        found = run_directory(CHOICES | {"experiment": "lin_sep"}, words).split("/")[1]
        assert len(found.encode()) <= 180 and found.encode().decode() == found


def test_of_a_key_given_twice_the_last_counts():
    assert run_directory(CHOICES | {"norm": "swn"}, ["norm=ewn", "seed=3", "+norm=swn"]) == "lin_sep/norm=swn,seed=3"
