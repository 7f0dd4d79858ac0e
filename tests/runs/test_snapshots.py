"""Snapshots: names, the contract's keys, what is not a weights file."""

import numpy as np
import pytest

from wnexp.errors import UserError
from wnexp.nn.weights import to_arrays
from wnexp.runs import snapshots


def test_weights_round_trip_with_the_contracts_keys(tmp_path):
    weights = ({"weight": np.ones((2, 3)), "bias": np.zeros(3)}, {"weight": np.ones((3, 1), np.float32)})
    written = snapshots.write(tmp_path, 3, snapshots.FINAL, to_arrays(weights))
    assert written == tmp_path / "snapshots/seed=3/final.safetensors"
    loaded = snapshots.read(written)
    assert sorted(loaded) == ["layers.0.bias", "layers.0.weight", "layers.1.weight"]
    assert loaded["layers.1.weight"].dtype == np.float32
    for key, array in to_arrays(weights).items():
        np.testing.assert_array_equal(loaded[key], array)
    written.write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a readable weights file"):
        snapshots.read(written)
    with pytest.raises(UserError, match=r"none\.safetensors: no such file"):
        snapshots.read(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="a folder, not a weights file"):
        snapshots.read(tmp_path)


def test_levels_come_from_the_names(tmp_path):
    levels = [-10.0, -300.0, -1e6, -0.5, -2.25e-5]
    for seed, level in enumerate(levels):
        snapshots.write(tmp_path, seed, snapshots.at(level), {"w": np.ones(1)})
    for name in (snapshots.INITIAL, snapshots.FINAL, "log_loss=-10,removed=50", "log_loss=x"):
        snapshots.write(tmp_path, 0, name, {"w": np.ones(1)})
    assert snapshots.log_losses(tmp_path) == sorted(levels, reverse=True)
    assert snapshots.log_losses(tmp_path / "none") == []
