"""Data sets: a name -> arrays, pure in its seed. Files are read here and in `images.py`, and nowhere else.

Two classes carry labels -1/+1, `k > 2` classes labels 0..k-1. Inputs have shape `(n, d)`; images are flattened.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wnexp import archives, images, memory
from wnexp.config import DataConfig, UserError, choose


class Dataset(NamedTuple):
    """A data set; without a test set `test_x` and `test_y` have no rows."""

    train_x: np.ndarray  # (n, d) float64, float32 for downloaded images
    train_y: np.ndarray  # (n,) int64
    test_x: np.ndarray
    test_y: np.ndarray
    image: tuple[int, int, int] | None = None  # (height, width, channels) if a row is a flattened image

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: 1 for two classes, else the number of classes."""
        largest = int(self.train_y.max())
        return 1 if largest <= 1 else largest + 1


def _squares(config: DataConfig, low: float, high: float, rng: np.random.Generator) -> Dataset:
    """Class -1: (1, 1) and points uniform in [low, high]^2; class +1: (-1, 1) and points of the mirrored square."""
    size = config.train_per_class - 1 + config.test_per_class
    classes = []
    for corner, sign in (((1.0, 1.0), 1.0), ((-1.0, 1.0), -1.0)):
        points = sign * rng.uniform(low, high, (size, 2))
        classes.append(np.concatenate([[corner], points]))
    x = np.stack(classes)
    cut = config.train_per_class
    train, test = x[:, :cut].reshape(-1, 2), x[:, cut:].reshape(-1, 2)
    return Dataset(train, np.repeat([-1, 1], cut), test, np.repeat([-1, 1], config.test_per_class))


def lin_sep(config: DataConfig) -> Dataset:
    """The paper's lin-sep: the square is drawn, `low ~ U(1, 1.5)`, `high ~ U(1.5, 2)`."""
    rng = np.random.default_rng(config.seed)
    return _squares(config, rng.uniform(1.0, 1.5), rng.uniform(1.5, 2.0), rng)


def conv_rate(config: DataConfig) -> Dataset:
    """The paper's convergence-rate data: the square is [1.5, 2]^2; the max-margin direction towards +1 is (-1, 0)."""
    return _squares(config, 1.5, 2.0, np.random.default_rng(config.seed))


def gaussian(config: DataConfig) -> Dataset:
    """Standard normal points `(n, inputs)` labelled by a random direction, each class moved 0.3 away from the plane."""
    rng = np.random.default_rng(config.seed)
    teacher = rng.normal(size=config.inputs)
    teacher /= np.linalg.norm(teacher)
    parts = []
    for per_class in (config.train_per_class, config.test_per_class):
        y = np.repeat([-1, 1], per_class)
        x = rng.normal(size=(2 * per_class, config.inputs))
        along = y * (np.abs(x @ teacher) + 0.3)  # the component that decides the label
        parts += [x + np.outer(along - x @ teacher, teacher), y]
    return Dataset(*parts)


def xor(config: DataConfig) -> Dataset:
    """XOR on the corners of a square; the test set is the training set."""
    x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    y = np.array([-1, -1, 1, 1])
    return Dataset(x, y, x, y)


def simple_traj(config: DataConfig) -> Dataset:
    """The one point (2, 1) with label +1."""
    x, y = np.array([[2.0, 1.0]]), np.array([1])
    return Dataset(x, y, x, y)


