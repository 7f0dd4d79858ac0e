"""A run that is trained further is bit for bit the run that would have been asked for at first."""

import errno
import os
import shutil
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.damage import KILLS, Mortal
from tests.helpers import compose
from wnexp import runner
from wnexp.runs import checkpoint, files, further, snapshots, status, writer
from wnexp.runs.reader import Run, find_runs
from wnexp.training.session import Session

pytestmark = pytest.mark.slow
# What is asked at first, the further stop, attempts of a chunk.
RUNS = {
    "gd": (["norm=swn", "stop.log_loss=-15", "optimizer=gd"], "stop.log_loss=-30", 40),
    "sgd": (["norm=ewn", "stop.log_loss=-8", "optimizer=sgd", "optimizer.batch_size=3"], "stop.log_loss=-12", 6),
    "flow": (["norm=ewn", "stop.log_loss=-12", "optimizer=flow"], "stop.log_loss=-30", 15),
}


def assert_same(one, other, seeds=None):
    """Tables, snapshots, the checkpoint and what run.json says of seeds and settings; perhaps of some seeds alone."""
    assert {path.name for path in one.glob("*.*")} == {path.name for path in other.glob("*.*")}
    for name in [path.stem for path in one.glob("*.parquet") if seeds is None or path.stem != "plane"]:
        a, b = (pq.read_table(folder / f"{name}.parquet").to_pandas() for folder in (one, other))
        if name == ".gradients":  # in the order in which they came
            a, b = (frame.sort_values(["seed", "step"], ignore_index=True) for frame in (a, b))
        if seeds is not None:
            a, b = (frame[frame["seed"].isin(seeds)].reset_index(drop=True) for frame in (a, b))
        pd.testing.assert_frame_equal(a, b, check_exact=True, obj=name)
    figures = [Run(folder).status for folder in (one, other)]
    if seeds is None:
        assert figures[0].seeds == figures[1].seeds and figures[0].config == figures[1].config
        assert (
            pq.read_schema(one / "steps.parquet").metadata[b"wnexp.config"]
            == (pq.read_schema(other / "steps.parquet").metadata[b"wnexp.config"])
        )
    assert [found.status for found in figures] == ["finished"] * 2
    pattern = "*.safetensors" if seeds is None else f"seed=[{''.join(map(str, seeds))}]/*.safetensors"
    names = sorted(path.relative_to(one) for path in one.rglob(pattern))
    assert names and names == sorted(path.relative_to(other) for path in other.rglob(pattern))
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(other.rglob("*.previous")) and not (other / further.AGAIN).exists()


@pytest.fixture
def attempts(monkeypatch):
    """Counts the attempts of all seeds, `made`; with `stop_at` the chunk of that number is stopped."""
    counted, whole = SimpleNamespace(made=0, most=10**9, stop_at=None, chunks=0), Session.chunk

    def so_far(session):
        return sum(figures["attempts"] for figures in session.seed_figures())

    def chunk(self, asked):
        counted.chunks += bool(asked)
        if asked and counted.chunks == counted.stop_at:
            raise KeyboardInterrupt
        before = so_far(self)
        rows = whole(self, min(asked, counted.most))
        counted.made += so_far(self) - before
        return rows

    monkeypatch.setattr(Session, "chunk", chunk)
    return counted


GD = ("norm=ewn", "snapshots=[-10]")
CASES = {
    # first, more, whether it goes on from its end
    "gd": ([*GD, "stop.log_loss=-40"], ["stop.log_loss=-100"], True),
    "gd, a snapshot below": ([*GD, "stop.log_loss=-40"], ["stop.log_loss=-100", "snapshots=[-10,-40,-80]"], True),
    "gd, on the grid": ([*GD, "record.every=1", "stop.log_loss=-40"], ["stop.log_loss=-60"], True),
    "gd, max_steps": (["norm=swn", "record.every=7", "stop.max_steps=50"], ["stop.max_steps=90"], True),
    "gd, the grid spread elsewhere": (["norm=swn", "stop.max_steps=90"], ["stop.max_steps=200"], False),
    "gd, the grid as it was": (
        ["norm=swn", "stop.max_steps=90", "record.points=20"], ["stop.max_steps=200", "record.up_to=90"], True,
    ),
    "gd, both": (
        ["norm=ewn", "record.every=9", "stop.max_steps=100", "stop.log_loss=-20"],
        ["stop.max_steps=300", "stop.log_loss=-60"], True,
    ),
    "gd, a snapshot above": ([*GD, "stop.log_loss=-40"], ["stop.log_loss=-60", "snapshots=[-10,-20]"], False),
    "constant": (["optimizer=gd_constant", "stop.max_steps=40", "record.every=6"], ["stop.max_steps=300"], True),
    "sgd": (["optimizer=sgd", "optimizer.batch_size=3", "norm=swn", "stop.log_loss=-5"], ["stop.log_loss=-9"], True),
    "flow": (["optimizer=flow", "norm=ewn", "stop.log_loss=-10"], ["stop.log_loss=-30"], False),
    "flow, lands there": (
        ["optimizer=flow", "norm=ewn", "stop.log_loss=-10"], ["stop.log_loss=-30", "snapshots=[-10]"], True,
    ),
    "flow, max_steps": (
        ["optimizer=flow", "norm=swn", "record.every=4", "stop.max_steps=30"],
        ["stop.max_steps=60", "stop.log_loss=-400"], True,
    ),
    "adam": (["optimizer=adam", "norm=swn", "record.every=5", "stop.max_steps=33"], ["stop.max_steps=80"], True),
    "a rare measure": (
        ["norm=ewn", "record.every=3", "record.geometry_every=2", "stop.max_steps=40"], ["stop.max_steps=61"], True,
    ),
    "single precision": (["precision=float32", "norm=ewn", "stop.log_loss=-10"], ["stop.log_loss=-20"], True),
}  # fmt: skip


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_as_if_it_had_been_asked_at_first(tmp_path, attempts, name, seeds):
    first, more, goes_on = CASES[name]
    words = [*first, f"seeds={seeds}"]
    runner.run_in(tmp_path / "whole", compose(*words, *more))
    whole, attempts.made = attempts.made, 0
    runner.run_in(tmp_path / "run", compose(*words))
    part, attempts.made = attempts.made, 0
    assert 0 < part < whole
    runner.run_in(tmp_path / "run", compose(*words, *more))
    assert attempts.made == (whole - part if goes_on else whole)
    assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.fixture
