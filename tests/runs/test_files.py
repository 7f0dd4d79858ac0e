"""Files of a run directory: whole or not there, checked, and small enough for the memory."""

import errno
import os

import numpy as np
import pyarrow as pa
import pytest

from wnexp import resources
from wnexp.errors import UserError
from wnexp.runs import files


def test_a_file_is_renamed_into_place_and_the_version_before_kept(tmp_path):
    path = tmp_path / "run.json"
    for text in ("one", "two", "three"):
        files.write_atomically(path, lambda temporary, text=text: temporary.write_text(text), keep_previous=True)
    assert path.read_text() == "three" and files.previous(path).read_text() == "two"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".run.json.previous", "run.json"]
    files.write_atomically(path, lambda temporary: temporary.write_text("four"))
    assert path.read_text() == "four" and files.previous(path).read_text() == "two"


def test_a_write_that_fails_names_the_file_and_leaves_it_as_it_was(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("before")

    def full(temporary):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))

    with pytest.raises(OSError, match="No space left") as error:
        files.write_atomically(path, full)
    assert error.value.filename == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"] and path.read_text() == "before"


def test_a_flipped_bit_in_a_table_is_noticed(tmp_path):
    path = tmp_path / "steps.parquet"
    files.write_table(path, pa.table({"step": np.random.default_rng(0).normal(size=100)}))
    assert files.read_table(path).num_rows == 100
    content = bytearray(path.read_bytes())
    content[200] ^= 4
    path.write_bytes(content)
    with pytest.raises((OSError, ValueError), match=r"(?i)crc|checksum|corrupt"):
        files.read_table(path)


def test_a_table_of_more_rows_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """Twenty million equal numbers are a few kilobytes on the disk."""
    files.write_table(tmp_path / "steps.parquet", pa.table({"step": np.zeros(20_000_000)}))
    assert (tmp_path / "steps.parquet").stat().st_size < 200_000
    assert files.read_table(tmp_path / "steps.parquet").num_rows == 20_000_000
    monkeypatch.setattr(resources, "available", lambda: 10**8)
    with pytest.raises(UserError, match="GiB of memory"):
        files.read_table(tmp_path / "steps.parquet")


def test_paths_are_shown_as_they_would_be_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        files.shown(tmp_path / "outputs" / "a") == "outputs/a" == files.shown(tmp_path / "x" / ".." / "outputs" / "a")
    )
    assert files.shown(tmp_path.parent / "other") == str(tmp_path.parent / "other")