def digits(config: DataConfig) -> Dataset:
    """scikit-learn's bundled handwritten digits; every pixel centred over the training set, overall deviation 2.

    Pixels are centred because a component that all images share makes the loss so sharp that gradient descent needs
    ten times the epochs. The scale of the inputs decides how far the weights must grow: the smaller the inputs, the
    fewer neurons EWN keeps at a given loss, and the lower its test accuracy.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts: Any = train_test_split(x, y, test_size=360, stratify=y, random_state=0)
    train_x, test_x, train_y, test_y = parts
    mean = train_x.mean(axis=0)
    scale = 2 / (train_x - mean).std()
    return Dataset(scale * (train_x - mean), train_y, scale * (test_x - mean), test_y, (8, 8, 1))


def _downloaded(config: DataConfig, mean: float, deviation: float) -> Dataset:
    """Published images with `(x/255 - mean) / deviation`, in float32."""
    raw = images.load(config.name, config.dir)

    def prepared(x: np.ndarray) -> np.ndarray:
        x = x.reshape(len(x), -1).astype(np.float32)
        x *= 1 / (255 * deviation)
        x -= mean / deviation
        return x

    height, width, channels = raw.train_x.shape[1:]
    train_y, test_y = raw.train_y.astype(np.int64), raw.test_y.astype(np.int64)
    return Dataset(prepared(raw.train_x), train_y, prepared(raw.test_x), test_y, (height, width, channels))


def mnist(config: DataConfig) -> Dataset:
    """MNIST, 28 x 28, scaled as the paper does: `(x/255 - 0.1307) / 0.3081`."""
    return _downloaded(config, 0.1307, 0.3081)


def fashion_mnist(config: DataConfig) -> Dataset:
    """Fashion-MNIST, 28 x 28, by the mean and deviation of its own pixels."""
    return _downloaded(config, 0.2860, 0.3530)


def cifar10(config: DataConfig) -> Dataset:
    """CIFAR-10, 32 x 32 x 3, scaled as the paper does: `(x/255 - 0.5) / 0.5`."""
    return _downloaded(config, 0.5, 0.5)


def file(config: DataConfig) -> Dataset:
    """Arrays from an `.npz` file: `train_x`, `train_y` and perhaps `test_x`, `test_y`."""
    if not config.path:
        raise UserError("data=file needs data.path=FILE.npz")
    path = Path(config.path).expanduser()
    if not path.is_file():
        raise UserError(f"data.path={config.path}: no such file")
    arrays = archives.read_npz(path, ("train_x", "train_y", "test_x", "test_y"), f"data.path={config.path}")
    return from_arrays(arrays, f"data.path={config.path}")


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


DATA_SETS: dict[str, Callable[[DataConfig], Dataset]] = {
    "lin_sep": lin_sep,
    "conv_rate": conv_rate,
    "gaussian": gaussian,
    "xor": xor,
    "simple_traj": simple_traj,
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "file": file,
}


def load(config: DataConfig) -> Dataset:
    """The data set of a configuration: its `train_samples` chosen by `data.seed`, its labels odd (+1) or even (-1)."""
    make = choose(DATA_SETS, "data", config.name)
    if make in (lin_sep, conv_rate, gaussian):
        inputs = config.inputs if make is gaussian else 2
        memory.check(4 * 8 * 2 * (config.train_per_class + config.test_per_class) * inputs, "the data set")
    dataset = make(config)
    if config.train_samples is not None:
        dataset = _subset(dataset, config)
    if config.labels == "parity":
        if dataset.outputs == 1:
            raise UserError("data.labels=parity needs more than two classes, 0..k-1")
        dataset = dataset._replace(train_y=2 * (dataset.train_y % 2) - 1, test_y=2 * (dataset.test_y % 2) - 1)
    return dataset


def _subset(dataset: Dataset, config: DataConfig) -> Dataset:
    samples, size = len(dataset.train_x), config.train_samples
    if size is None or size > samples:
        raise UserError(f"data.train_samples={size} is more than the {samples} training samples")
    chosen = np.sort(np.random.default_rng(config.seed).permutation(samples)[:size])
    subset = dataset._replace(train_x=dataset.train_x[chosen], train_y=dataset.train_y[chosen])
    lacking = set(np.unique(dataset.train_y).tolist()) - set(np.unique(subset.train_y).tolist())
    if lacking:
        raise UserError(f"data.train_samples={size}: no sample of class {min(lacking)} is among them; take more")
    return subset
