"""A data set from a user's arrays."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wnexp.data import archives
from wnexp.data.dataset import Dataset, Sampled, numbers
from wnexp.errors import UserError
from wnexp.settings import setting

_NEEDED = "needed: train_x, train_y; optional: test_x, test_y"


@dataclass(frozen=True)
class ArrayFile(Sampled):
    """A user's file: arrays `train_x`, `train_y` and perhaps `test_x`, `test_y` in an `.npz`, or a table."""

    path: str | None = setting(None, "FILE.npz, or FILE.csv, FILE.parquet with data.target")
    target: str | None = setting(None, "the column of a table that holds the labels", null="for .npz")
    test_path: str | None = setting(None, "a table of the same columns to test on", null="for none, and for .npz")
    channels: str = setting(
        "auto",
        "axis of the channels of images (n, ., ., .); auto: last, refused where the shape speaks for first",
        choices=("auto", "last", "first"),
    )

    def read(self):
        if not self.path:
            raise UserError("data=file needs data.path=FILE.npz, FILE.csv or FILE.parquet")
        path, source = Path(self.path).expanduser(), f"data.path={self.path}"
        if not path.is_file():
            raise UserError(f"{source}: no such file")
        if path.suffix.lower() in (".csv", ".parquet"):
            return _from_arrays(self._tables(path, source), source, self.classes, self.labels == "real")
        arrays = archives.read_npz(path, archives.NAMES, source)
        _check_names(set(arrays), archives.names(path), source)
        for name in sorted({"train_x", "test_x"} & set(arrays)):
            arrays[name] = self._channels_last(numbers(arrays[name], name, source), name, source)
        return _from_arrays(arrays, source, self.classes, self.labels == "real")

    def _tables(self, path: Path, source: str) -> dict[str, np.ndarray]:
        from wnexp.data.tables import read_table

        arrays, names = read_table(path, self.target, source)
        if self.test_path is None:
            return arrays
        test, tested = Path(self.test_path).expanduser(), f"data.test_path={self.test_path}"
        if not test.is_file() or test.suffix.lower() not in (".csv", ".parquet"):
            raise UserError(f"{tested}: {'no table; allowed: .csv, .parquet' if test.is_file() else 'no such file'}")
        found, _ = read_table(test, self.target, tested, names)
        return arrays | {"test_x": found["train_x"], "test_y": found["train_y"]}

    def files(self):
        paths = {"path": self.path, "test_path": self.test_path}
        return {name: [Path(path).expanduser()] for name, path in paths.items() if path}

    def _channels_last(self, x: np.ndarray, name: str, source: str) -> np.ndarray:
        """Images as `(n, height, width, channels)`, other arrays as they are. Raises `UserError`."""
        if x.ndim != 4:
            return x
        if self.channels == "auto" and _looks_channel_first(x.shape[1:]):
            raise UserError(
                f"{source}: {name} {x.shape} looks like (n, channels, height, width); if so: data.channels=first;\n"
                "if it is (n, height, width, channels): data.channels=last"
            )
        return x.transpose(0, 2, 3, 1) if self.channels == "first" else x


def _looks_channel_first(shape: tuple[int, ...]) -> bool:
    """Whether the last two of three axes make a square, or only the first one is the number of channels of a format."""
    first, height, last = shape
    return height == last != first or (first in (1, 3, 4) and last not in (1, 3, 4))


def _check_names(read: set[str], held: list[str], source: str) -> None:
    """Raise `UserError` for arrays that are missing, and for a test set under other names."""
    shown = ", ".join(held[:8]) + (", ..." if len(held) > 8 else "") if held else "no arrays"
    for key in ("train_x", "train_y"):
        if key not in read:
            raise UserError(f"{source}: array {key} is missing, the file holds {shown};\n{_NEEDED}")
    if ("test_x" in read) != ("test_y" in read):
        raise UserError(f"{source}: test_x and test_y come together or not at all; the file holds {shown}")
    tests = [name for name in held if re.search("(^|[^a-z])[xy]?test", name.lower())]
    if "test_x" not in read and tests:
        raise UserError(f"{source}: {', '.join(tests[:8])} would not be read; {_NEEDED}")


def _from_arrays(arrays: dict[str, np.ndarray], source: str, classes: list[int] | None, real: bool) -> Dataset:
    """The data set of `train_x (n, ...)`, `train_y` and perhaps the test pair. Raises `UserError`.

    Rows of shape `(height, width)` or `(height, width, channels)` are images.
    """
    train_x, train_y = arrays["train_x"], arrays["train_y"]
    if not train_x.ndim or not train_y.ndim:
        raise UserError(f"{source}: train_x {train_x.shape} and train_y {train_y.shape} must be (n, d) and (n,)")
    test_x, test_y = arrays.get("test_x", train_x[:0]), arrays.get("test_y", train_y[:0])
    shape = train_x.shape[1:]
    if test_x.shape[1:] != shape:
        raise UserError(f"{source}: train_x {train_x.shape}, test_x {test_x.shape}: all axes but the first must agree")
    height, width, channels = (*shape, 1, 1, 1)[:3]
    image = (height, width, channels) if len(shape) in (2, 3) else None
    return Dataset(_rows(train_x), train_y, _rows(test_x), test_y, image, source, real, classes)


def _rows(x: np.ndarray) -> np.ndarray:
    """Arrays `(n, ...)` as `(n, d)` float64."""
    flat = x.reshape(len(x), math.prod(x.shape[1:])) if x.ndim > 2 else x
    with np.errstate(over="ignore"):  # of long doubles; infinities are refused
        return flat.astype(np.float64)
