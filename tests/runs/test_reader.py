"""The run directory: finding runs, weights files, what differs."""

import numpy as np
import pyarrow as pa
import pytest

from wnexp import images, memory, records
from wnexp.config import Config, DataConfig, UserError


def test_weights_round_trip_with_the_contracts_keys(tmp_path):
    weights = ({"weight": np.ones((2, 3)), "bias": np.zeros(3)}, {"weight": np.ones((3, 1), np.float32)})
    records.save_weights(tmp_path / "w.safetensors", weights)
    loaded = records.load_weights(tmp_path / "w.safetensors")
    assert sorted(loaded) == ["layers.0.bias", "layers.0.weight", "layers.1.weight"]
    assert loaded["layers.1.weight"].dtype == np.float32
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a readable weights file"):
        records.load_weights(tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="not a readable weights file"):
        records.load_weights(tmp_path / "none.safetensors")


def test_differing_keys_are_named():
    assert records.differing_keys({"a": 1, "b": [1.0]}, {"a": 2, "b": [1.0]}) == ["a (1 -> 2)"]


def test_a_file_is_the_same_in_another_place_and_another_with_other_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.npz").write_bytes(b"data")
    first = records.identity(Config(data=DataConfig(name="file", path="d.npz")))
    assert first["data.path"] == str(tmp_path / "d.npz")
    (tmp_path / "moved").mkdir()
    monkeypatch.chdir(tmp_path / "moved")
    again = records.identity(Config(data=DataConfig(name="file", path="../d.npz")))
    assert again == first
    (tmp_path / "d.npz").rename(tmp_path / "moved/e.npz")
    moved = records.identity(Config(data=DataConfig(name="file", path="e.npz")))
    assert moved != first and records.differing_keys(first, moved) == []
    (tmp_path / "moved/e.npz").write_bytes(b"other")
    changed = records.identity(Config(data=DataConfig(name="file", path="e.npz")))
    assert [key.split(" (")[0] for key in records.differing_keys(first, changed)] == ["data.path", "data.path"]


def test_the_files_in_a_folder_of_data_belong_to_the_run(tmp_path):
    config = Config(data=DataConfig(name="mnist", dir=str(tmp_path)))
    assert "data.dir (sha256)" not in records.identity(config)
    for name in images.SOURCES["mnist"].files:
        (tmp_path / name.removesuffix(".gz")).write_bytes(name.encode())
    (tmp_path / "notes.txt").write_text("not of the data set")
    first = records.identity(config)
    (tmp_path / "notes.txt").unlink()
    assert records.identity(config) == first
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"changed")
    (differing,) = records.differing_keys(first, records.identity(config))
    assert differing.startswith("data.dir (sha256) (")


def test_runs_and_broken_status(tmp_path):
    run = tmp_path / "x" / "run"
    run.mkdir(parents=True)
    records.write_status(run, {"status": "finished", "config": {"seed": 5, "norm.name": "swn"}, "seeds": []})
    assert records.find_runs(tmp_path) == [tmp_path / "x" / "run"]
    assert records.read_status(tmp_path) is None
    for damage in ("{", "[]", "{}", '{"status": "finished", "config": {}, "seeds": []}', "\udc80"):
        (run / "run.json").write_text(damage, errors="surrogateescape")
        with pytest.raises(UserError, match="overwrite=true"):
            records.read_status(run)


def test_a_table_of_more_rows_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """Twenty million equal numbers are a few kilobytes on the disk."""
    records.write_table(tmp_path / "steps.parquet", pa.table({"step": np.zeros(20_000_000)}))
    assert (tmp_path / "steps.parquet").stat().st_size < 200_000
    assert records.read_table(tmp_path / "steps.parquet").num_rows == 20_000_000
    monkeypatch.setattr(memory, "available", lambda: 10**8)
    with pytest.raises(UserError, match="GiB of memory"):
        records.read_table(tmp_path / "steps.parquet")


def test_a_changed_digit_in_the_status_is_noticed_and_the_version_before_used(tmp_path):
    status = {"status": "running", "config": {"seed": 5, "norm.name": "swn"}, "seeds": [], "loop_seconds": 1.25}
    for seconds in (1.25, 2.5):
        records.write_status(tmp_path, status | {"loop_seconds": seconds}, keep_previous=True)
    path = tmp_path / "run.json"
    assert (records.read_status(tmp_path) or {})["loop_seconds"] == 2.5
    path.write_text(path.read_text().replace("2.5", "3.5"))
    assert records.read_status(tmp_path) == status
    records.previous(path).unlink()
    with pytest.raises(UserError, match="its checksum differs"):
        records.read_status(tmp_path)
