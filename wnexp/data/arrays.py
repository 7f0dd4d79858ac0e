"""A data set from a user's arrays."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wnexp.data import archives
from wnexp.data.dataset import Dataset, Sampled
from wnexp.errors import UserError
from wnexp.settings import setting


@dataclass(frozen=True)
class ArrayFile(Sampled):
    """Arrays from an `.npz` file: `train_x`, `train_y` and perhaps `test_x`, `test_y`."""

    path: str | None = setting(None, "FILE.npz")

    def read(self):
        if not self.path:
            raise UserError("data=file needs data.path=FILE.npz")
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise UserError(f"data.path={self.path}: no such file")
        arrays = archives.read_npz(path, ("train_x", "train_y", "test_x", "test_y"), f"data.path={self.path}")
        return from_arrays(arrays, f"data.path={self.path}")

    def files(self):
        return {"path": [Path(self.path).expanduser()]} if self.path else {}


def from_arrays(arrays: dict[str, np.ndarray], source: str) -> Dataset:
    """A checked data set from `train_x (n, ...)`, `train_y (n,)` and perhaps the test pair. Raises `UserError`.

    Rows of shape `(height, width)` or `(height, width, channels)` are images.
    """
    for key in ("train_x", "train_y"):
        if key not in arrays:
            raise UserError(f"{source}: array {key} is missing; needed: train_x, train_y; optional: test_x, test_y")
    if ("test_x" in arrays) != ("test_y" in arrays):
        raise UserError(f"{source}: test_x and test_y come together or not at all")
    train_x, train_y = _pair(arrays["train_x"], arrays["train_y"], "train", source)
    if "test_x" in arrays:
        test_x, test_y = _pair(arrays["test_x"], arrays["test_y"], "test", source)
    else:
        test_x, test_y = train_x[:0], train_y[:0]
    if train_x.shape[1] != test_x.shape[1]:
        raise UserError(f"{source}: train_x has width {train_x.shape[1]}, test_x {test_x.shape[1]}; they must agree")
    if not len(train_x) or not train_x.shape[1]:
        raise UserError(f"{source}: train_x of shape {arrays['train_x'].shape} holds no numbers")
    known = set(np.unique(train_y).tolist())
    labels = known | set(np.unique(test_y).tolist())
    height, width, channels = (*arrays["train_x"].shape[1:], 1, 1, 1)[:3]
    image = (height, width, channels) if arrays["train_x"].ndim in (3, 4) else None
    if labels <= {-1, 1}:
        return Dataset(train_x, train_y, test_x, test_y, image)
    if labels != known or known != set(range(len(known))) or len(known) < 2:
        shown = ", ".join(map(str, sorted(labels)[:8])) + (", ..." if len(labels) > 8 else "")
        raise UserError(f"{source}: labels {shown}; allowed: -1 and +1, or 0..k-1, each of them in the training set")
    if max(labels) == 1:
        train_y, test_y = 2 * train_y - 1, 2 * test_y - 1
    return Dataset(train_x, train_y, test_x, test_y, image)


def _pair(x: np.ndarray, y: np.ndarray, name: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise UserError(f"{source}: {name}_x and {name}_y must be numbers, not {x.dtype} and {y.dtype}")
    if x.ndim < 2 or y.shape != x.shape[:1]:
        raise UserError(f"{source}: {name}_x {x.shape} and {name}_y {y.shape} must be (n, d) and (n,)")
    x = x.reshape(len(x), math.prod(x.shape[1:])).astype(np.float64)
    labels = y.astype(np.float64)
    if not np.isfinite(x).all():
        raise UserError(f"{source}: {name}_x holds {int((~np.isfinite(x)).sum())} NaN or infinite values")
    if not np.isfinite(labels).all() or (labels != np.round(labels)).any():
        raise UserError(f"{source}: {name}_y holds labels that are not integers; allowed: -1 and +1, or 0..k-1")
    return x, labels.astype(np.int64)
