"""Reading an `.npz` file that is not trusted: what it says of itself is checked before memory is taken."""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wnexp import resources
from wnexp.errors import UserError

NAMES = ("train_x", "train_y", "test_x", "test_y")
_COPIES = 3  # as stored, as float64, as the run's precision
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path, names: Sequence[str], source: str) -> dict[str, np.ndarray]:
    """Those of the arrays that the file holds. Raises `UserError` that names `source` and what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.getinfo(f"{name}.npy") for name in names if f"{name}.npy" in archive.namelist()}
            resources.check(_COPIES * sum(_promised(archive, entry) for entry in entries.values()), source)
            return {name: _read(archive, entry) for name, entry in entries.items()}
    except UserError:
        raise
    except zipfile.BadZipFile as error:
        reason = str(error) if zipfile.is_zipfile(path) else _kind(path)
    except Exception as error:  # a stranger's file: whatever is wrong with it, it is the file
        reason = (str(error) or type(error).__name__).splitlines()[0]
    raise UserError(f"{source}: not a readable .npz file ({reason})")


def names(path: Path) -> list[str]:
    """The names of all arrays in a file that `read_npz` has read."""
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _kind(path: Path) -> str:
    with path.open("rb") as handle:
        return "a single array" if handle.read(6) == b"\x93NUMPY" else "no zip archive"


def _promised(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Bytes of the array as float64. Raises `ValueError` if header and archive do not agree."""
    with archive.open(entry) as stream:
        shape, kind = _header(stream)
        size = math.prod(shape)
        if stream.tell() + size * kind.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename} says {shape} of {kind}, which is not its {entry.file_size:,} bytes")
    return size * 8


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of format {version}")
    shape, _, kind = _HEADERS[version](stream)
    if kind.hasobject:
        raise ValueError("it holds Python objects")
    if any(length < 0 for length in shape):
        raise ValueError(f"an array of shape {shape}")
    return shape, kind


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
