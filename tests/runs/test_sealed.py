"""Checksummed arrays: what was written comes back, anything else is refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.damage import mutants
from wnexp.runs.sealed import pack, unpack


def test_round_trip_and_other_tools(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(True), "c": np.zeros((0, 2), np.float32)}
    path = tmp_path / "a.safetensors"
    path.write_bytes(pack(arrays, {"note": "x"}))
    got, metadata = unpack(path)
    assert metadata == {"note": "x"} and sorted(got) == sorted(load_file(path)) == ["a", "b", "c"]
    for key, array in arrays.items():
        np.testing.assert_array_equal(got[key], array)
    save_file({"w": np.ones(3)}, path)
    assert unpack(path)[0]["w"].tolist() == [1, 1, 1], "a file of another tool has no checksum"


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    content = pack({"w": np.array([1.5, -2.0]), "v": np.arange(2)}, {"rows": "7"})
    path.write_bytes(content)
    expected = unpack(path)
    silent = []
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            arrays, metadata = unpack(path)
        except ValueError:
            continue
        same = metadata == expected[1] and all((arrays[k] == v).all() for k, v in expected[0].items())
        if not same and b"sha256" in flipped:  # a flip in the name of the checksum leaves a file without one
            silent.append(position)
    assert not silent


@pytest.mark.parametrize("header", [b'{"w":{"dtype":"F64","shape":[1000000000000],"data_offsets":[0,8]}}', b"[" * 100])
def test_lying_headers(tmp_path, header):
    path = tmp_path / "a.safetensors"
    for length in (len(header), 2**40, 2**63):
        path.write_bytes(length.to_bytes(8, "little") + header + bytes(8))
        with pytest.raises(ValueError, match=r".+") as error:
            unpack(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused(tmp_path, random, count):
    path = tmp_path / "a.safetensors"
    refused = 0
    for mutant in mutants(pack({"w": np.ones((3, 2)), "v": np.arange(4)}, {}), count, random):
        path.write_bytes(mutant)
        try:
            unpack(path)
        except ValueError:
            refused += 1
    assert refused > count / 2


def test_numbers_that_numpy_lacks_are_named(tmp_path):
    """An 8 bit float, as quantized networks are stored."""
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match="numbers of type float8_e4m3fn, which numpy does not have; allowed: float16"):
        unpack(tmp_path / "w.safetensors")
