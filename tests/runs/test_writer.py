"""The records of a run that is going on: schemas, nulls, checkpoints, a full disk."""

import errno
import json
import os
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.invariants import columns_of, recorded_tables
from wnexp.errors import UserError
from wnexp.runs import status, writer
from wnexp.runs.status import Status
from wnexp.runs.writer import Records, remove_scratch

SEEDS = np.array([5, 6])
RECORDS = ["neurons.parquet", "run.json", "samples.parquet", "steps.parquet"]


class Rows(NamedTuple):
    """What a chunk recorded."""

    valid: np.ndarray
    step: np.ndarray
    blocks: list[Any]


def rows(slots=3, first=0):
    """Rows of a chunk of two seeds, one layer of two neurons, three samples; the second seed misses a slot."""
    valid = np.ones((slots, 2), bool)
    valid[1, 1] = False
    real = np.arange(slots * 2.0).reshape(slots, 2)
    neurons = {name: np.ones((slots, 2, 2)) for name in ("weight_norm", "norm_ratio", "alignment")}
    neurons["direction"] = np.arange(slots * 2 * 3 * 2.0).reshape(slots, 2, 3, 2)
    numbers = {"log_loss": real, "log_time": np.where(real == 0, -np.inf, real), "attempts": real.astype(int)}
    blocks = [
        ("steps", valid, numbers),
        ("neurons", valid, {0: neurons}),
        ("samples", valid, {"margin": np.ones((slots, 2, 3)), "loss_share": np.full((slots, 2, 3), np.nan)}),
        (".gradients", valid, {"gradient": np.ones((slots, 2, 4)) / 2}),
    ]
    return Rows(valid, np.arange(slots * 2).reshape(slots, 2) * 10 + first, blocks)


def opened(folder):
    folder.mkdir(parents=True, exist_ok=True)
    now = Status(status=status.RUNNING, config={"seed": 5, "norm.name": "ewn"}, seeds=[])
    return Records(folder, now, recorded_tables())


def test_tables_have_the_contracts_columns_and_nulls(tmp_path):
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    record.save()
    steps = pd.read_parquet(tmp_path / "steps.parquet")
    assert steps.columns.tolist() == columns_of("steps")
    assert steps["seed"].tolist() == [5, 6, 5, 5, 6] and steps["step"].tolist() == [0, 10, 20, 40, 50]
    table = pq.read_table(tmp_path / "steps.parquet")
    assert table["log_time"].null_count == 1, "minus infinity is no value"
    assert table["limit_cosine"].null_count == 5 and table["log_loss"].null_count == 0
    neurons = pd.read_parquet(tmp_path / "neurons.parquet")
    assert neurons.columns.tolist() == columns_of("neurons") and len(neurons) == 10
    np.testing.assert_array_equal(neurons["direction"][1], [1, 3, 5])
    samples = pq.read_table(tmp_path / "samples.parquet")
    assert samples.column_names == columns_of("samples") and samples["loss_share"].null_count == 15
    metadata = table.schema.metadata
    assert b"wnexp.config" in metadata and b"wnexp.versions" in metadata
    assert table.schema.field("log_loss").metadata[b"unit"].startswith(b"nats")


def test_finish_fills_limit_cosine_sorts_and_removes_scratch(tmp_path):
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    record.save([np.ones(2)])
    assert (tmp_path / ".gradients.parquet").exists() and (tmp_path / "checkpoint.safetensors").exists()
    directions = np.stack([np.ones(4) / 2, np.array([1.0, 0, 0, 0])])
    record.finish(directions, SEEDS, None, [np.zeros(2)])
    steps = pd.read_parquet(tmp_path / "steps.parquet")
    assert steps["seed"].tolist() == [5, 5, 5, 6, 6] and steps["step"].is_monotonic_increasing is False
    np.testing.assert_allclose(steps["limit_cosine"], [1, 1, 1, 0.5, 0.5])
    assert not list(tmp_path.glob(".*.tmp")) and not list(tmp_path.glob(".*.previous"))
    end = opened(tmp_path).restore()
    assert end is not None and end.leaves[0].tolist() == [0, 0], "to train it further"


def test_a_finished_run_keeps_what_it_can_go_on_from_within_a_bound(tmp_path, monkeypatch):
    """The gradients of a large network are more than its records."""
    monkeypatch.setattr(writer, "MOST_KEPT", 100)
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    record.save([np.ones(2)])
    record.finish(np.ones((2, 4)) / 2, SEEDS, None, [np.zeros(2)])
    names = {path.name for path in tmp_path.iterdir()}
    assert {*RECORDS} <= names and not names & {".gradients.parquet", "checkpoint.safetensors"}


def test_checkpoint_restores_leaves_and_cuts_tables_back(tmp_path):
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    record.save([np.arange(3), np.array(True), np.array([1.5])])
    record.append(rows(first=100), SEEDS)
    record.save()  # tables run ahead of the checkpoint, as after a kill
    assert len(pd.read_parquet(tmp_path / "steps.parquet")) == 10
    again = opened(tmp_path)
    found = again.restore()
    assert found is not None and [leaf.tolist() for leaf in found.leaves] == [[0, 1, 2], True, [1.5]]
    assert again.table("steps").num_rows == 5 and again.table("neurons").num_rows == 10
    assert opened(tmp_path / "empty").restore() is None


