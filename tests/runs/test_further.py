"""What is stored, held against what is asked: the same, more of it, or something else."""

from pathlib import Path

import pytest

from tests.helpers import compose
from wnexp.errors import UserError
from wnexp.runs import further, identity, status
from wnexp.runs.further import begun_again, stored_run, take_place
from wnexp.runs.reader import find_runs
from wnexp.runs.status import Status
from wnexp.training.options import OPTIONS

WORDS = ("stop.log_loss=-40", "stop.max_steps=90", "seeds=2", "snapshots=[-5]")


def stored(folder, *words, state=status.FINISHED):
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [{"seed": 0, "outcome": "target_reached", "log_loss": -41.0}]
    status.write(folder, Status(status=state, config=identity.identity(compose(*words)), seeds=seeds))
    return folder


@pytest.mark.parametrize(
    ("words", "spread"),
    [
        (["stop.log_loss=-41"], None),
        (["seeds=3"], None),
        (["snapshots=[-20,-5]"], None),
        (["stop.max_steps=91"], 90),
        (["stop.max_steps=91", "record.up_to=90"], None),
        (["stop.max_steps=91", "stop.log_loss=-1e3", "seeds=9", "snapshots=[-1,-5]"], 90),
    ],
)
def test_more_of_the_same(tmp_path, words, spread):
    found = stored_run(compose(*WORDS, *words), stored(tmp_path, *WORDS), OPTIONS)
    assert found is not None and found.more and not found.done and found.seeds == 2 and found.spread == spread


def test_with_a_linear_grid_every_record_stays_where_it_is(tmp_path):
    words = (*WORDS, "record.every=3")
    found = stored_run(compose(*words, "stop.max_steps=91"), stored(tmp_path, *words), OPTIONS)
    assert found is not None and found.more and found.spread is None


@pytest.mark.parametrize("words", [[], ["overwrite=false"], ["record.up_to=90"]])
def test_the_same(tmp_path, words):
    """The grid of records by either setting."""
    found = stored_run(compose(*WORDS, *words), stored(tmp_path, *WORDS), OPTIONS)
    assert found is not None and found.more == bool(words and "up_to" in words[0]) and found.spread is None


@pytest.mark.parametrize(
    "words",
    ["stop.log_loss=-39", "stop.max_steps=89", "seeds=1", "snapshots=[-6]", "seed=1", "norm=ewn"],
)
def test_less_or_something_else_is_refused_whatever_else_is_more(tmp_path, words):
    more = [word for word in ("stop.log_loss=-50", "seeds=3") if word.split("=")[0] != words.split("=")[0]]
    with pytest.raises(UserError) as error:
        stored_run(compose(*WORDS, *more, words), stored(tmp_path, *WORDS), OPTIONS)
    assert f"holds a run with another configuration: {words.split('=')[0]}" in str(error.value)
    assert len(str(error.value).splitlines()) == 2


def test_fewer_snapshots_are_there_already(tmp_path):
    """`norm=ewn` after `experiment=lin_sep norm=ewn`, whose snapshots it does not ask for: the run is finished."""
    place = stored(tmp_path, *WORDS)
    fewer = [*WORDS, "snapshots=[]"]
    assert stored_run(compose(*WORDS), place, OPTIONS).more is False
    assert stored_run(compose(*fewer), place, OPTIONS).more is False
    assert stored_run(compose(*fewer, "seeds=3"), place, OPTIONS).more is True


def test_more_files_of_initial_weights_are_more_of_the_same(tmp_path):
    """The digest is of those that the stored seeds started from."""
    for seed in range(3):
        (tmp_path / f"w{seed}").write_text(str(seed))
    words = ("stop.log_loss=-40", f"model.initial_weights='{tmp_path}/w{{seed}}'")
    run = stored(tmp_path / "run", *words, "seeds=2")
    found = stored_run(compose(*words, "seeds=3"), run, OPTIONS)
    assert found is not None and found.more
    (tmp_path / "w1").write_text("another")
    with pytest.raises(UserError, match=r"another configuration: model\.initial_weights"):
        stored_run(compose(*words, "seeds=3"), run, OPTIONS)


def test_a_run_trained_once_more_takes_its_place_however_often_it_is_cut_short(tmp_path, monkeypatch):
    old = stored(tmp_path / "run", *WORDS)
    for name in ("steps.parquet", "verify.parquet", "figures/a.png", "snapshots/seed=0/pruned=1.safetensors", "mine"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text("old")
    config = compose(*WORDS, "seeds=3")
    assert begun_again(config, old) is None
    again = stored(old / further.AGAIN, *WORDS, "seeds=3")
    for name in ("steps.parquet", "snapshots/seed=0/final.safetensors"):
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        (again / name).write_text("new")
    assert begun_again(config, old) is not None and begun_again(compose(*WORDS), old) is None
    assert find_runs(tmp_path) == [old]
    real, left = Path.replace, 0

    def mortal(path, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", mortal)
    for left in (0, 1, 1):  # noqa: B007
        with pytest.raises(KeyboardInterrupt):
            take_place(old)
    monkeypatch.setattr(Path, "replace", real)
    found = status.read(old)
    assert found is not None and found.status == status.RUNNING and found.config["seeds"] == 3
    take_place(old)
    assert {str(path.relative_to(old)) for path in old.rglob("*") if path.is_file()} == {
        "run.json", "mine", "steps.parquet", "snapshots/seed=0/final.safetensors",
    }  # fmt: skip
    assert (old / "steps.parquet").read_text() == "new"
    assert not again.exists() and begun_again(config, old) is None
    found = stored_run(config, old, OPTIONS)
    assert found is not None and found.done