def often(monkeypatch):
    """Everything is written after every chunk."""
    monkeypatch.setattr(writer, "_SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(writer, "_WRITING_SHARE", 1e9)


@pytest.mark.parametrize("stop_at", [1, 3, 7])
@pytest.mark.parametrize("kind", ["gd", "sgd", "flow"])
def test_an_interrupted_run_goes_further(tmp_path, attempts, often, kind, stop_at):
    """Stopped while no seed, and while some had ended; and stopped on its way further too."""
    words, more = [*RUNS[kind][0], "seeds=3", "snapshots=[-3,-9]"], RUNS[kind][1]
    runner.run_in(tmp_path / "whole", compose(*words, more))
    attempts.most, attempts.stop_at, attempts.chunks = {"gd": 30, "sgd": 4, "flow": 12}[kind], stop_at, 0
    with pytest.raises(KeyboardInterrupt):
        runner.run_in(tmp_path / "run", compose(*words))
    attempts.stop_at = stop_at + 2
    with pytest.raises(KeyboardInterrupt):
        runner.run_in(tmp_path / "run", compose(*words, more))
    runner.run_in(tmp_path / "run", compose(*words, more))
    assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("kind", RUNS)
def test_killed_on_the_way_further(tmp_path, monkeypatch, random, often, attempts, kind):
    """Between the stages of any write, the first and the last ones too: a reader finds a run, the command goes on."""
    (first, stop, chunk), words = RUNS[kind], ["seeds=2", "snapshots=[-3,-9]"]
    more = [stop, "seeds=3"] if kind == "sgd" else [stop]  # there more seeds change no bit
    runner.run_in(tmp_path / "whole", compose(*first, *words, *more))
    runner.run_in(tmp_path / "run", compose(*first, *words))
    attempts.most = chunk
    disk, config = Mortal(monkeypatch), compose(*first, *words, *more)
    for series in range(KILLS):
        folder = tmp_path / f"run{series}"
        shutil.copytree(tmp_path / "run", folder)
        operations = [series + 1, *random.integers(1, 130, 200).tolist()]
        for left in operations:
            lived = disk.lives(lambda folder=folder: (0, runner.run_in(folder, config)), left)
            found = Run(folder)
            assert found.status.seeds and len(found.frame("steps")) > 1
            place = folder if (folder / "snapshots").exists() else folder / further.AGAIN  # from there in an instant
            assert Run(place).weights(1, "initial") is not None
            if lived:
                break
        assert lived, "it does not get on"
        assert_same(tmp_path / "whole", folder)


@pytest.mark.parametrize("full", ["run.json", "checkpoint.safetensors", "steps.parquet", "everything"])
def test_a_full_disk_on_the_way_further_costs_nothing_that_was_written(tmp_path, monkeypatch, full):
    """Whatever finds no room when the run sets out: the same command goes on where there is room again."""
    first, more, _ = RUNS["gd"]
    runner.run_in(tmp_path / "whole", compose(*first, more))
    runner.run_in(tmp_path / "run", compose(*first))
    real = files.write_atomically

    def write(path, content, keep_previous=False):
        if path.name == full or full == "everything":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, content, keep_previous)

    with monkeypatch.context() as disk:
        for module in (files, status, snapshots, checkpoint):
            disk.setattr(module, "write_atomically", write)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                runner.run_in(tmp_path / "run", compose(*first, more))
    runner.run_in(tmp_path / "run", compose(*first, more))
    assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("kind", ["gd", "sgd"])
