"""Kills at any moment, also between the stages of a write: the same command goes on to the same bits."""

import json
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.damage import KILLS, Mortal
from wnexp.optim import OPTIMIZERS
from wnexp.optim.transformed import Transformed
from wnexp.runs import writer
from wnexp.training import session

RUNS = {
    "gd": ["norm=swn", "stop.log_loss=-40", "optimizer=gd"],
    "sgd": ["norm=ewn", "stop.log_loss=-15", "optimizer=sgd", "optimizer.batch_size=3"],
    "flow": ["norm=ewn", "stop.log_loss=-40", "optimizer=flow"],
}
CHUNK = {"gd": 60, "sgd": 20, "flow": 25}
RULES = [name for name, rule in OPTIMIZERS.items() if isinstance(rule, Transformed)]
for place, name in enumerate(RULES):  # the state of a rule is part of what is saved; every second one in batches
    words = [f"norm={('none', 'swn', 'ewn')[place % 3]}", "stop.log_loss=-1000", "stop.max_steps=150"]
    RUNS[name] = [*words, f"optimizer={name}", f"optimizer.batch_size={(3, 'null')[place % 2]}"]
    CHUNK[name] = 25
pytestmark = pytest.mark.slow


def assert_same(one, other):
    for name in ("steps", "neurons", "samples"):
        a, b = (pd.read_parquet(folder / f"{name}.parquet") for folder in (one, other))
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    names = sorted(path.relative_to(one) for path in one.rglob("*.safetensors"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*.safetensors"))
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    figures = [json.loads((folder / "run.json").read_text())["seeds"] for folder in (one, other)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("kind", RUNS)
def test_killed_between_the_stages_of_a_write(inside, tmp_path, monkeypatch, random, kind):
    words = ["train", *RUNS[kind], "seeds=2", "snapshots=[-5,-9]"]
    assert inside(*words, "outputs=whole")[0] == 0
    monkeypatch.setattr(writer, "_SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(writer, "_WRITING_SHARE", 1e9)
    whole = session.Session.chunk
    monkeypatch.setattr(session.Session, "chunk", lambda self, attempts: whole(self, min(attempts, CHUNK[kind])))
    disk, series, kills = Mortal(monkeypatch), 0, KILLS if kind not in RULES else max(1, KILLS // 3)
    while disk.kills < kills:
        series += 1
        root = f"outputs=pieces_{series}"
        while not disk.lives(lambda root=root: inside(*words, root), int(random.integers(1, 130))):
            assert disk.kills < 20 * KILLS, "it does not get on"
        one, other = (next((tmp_path / name).glob("*/*")) for name in ("whole", f"pieces_{series}"))
        assert_same(one, other)
        assert not [path for pattern in ("*.tmp", ".*.previous", ".lock") for path in other.rglob(pattern)]


def test_kill_9(tmp_path, inside):
    """The real thing, a few times: a process killed while it trains and writes, the same command afterwards."""
    words = ["train", "norm=none", "stop.log_loss=-1e9", "stop.max_steps=80000", "seeds=2", "record.every=20"]
    script = (
        "import sys; from wnexp.runs import writer; writer._SECONDS_BETWEEN_WRITES = 0.05;"
        "writer._WRITING_SHARE = 1e9; from wnexp.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    kills = 0
    for pause in (0.1, 0.25):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *words, "outputs=pieces"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        began = time.time()
        while process.poll() is None and not any(
            path.stat().st_mtime > began for path in tmp_path.rglob("checkpoint.safetensors")
        ):
            time.sleep(0.01)
        time.sleep(pause)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills == 2
    for root in ("pieces", "whole"):
        code, _, err = inside(*words, f"outputs={root}")
        assert code == 0, err
    assert_same(*(next((tmp_path / name).glob("*/*")) for name in ("whole", "pieces")))
