"""The run directory: finding runs, weights files, what differs."""

import numpy as np
import pytest

from wnexp import records
from wnexp.config import UserError


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


def test_runs_and_broken_status(tmp_path):
    run = tmp_path / "x" / "run"
    run.mkdir(parents=True)
    records.write_json(run / "run.json", {"status": "finished", "config": {"seed": 5, "norm.name": "swn"}, "seeds": []})
    assert records.find_runs(tmp_path) == [tmp_path / "x" / "run"]
    assert records.read_status(tmp_path) is None
    for damage in ("{", "[]", "{}", '{"status": "finished", "config": {}, "seeds": []}', "\udc80"):
        (run / "run.json").write_text(damage, errors="surrogateescape")
        with pytest.raises(UserError, match="overwrite=true"):
            records.read_status(run)
