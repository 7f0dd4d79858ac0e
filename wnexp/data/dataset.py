"""A data set as arrays, and what an option of the group `data` is.

Two classes carry labels -1/+1, `k > 2` classes labels 0..k-1; real labels are numbers, for losses that are no function
of margins. Inputs have shape `(n, d)`; images are flattened.
"""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np

from wnexp.errors import UserError
from wnexp.settings import setting

_ALLOWED = "allowed: -1 and +1, or 0..k-1, each of them in the training set"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, checked where it is made, so that there is none with other numbers, shapes or labels.

    Labels may come as numbers of any kind, `(n,)` or `(n, 1)`, two classes as 0 and 1 too. `classes` are the labels,
    as they came, whose samples are kept: the first becomes class 0 (of two: -1), the next class 1, and so on. Without a
    test set `test_x` and `test_y` have no rows. Raises `UserError`, which begins with `source`.
    """

    train_x: np.ndarray  # (n, d) float32 as it came, else float64
    train_y: np.ndarray  # (n,) int64, float64 if real
    test_x: np.ndarray
    test_y: np.ndarray
    image: tuple[int, int, int] | None = None  # (height, width, channels) if a row is a flattened image
    source: str = "data"  # the setting that the data come from
    real: bool = False  # labels are real numbers, not classes
    classes: InitVar[Sequence[int] | None] = None
    names: tuple[str, ...] | None = None  # of the classes, where labels came as words
    chosen: tuple[int, ...] | None = field(init=False, default=None)  # `classes`; None where all are kept

    def __post_init__(self, classes: Sequence[int] | None):
        if not self.real and np.asarray(self.train_y).dtype.kind in "US":
            self._name_labels()
        train_x, train_y = _pair(self.train_x, self.train_y, "train", self.source, self.real)
        test_x, test_y = _pair(self.test_x, self.test_y, "test", self.source, self.real)
        if not train_x.size:
            raise UserError(f"{self.source}: train_x of shape {train_x.shape} holds no numbers")
        width = train_x.shape[1]
        if test_x.shape[1] != width:
            raise UserError(f"{self.source}: train_x has width {width}, test_x {test_x.shape[1]}; they must agree")
        if self.image is not None and prod(self.image) != width:
            raise UserError(f"{self.source}: images {self.image} are not rows of {width} numbers")
        if classes is not None:
            train_x, train_y, test_x, test_y = _keep(classes, train_x, train_y, test_x, test_y, self.source)
            object.__setattr__(self, "chosen", tuple(classes))
            if self.names is not None:
                object.__setattr__(self, "names", tuple(self.names[label] for label in classes))
        if not self.real:
            train_y, test_y = _classes(train_y, test_y, self.source)
        checked = {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}
        for name, array in checked.items():
            object.__setattr__(self, name, array)

    def _name_labels(self) -> None:
        """Words as labels 0..k-1 in their order, kept as `names`."""
        flat = [y[:, 0] if y.shape[1:] == (1,) else y for y in (self.train_y, self.test_y)]
        names, train = np.unique(flat[0], return_inverse=True)
        if foreign := sorted(set(map(str, np.unique(flat[1]))) - set(map(str, names))):
            raise UserError(f"{self.source}: no training sample has the label {foreign[0]} of the test set")
        test = np.searchsorted(names, flat[1].astype(names.dtype)) if len(flat[1]) else np.zeros(0, np.int64)
        for name, value in {"train_y": train, "test_y": test, "names": tuple(map(str, names))}.items():
            object.__setattr__(self, name, value)

    @property
    def labels(self) -> dict[str, int] | None:
        """Word -> the label that stands for it; None where labels came as numbers."""
        if self.names is None:
            return None
        values = (-1, 1) if self.outputs == 1 else range(len(self.names))
        return dict(zip(self.names, values, strict=False))

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: 1 for two classes or real labels, else the number of classes."""
        largest = 1 if self.real else int(self.train_y.max())
        return 1 if largest <= 1 else largest + 1


def numbers(array: np.ndarray, name: str, source: str) -> np.ndarray:
    """The array, if it holds real numbers of numpy's own. Raises `UserError` that names its type."""
    if array.dtype.kind not in "fiub" or array.dtype.isbuiltin == 2:  # 2: another package's, like bfloat16
        kinds = "float16, float32, float64, integers, booleans (numpy stores bfloat16 and float8 as void, V)"
        raise UserError(f"{source}: {name} must be numbers, not {array.dtype}; allowed: {kinds}")
    return array


def _pair(x: np.ndarray, y: np.ndarray, name: str, source: str, real: bool) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `(n, d)` and labels `(n,)`, floats that are finite, labels of classes integers. Raises `UserError`."""
    x, y = numbers(x, f"{name}_x", source), numbers(y, f"{name}_y", source)
    labels = (y[:, 0] if y.shape[1:] == (1,) else y).astype(np.float64)
    if x.ndim != 2 or labels.shape != x.shape[:1]:
        seen = f"{source}: {name}_x {x.shape} and {name}_y {y.shape} must be (n, d) and (n,)"
        raise UserError(seen + _looks_like(x, labels, name))
    x = x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)
    finite = np.isfinite(x)
    if not finite.all():
        raise UserError(f"{source}: {name}_x holds {x.size - int(finite.sum())} NaN or infinite values")
    if not np.isfinite(labels).all() or (not real and (labels != np.round(labels)).any()):
        wanted = "finite" if real else f"integers; {_ALLOWED}, or real numbers with data.labels=real"
        raise UserError(f"{source}: {name}_y holds labels that are not {wanted}")
    return x, labels


def _looks_like(x: np.ndarray, y: np.ndarray, name: str) -> str:
    if y.ndim == 2 and y.shape[:1] == x.shape[:1] and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        return f"; {name}_y looks one-hot: give {name}_y.argmax(axis=1)"
    if y.ndim == 1 and x.ndim == 2 and x.shape[1] == len(y):
        return f"; {name}_x looks transposed: its rows are the samples"
    return ""


def _keep(
    classes: Sequence[int],
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    source: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The samples with these labels, the labels replaced by their places in `classes`. Raises `UserError`."""
    known = np.unique(train_y)
    if missing := sorted(set(classes) - set(known.tolist())):
        raise UserError(
            f"data.classes={_listed(classes)}: no training sample has label {missing[0]}; "
            f"{source} has the labels {_shown(known.tolist())}"
        )
    order = np.argsort(classes)
    kept = []
    for x, y in ((train_x, train_y), (test_x, test_y)):
        rows = np.isin(y, classes)
        kept += [x[rows], order[np.searchsorted(classes, y[rows], sorter=order)]]
    return tuple(kept)