def two_checkpoints(folder):
    """A run with two checkpoints, and rows in the tables beyond them."""
    record = opened(folder)
    for start in range(3):
        record.append(rows(first=100 * start), SEEDS)
        record.save([np.arange(4) + start] if start < 2 else None)
    return folder


def damaged(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[len(content) // 2 :]
    elif how == "gone":
        path.unlink()
        return
    else:  # a bit somewhere in the numbers, past the magic and the header
        content[len(content) // 2 if path.suffix == ".safetensors" else 60] ^= 4
    path.unlink()  # its older version may be the same file by a link
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
@pytest.mark.parametrize("name", ["checkpoint.safetensors", "steps.parquet", "neurons.parquet", ".gradients.parquet"])
def test_damage_falls_back_to_the_state_before(tmp_path, name, how):
    two_checkpoints(tmp_path)
    damaged(tmp_path / name, how)
    again = opened(tmp_path)
    found = again.restore()
    last = 0 if name.startswith("checkpoint") else 1
    assert found is not None and found.leaves[0].tolist() == (np.arange(4) + last).tolist()
    assert again.table("steps").num_rows == 5 * (last + 1) and again.table(".gradients").num_rows == 5 * (last + 1)
    assert again.table("neurons").num_rows == 10 * (last + 1)
    assert max(again.table("steps")["step"].to_pylist()) == 50 + 100 * last
    said = name.startswith("checkpoint") and how != "gone"
    assert [note.startswith("damaged and left aside: checkpoint") for note in again.notes] == [True] * said


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "steps.parquet"])
def test_damage_to_both_versions_is_one_line(tmp_path, name):
    two_checkpoints(tmp_path)
    damaged(tmp_path / name, "flipped")
    damaged(tmp_path / f".{name}.previous", "cut")
    with pytest.raises(UserError, match=f"cannot be resumed .*{name}") as error:
        opened(tmp_path).restore()
    assert "\n" not in str(error.value) and "overwrite=true" in str(error.value)


def test_a_kill_while_finishing_loses_no_row(tmp_path):
    """The tables are sorted and filled already, the checkpoint is of before."""
    record = two_checkpoints(tmp_path)
    checkpoint, scratch = (record / name for name in ("checkpoint.safetensors", ".gradients.parquet"))
    kept = {path: path.read_bytes() for path in (checkpoint, scratch)}
    again = opened(tmp_path)
    again.restore()
    again.finish(np.ones((2, 4)) / 2, SEEDS, None, [np.zeros(2)])
    for path, content in kept.items():
        path.write_bytes(content)
    once_more = opened(tmp_path)
    assert once_more.restore() is not None
    order = [("seed", "ascending"), ("step", "ascending")]
    steps, gradients = (once_more.table(name).sort_by(order) for name in ("steps", ".gradients"))
    assert steps["step"].to_pylist() == gradients["step"].to_pylist() and steps.num_rows == 10


def test_a_full_disk_leaves_the_last_good_file(tmp_path, monkeypatch):
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    record.save([np.arange(3)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    record.append(rows(), SEEDS)
    with pytest.raises(OSError, match="No space left"):
        record.save([np.arange(4)])
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == {name: content for name, content in before.items() if not name.endswith(".previous")}


def test_a_disk_without_room_for_the_status_gives_up_its_scratch(tmp_path, monkeypatch):
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    record.save()
    scratch, real = tmp_path / ".gradients.parquet", os.fsync

    def full(descriptor):
        if scratch.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    record.append(rows(), SEEDS)
    assert not record.fail("the disk is full"), "there is no checkpoint"
    assert json.loads((tmp_path / "run.json").read_text())["error"] == "the disk is full"
    assert len(pd.read_parquet(tmp_path / "steps.parquet")) == 5


def test_what_an_earlier_run_left_is_cleared_and_nothing_of_others(tmp_path):
    record = two_checkpoints(tmp_path)
    for name in ("snapshots/seed=0/final.safetensors", "figures/loss.png", "notes.txt", ".steps.parquet.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    opened(record).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_scratch_is_removed_and_what_a_run_goes_on_from_is_kept(tmp_path):
    (two_checkpoints(tmp_path) / ".steps.parquet.tmp").write_text("")
    remove_scratch(tmp_path)
    kept = [".gradients.parquet", "checkpoint.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*kept, *RECORDS]


def test_the_last_records_of_seeds_are_taken_back(tmp_path):
    """From every table, scratch too; and what the record before them said is told."""
    record = opened(tmp_path)
    record.append(rows(), SEEDS)
    before = record.take_back(np.array([5]))
    assert {name: values.tolist() for name, values in before.items()} == {
        "step": [20], "log_loss": [2.0], "log_time": [2.0], "lowest": [0.0],
    }  # fmt: skip
    for name, items in (("steps", 1), ("neurons", 2), ("samples", 3), (".gradients", 1)):
        table = record.table(name)
        steps = {seed: [row["step"] for row in table.to_pylist() if row["seed"] == seed] for seed in (5, 6)}
        assert steps == {5: [0] * items + [20] * items, 6: [10] * items + [50] * items}, name
    record.take_back(np.array([5, 6]))
    first = record.take_back(np.array([5, 6]))
    assert first["step"].tolist() == [-1, -1] and np.isnan(first["log_loss"]).all() and np.isnan(first["lowest"]).all()
    assert record.table("steps").num_rows == record.table("neurons").num_rows == 0
