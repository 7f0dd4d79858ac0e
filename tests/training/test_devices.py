"""Seeds over devices and in groups: every seed trained once, the same numbers however they are spread."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from tests.helpers import EPOCHS, SAYS_WHO_SHARES, compose
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


def test_cards_share_samples_where_a_step_is_long_and_seeds_are_few():
    share, long = devices.cards_that_share, 8.0 * devices._WORTH_A_SUM
    assert [share(seeds, 8, long) for seeds in (1, 3, 7, 8, 20)] == [8, 8, 8, 1, 1]
    assert [share(1, 8, work) for work in (0.0, 0.3 * long, 0.13 * long, 0.1 * long)] == [1, 2, 1, 1]
    assert share(1, 1, long) == 1


SHARED = (
    "import sys; from dataclasses import replace; from wnexp.training import devices, prepare, session\n"
    "devices._OF_CORES, devices._WORTH_A_SUM = frozenset(), 1\n"
    "build = prepare.build_program\n"
    "prepare.build_program = lambda config, dataset, platform: replace(build(config, dataset, 'gpu'), block=BLOCK)\n"
    + SAYS_WHO_SHARES
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "steps", "block"),
    [
        ((*EPOCHS, "norm=ewn"), 12, 10**6),
        ((*EPOCHS, "norm=none"), 12, 4),
        (("data=gaussian", "data.train_per_class=24", "norm=swn", "seeds=3", "optimizer=adam"), 60, 10**6),
        (("experiment=digits_cnn", "norm=ewn", "optimizer.batch_size=64", "precision=float64"), 3, 10**6),
    ],
    ids=["epochs", "blocks", "seeds", "convolutions"],
)
def test_samples_shared_by_eight_devices_give_the_numbers_of_one(tmp_path, words, steps, block):
    """Up to the order of sums; a batch that cannot be dealt evenly, the last one, is not."""
    found = {}
    for count in (8, 1):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
        command = [
            sys.executable,
            "-c",
            SHARED.replace("BLOCK", str(block)),
            "train",
            *words,
            f"stop.max_steps={steps}",
            f"outputs={count}",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        assert ("shared by 8 sums" if count == 8 else "shared by None alone") in done.stdout
        (file,) = (tmp_path / str(count)).rglob("steps.parquet")
        found[count] = pd.read_parquet(file)
    assert len(found[8]) > 3
    pd.testing.assert_frame_equal(found[8], found[1], rtol=1e-6, atol=1e-9)