def _classes(train: np.ndarray, test: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sets' labels as int64, two classes as -1/+1. Raises `UserError`."""
    known = np.unique(train).tolist()
    foreign = sorted(set(np.unique(test).tolist()) - set(known))
    gap = next(label for label in range(len(known) + 1) if label == len(known) or known[label] != label)
    classes = set(known) <= {-1, 1} or (len(known) > 1 and gap == len(known))
    if foreign or not classes:
        lacking = f" (no {gap})" if not classes and known[0] >= 0 else ""
        tested = f" and in the test set also {_shown(foreign)}" if foreign else ""
        raise UserError(f"{source}: labels {_shown(known)}{lacking}{tested}; {_ALLOWED}")
    train, test = train.astype(np.int64), test.astype(np.int64)
    return (2 * train - 1, 2 * test - 1) if known == [0, 1] else (train, test)


def _shown(labels: list[float]) -> str:
    words = [f"{label:.15g}" for label in labels]
    return ", ".join(words if len(words) <= 8 else [*words[:4], "...", *words[-3:]])


def _listed(classes: Sequence[int]) -> str:
    return f"[{','.join(map(str, classes))}]"


@dataclass(frozen=True)
class Source:
    """Where data come from; a row of `DATA_SETS`. The same settings give the same arrays."""

    def load(self) -> Dataset:
        """The data set. Raises `UserError`."""
        raise TypeError(f"{type(self).__name__} has no load")

    def files(self) -> dict[str, list[Path]]:
        """Setting that is a path -> the user's files that are read there: their contents are part of a run."""
        return {}


@dataclass(frozen=True)
class Sampled(Source):
    """Published or given data, of which a part may be taken."""

    classes: list[int] | None = setting(
        None,
        "keep the samples with these labels; two become -1, +1 in that order, more 0..k-1",
        allowed="null for all, or two or more different integers, like [3,8]",
        test=lambda classes: len(set(classes)) == len(classes) > 1,
    )
    seed: int = setting(0, "random seed of the subset", least=0)
    labels: str = setting(
        "classes",
        "as they are; parity: odd +1, even -1; real: numbers to fit, with loss=squared",
        choices=("classes", "parity", "real"),
    )
    train_samples: int | None = setting(
        None, "size of a random subset of the training set to use", least=1, null="for all"
    )
    standardize: bool = setting(False, "every input minus its mean in the training set, over its deviation there")

    def read(self) -> Dataset:
        """The whole data set, or its `classes` alone: what `Dataset` makes of labels before it checks that there are no
        gaps. Raises `UserError`."""
        raise TypeError(f"{type(self).__name__} has no read")

    def load(self) -> Dataset:
        if self.labels == "real" and self.classes is not None:
            raise UserError("data.classes chooses among classes; data.labels=real has none")
        dataset = self.read()
        if self.labels == "real":
            dataset = replace(dataset, real=True)
        if self.classes is not None and dataset.chosen is None:
            dataset = replace(dataset, classes=self.classes)
        chosen = dataset.chosen
        if self.train_samples is not None:
            dataset = self._subset(dataset, self.train_samples)
        if self.labels == "parity":
            if dataset.outputs == 1:
                raise UserError("data.labels=parity needs more than two classes, 0..k-1")
            odd = np.array(chosen or range(dataset.outputs)) % 2
            dataset = replace(dataset, train_y=2 * odd[dataset.train_y] - 1, test_y=2 * odd[dataset.test_y] - 1)
            dataset = replace(dataset, names=None)
        return _standardized(dataset) if self.standardize else dataset

    def _subset(self, dataset: Dataset, size: int) -> Dataset:
        samples = len(dataset.train_x)
        if size > samples:
            raise UserError(f"data.train_samples={size} is more than the {samples} training samples")
        chosen = np.sort(np.random.default_rng(self.seed).permutation(samples)[:size])
        train_y = dataset.train_y[chosen]
        lacking = set(np.unique(dataset.train_y).tolist()) - set(np.unique(train_y).tolist())
        if lacking and not dataset.real:
            raise UserError(f"data.train_samples={size}: no sample of class {min(lacking)} is among them; take more")
        return replace(dataset, train_x=dataset.train_x[chosen], train_y=train_y)


def _standardized(dataset: Dataset) -> Dataset:
    """Inputs of mean 0 and deviation 1 over the training set; those that are constant there are 0 in it."""
    mean, deviation = dataset.train_x.mean(axis=0), dataset.train_x.std(axis=0)
    scale = 1 / np.where(deviation > 0, deviation, 1)
    return replace(dataset, train_x=(dataset.train_x - mean) * scale, test_x=(dataset.test_x - mean) * scale)
