"""A run that is trained further is bit for bit the run that would have been asked for at first."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.helpers import compose
from wnexp import runner
from wnexp.runs import further
from wnexp.runs.reader import Run
from wnexp.training.session import Session


def assert_same(one, other, seeds=None):
    """Tables, snapshots, the checkpoint and what run.json says of seeds and settings; perhaps of some seeds alone."""
    assert {path.name for path in one.glob("*.*")} == {path.name for path in other.glob("*.*")}
    for name in ("steps", "neurons", "samples", ".gradients"):
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
    names = sorted(path.relative_to(one) for path in one.rglob("*.safetensors"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*.safetensors"))
    for name in names:
        if seeds is None or name.parent.name in {f"seed={seed}" for seed in seeds}:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(other.rglob("*.previous")) and not (other / further.AGAIN).exists()


@pytest.fixture
def attempts(monkeypatch):
    """Counts the attempts that sessions make; `stop_at` interrupts after so many chunks of at most `most` attempts."""

    class Counted:
        made, most, stop_at, chunks = 0, 10**9, None, 0

    whole = Session.chunk

    def chunk(self, asked):
        before = max(figures["attempts"] for figures in self.seed_figures())
        if asked:
            Counted.chunks += 1
            if Counted.chunks == Counted.stop_at:
                raise KeyboardInterrupt
        rows = whole(self, min(asked, Counted.most))
        Counted.made += max(figures["attempts"] for figures in self.seed_figures()) - before
        return rows

    monkeypatch.setattr(Session, "chunk", chunk)
    return Counted


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
    "single precision": (["precision=float32", "norm=ewn", "stop.log_loss=-10"], ["stop.log_loss=-20"], True),
}  # fmt: skip


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(
    "name", [name if name == "gd" else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
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
