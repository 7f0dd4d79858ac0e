"""Files of data that are not trusted: refused with a line, no code run, memory bounded."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.damage import mutants
from wnexp import resources
from wnexp.data.archives import read_npz
from wnexp.errors import UserError

NAMES = ("train_x", "train_y")


def npz(path, **members):
    """An archive of `name -> bytes of an .npy file`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array=None, header="", version=b"\x01\x00"):
    if array is not None:
        stream = io.BytesIO()
        np.save(stream, array)
        return stream.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


def test_wanted_arrays_come_back_and_others_are_not_touched(tmp_path):
    path = npz(tmp_path / "d.npz", train_x=npy(np.arange(6.0).reshape(2, 3)), other=b"no array")
    arrays = read_npz(path, NAMES, "d")
    assert list(arrays) == ["train_x"]
    np.testing.assert_array_equal(arrays["train_x"], np.arange(6.0).reshape(2, 3))
    np.savez_compressed(tmp_path / "c.npz", train_x=np.asfortranarray(np.ones((3, 2), np.float32)))
    assert read_npz(tmp_path / "c.npz", NAMES, "c")["train_x"].dtype == np.float32


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
NEGATIVE = "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }"
CODE = "{'descr': __import__('os').mkdir('owned'), 'fortran_order': False, 'shape': (1,), }"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (npy(header=HUGE) + bytes(8), "not its 88 bytes"),
        (npy(header=OBJECTS) + bytes(8), "it holds Python objects"),
        (npy(header=NEGATIVE) + bytes(8), "shape"),
        (npy(header=CODE) + bytes(8), "malformed"),
        (npy(header="(" * 5000) + bytes(8), ""),
        (npy(header=HUGE, version=b"\x07\x00"), "format"),
        (b"text", "magic"),
        (b"", ""),
    ],
    ids=["huge", "objects", "negative", "code", "deep", "version", "text", "empty"],
)
def test_hostile_arrays(tmp_path, monkeypatch, content, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"d: not a readable \.npz file") as error:
        read_npz(npz(tmp_path / "d.npz", train_x=content), NAMES, "d")
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "owned").exists()


def test_a_zip_bomb_is_weighed_before_it_is_unpacked(tmp_path, monkeypatch):
    path = npz(tmp_path / "d.npz", train_x=npy(np.zeros(4_000_000)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(resources, "available", lambda: 50_000_000)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"d takes about 0\.1 GiB of memory, 0\.0 GiB are available"):
        read_npz(path, NAMES, "d")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"a,b\n1,2\n", "no zip archive"), (npy(np.ones(3)), "a single array"), (b"", "no zip archive")],
    ids=["text", "npy", "empty"],
)
def test_other_files(tmp_path, content, reason):
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_npz(tmp_path / "d.npz", NAMES, "d")


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused(tmp_path, random, count):
    path = tmp_path / "d.npz"
    np.savez(path, train_x=random.normal(size=(4, 3)), train_y=np.array([1, -1, 1, -1]))
    refused, original = 0, path.read_bytes()
    tracemalloc.start()
    for mutant in mutants(original, count, random):
        path.write_bytes(mutant)
        try:
            read_npz(path, NAMES, "d")
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > count / 2 and peak < 50_000_000
