"""The formats that image data sets are published in: IDX (MNIST and what follows it), the python archives of CIFAR.

What is in the files is not trusted: sizes are checked before memory is taken, and the archives' pickles call nothing.
"""

import gzip
import io
import math
import pickle
import pickletools
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wnexp.errors import UserError


class RawImages(NamedTuple):
    """Raw images `(n, height, width, channels)` and labels `(n,)`, both uint8."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


_LARGEST = 2**31  # bytes of one array
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
_UNREADABLE += (zlib.error, struct.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file, gzip or plain. Raises `ValueError` if its size is not what it says."""
    with decompressed(path) as stream:
        return _idx(stream)


def decompressed(path: Path) -> io.BufferedIOBase:
    """The file opened, through gzip if it is compressed."""
    with path.open("rb") as plain:
        compressed = plain.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _idx(stream: io.BufferedIOBase) -> np.ndarray:
    zero, kind, rank = struct.unpack(">HBB", stream.read(4))
    if (zero, kind) != (0, 8) or not 1 <= rank <= 3:
        raise ValueError("not an IDX file of bytes")
    shape = struct.unpack(f">{rank}I", stream.read(4 * rank))
    size = math.prod(shape)
    if size > _LARGEST:
        raise ValueError(f"its header promises {size:,} bytes")
    content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"its header promises {size:,} bytes, it holds {'more' if len(content) > size else 'fewer'}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_mnist(paths: list[Path], packed: Sequence[str] = ()) -> RawImages:
    """From four IDX files, or from one zip file that holds them, compressed, under the names `packed`."""

    def read(path: Path) -> list[np.ndarray]:
        arrays = []
        with zipfile.ZipFile(path) as archive:
            for name in packed:
                with archive.open(name) as member, gzip.open(member) as stream:
                    arrays.append(_idx(stream))
        return arrays

    arrays = named(paths[0], read) if len(paths) == 1 else [named(path, read_idx) for path in paths]
    train_x, train_y, test_x, test_y = (array[..., None] if array.ndim == 3 else array for array in arrays)
    return RawImages(train_x, train_y, test_x, test_y)


class _Array:
    """Stands in for numpy's array and dtype in a pickle: remembers what it is given, does nothing."""

    def __init__(self, *arguments: Any):
        self.arguments = arguments

    def __setstate__(self, state: Any):
        self.state = state

    def value(self) -> np.ndarray:
        """The uint8 array. Raises `ValueError` for any other content."""
        _, shape, kind, _, content = self.state
        if kind.arguments[0] not in (b"u1", "u1") or len(content) != math.prod(shape):
            raise ValueError("not an array of bytes")
        return np.frombuffer(content, np.uint8).reshape(shape)


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): lambda text, _: text.encode("latin-1"),
}


class _Unpickler(pickle.Unpickler):
    """Reads dicts of plain values and byte arrays; every other name in the file is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _STAND_INS[module, name]


def read_pickle(content: bytes) -> dict[Any, Any]:
    """The dict of a pickled batch. Raises `pickle.UnpicklingError` for anything but plain values and byte arrays."""
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and int(argument or 0) > len(content):  # the reader would allocate so many places
            raise pickle.UnpicklingError("a memo index beyond its size")
    return _Unpickler(io.BytesIO(content), encoding="bytes").load()


def _read_batch(content: bytes, labels: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = read_pickle(content)
    x = batch[b"data"].value() if isinstance(batch[b"data"], _Array) else None
    if x is None or x.shape[1:] != (3072,):
        raise ValueError("its data are not images of 32 x 32 x 3 bytes")
    return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(batch[labels], np.uint8)


def read_cifar(paths: list[Path], folder: str, batches: Sequence[str], labels: bytes) -> RawImages:
    """From the batches, the last one for testing, or from the archive that holds them in `folder`."""

    def read(path: Path):
        with tarfile.open(path, "r:*") as archive:
            members = [archive.extractfile(f"{folder}/{name}") for name in batches]
            return [_read_batch(member.read(_LARGEST), labels) for member in members if member is not None]

    def read_one(path: Path):
        with path.open("rb") as stream:
            return _read_batch(stream.read(_LARGEST), labels)

    *train, test = named(paths[0], read) if len(paths) == 1 else [named(path, read_one) for path in paths]
    return RawImages(np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train]), *test)


def named(path: Path, read: Callable[[Path], Any]) -> Any:
    """`read(path)`, with the file named in the error."""
    try:
        return read(path)
    except _UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not a readable file of this data set ({reason})") from None