def test_more_seeds_leave_the_old_ones_as_they_are(tmp_path, attempts, kind):
    """New ones have the bits that they would have had at first, also the old ones where seeds share no program."""
    first, more, _ = RUNS[kind]
    runner.run_in(tmp_path / "three", compose(*first, "seeds=3"))
    runner.run_in(tmp_path / "run", compose(*first))
    shutil.copytree(tmp_path / "run", tmp_path / "one")
    attempts.made = 0
    runner.run_in(tmp_path / "run", compose(*first, "seeds=3"))
    assert attempts.made == sum(figures["attempts"] for figures in Run(tmp_path / "run").status.seeds[1:])
    assert_same(tmp_path / "one", tmp_path / "run", seeds=[0])
    assert_same(tmp_path / "three", tmp_path / "run", seeds=[1, 2])
    if kind == "sgd":
        assert_same(tmp_path / "three", tmp_path / "run")
    attempts.made = 0
    runner.run_in(tmp_path / "run", compose(*first, "seeds=3", more))
    runner.run_in(tmp_path / "further", compose(*first, "seeds=3", more))
    assert_same(tmp_path / "further", tmp_path / "run")


def test_more_seeds_and_further_and_half_way(tmp_path, attempts, often):
    """The seeds that are there go first, by themselves."""
    first, more, _ = RUNS["gd"]
    runner.run_in(tmp_path / "one", compose(*first, more))
    runner.run_in(tmp_path / "three", compose(*first, "seeds=3", more))
    attempts.most, attempts.stop_at, attempts.chunks = 30, 3, 0
    with pytest.raises(KeyboardInterrupt):
        runner.run_in(tmp_path / "run", compose(*first))
    attempts.stop_at = None
    runner.run_in(tmp_path / "run", compose(*first, "seeds=3", more))
    assert_same(tmp_path / "one", tmp_path / "run", seeds=[0])
    assert_same(tmp_path / "three", tmp_path / "run", seeds=[1, 2])


def test_what_is_there_stays_until_it_has_been_trained_once_more(tmp_path, attempts):
    """Stopped and gone on with; what other commands made of the old end goes with it."""
    words, more = ("norm=ewn", "stop.max_steps=90", "snapshots=[-5]"), "stop.max_steps=200"
    runner.run_in(tmp_path / "whole", compose(*words, more))
    runner.run_in(tmp_path / "run", compose(*words))
    run = tmp_path / "run"
    for name in ("figures/loss.png", "pruning.parquet", "snapshots/seed=0/pruned=90,log_loss=-5.safetensors"):
        (run / name).parent.mkdir(exist_ok=True)
        shutil.copy(run / "plane.parquet", run / name)
    (run / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    attempts.most, attempts.stop_at, attempts.chunks = 30, 3, 0
    with pytest.raises(KeyboardInterrupt):
        runner.run_in(run, compose(*words, more))
    assert {path: path.read_bytes() for path in before} == before and find_runs(tmp_path) == [run, tmp_path / "whole"]
    attempts.made = 0
    runner.run_in(run, compose(*words, more))
    (run / "notes.txt").unlink()
    assert_same(tmp_path / "whole", run)
    assert not list(run.rglob("*.png")) and not list(run.rglob("*pruned*"))


def test_the_command(inside, tmp_path):
    """In the run's own directory, or by its name; less than there is stays an error."""
    assert inside("train", "norm=ewn", "stop.log_loss=-20", "device=cpu")[0] == 0
    run = tmp_path / "outputs/lin_sep/device=cpu,norm=ewn,stop.log_loss=-20"
    code, out, err = inside("train", "--config-from", run, "stop.log_loss=-30", "snapshots=[-25]")
    assert (code, err) == (0, "") and "note" not in out and Run(run).status.seeds[0]["log_loss"] <= -30
    assert Run(run).snapshot_losses == [-25] and find_runs(tmp_path) == [run]
    words = ("train", "norm=ewn", "device=cpu", f"hydra.run.dir='{run}'", "snapshots=[-25]")
    assert inside(*words, "stop.log_loss=-31", "seeds=2")[0] == 0 and Run(run).seeds == [0, 1]
    fewer = inside(*words, "stop.log_loss=-31", "seeds=2", "snapshots=[]")
    assert fewer[0] == 0 and "not run again" in fewer[1], "they are there"
    for less in ("stop.log_loss=-30", "stop.max_steps=4000", "seeds=1"):
        given = dict(word.split("=") for word in ("stop.log_loss=-31", "seeds=2", less))
        code, _, err = inside(*words, *(f"{key}={value}" for key, value in given.items()))
        assert code == 1 and f"{less.split('=')[0]} (" in err and len(err.splitlines()) == 2
    code, out, _ = inside("train", "--config-from", run, "stop.max_steps=50000")
    assert code == 0 and "trained once more" in out and "record.up_to=40000" in out
    code, out, _ = inside("train", "--config-from", run, "stop.max_steps=60000", "outputs=other")
    assert code == 0 and (tmp_path / "other/lin_sep" / run.name).exists()
    for command in (["runs"], ["plot", run], ["prune", run]):
        assert inside(*command)[0] == 0, command
