"""Seeds over devices and in groups: every seed trained once, the same numbers however they are spread."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from tests.helpers import compose
from wnexp.errors import UserError
from wnexp.training import devices
from wnexp.training.program import build_network, work

WORDS = ["norm=ewn", "stop.log_loss=-60", "snapshots=[-20]", "stop.max_steps=700"]


def test_float64_on_a_device_without_it_is_a_clear_error():
    with pytest.raises(UserError, match="float32"):
        devices.check_precision("float64", "tpu")
    devices.check_precision("float32", "tpu")
    devices.check_precision("float64", "gpu")


@pytest.mark.parametrize("count", [3, 4, 5, 11, 16])
def test_groups_hold_every_active_place_and_no_place_twice(monkeypatch, count):
    monkeypatch.setattr(devices, "_CPU_SEEDS", 4)
    batch = devices.SeedBatch(np.arange(count), jax.devices()[:1])
    assert batch.width == min(count, 4) and batch.total >= count
    rng = np.random.default_rng(count)
    for active in [np.ones(batch.total, bool), np.zeros(batch.total, bool), *(rng.random((20, batch.total)) < 0.4)]:
        groups = batch.groups(active)
        assert set(np.flatnonzero(active)) <= set(np.concatenate(groups).tolist())
        assert all(len(group) == len(set(group.tolist())) == batch.width for group in groups)
        assert batch.whole or len(groups) == max(1, -(-int(active.sum()) // 4)), "done seeds are not computed along"


def tables(folder):
    directory = next(folder.glob("*/*"))
    assert json.loads((directory / "run.json").read_text())["status"] == "finished"
    snapshots = sorted(directory.glob("snapshots/seed=[0-3]/*"))
    weights = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in snapshots}
    reached = pd.read_parquet(directory / "steps.parquet").query("log_loss <= -20 and seed < 4")["seed"].unique()
    assert sum("log_loss" in name for name in weights) == len(reached) > 1
    return pd.read_parquet(directory / "steps.parquet"), pd.read_parquet(directory / "neurons.parquet"), weights


@pytest.mark.slow
def test_seeds_in_groups_have_the_rows_of_a_group_alone(inside, tmp_path, monkeypatch):
    """Eleven seeds in groups of four, some done long before others, against the first four as the only group."""
    monkeypatch.setattr(devices, "_CPU_SEEDS", 4)
    for seeds in (11, 4):
        code, _, err = inside("train", *WORDS, f"seeds={seeds}", f"outputs={seeds}")
        assert code == 0, err
    many, alone = tables(tmp_path / "11"), tables(tmp_path / "4")
    assert sorted(many[0]["seed"].unique()) == list(range(11)), "every seed has its rows"
    for table, few in zip(many[:2], alone[:2], strict=True):
        own = table[table["seed"] < 4].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            own.drop(columns=["limit_cosine"], errors="ignore"),
            few.drop(columns=["limit_cosine"], errors="ignore"),
            check_exact=True,
        )
    assert many[2] == alone[2]


@pytest.mark.slow
def test_eight_devices_are_all_used_and_change_no_number(tmp_path):
    script = (
        "import sys; from wnexp.training import devices, session; devices._CPU_SEEDS = 2\n"
        "whole = session.Session.chunk\n"
        "def chunk(self, attempts):\n"
        "    parts = whole(self, attempts)\n"
        "    used = self._state.seed.sharding.device_set if self.batch.whole else [0]\n"
        "    print('used', len(used))\n"
        "    return parts\n"
        "session.Session.chunk = chunk\n"
        "from wnexp.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    used = {}
    for count in (8, 1):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
        words = [sys.executable, "-c", script, "train", *WORDS, "seeds=15", f"outputs={count}"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        used[count] = {line for line in done.stdout.splitlines() if line.startswith("used")}
    assert used == {8: {"used 8"}, 1: {"used 1"}}
    for one, other in zip(tables(tmp_path / "8")[:2], tables(tmp_path / "1")[:2], strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_auto_takes_the_cpu_for_tiny_networks(monkeypatch):
    """What is asked of JAX; a GPU is not needed to see it."""
    asked = []
    monkeypatch.setattr(jax, "local_devices", lambda backend=None: asked.append(backend) or jax.devices())

    def of(*words):
        config = compose(*words)
        dataset = config.data.load()
        return work(build_network(config, dataset), len(dataset.train_x), config.seeds)

    assert of() == (2 * 8 + 8) * 4
    large = of("data=gaussian", "data.inputs=784", "data.train_per_class=500", "model.widths=[1024]")
    for amount, name in ((of(), "auto"), (large, "auto"), (of(), "cpu")):
        devices.open_devices(name, "float64", amount)
    assert asked == ["cpu", None, "cpu"]
