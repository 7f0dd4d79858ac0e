"""Data sets made from random numbers or written down: pure in their settings."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wnexp import resources
from wnexp.data.dataset import Dataset, Sampled, Source
from wnexp.errors import UserError
from wnexp.settings import setting


@dataclass(frozen=True)
class TwoClasses(Source):
    """Two classes of so many points, drawn by a seed."""

    seed: int = setting(0, "random seed of the points", least=0)
    train_per_class: int = setting(2, "training points of each class", least=1, below=2**31)
    test_per_class: int = setting(50, "test points of each class", least=0, below=2**31)

    def check_memory(self, inputs: int) -> None:
        """Raise `UserError` if the points do not fit."""
        resources.check(4 * 8 * 2 * (self.train_per_class + self.test_per_class) * inputs, "the data set")

    def squares(self, low: float, high: float, rng: np.random.Generator) -> Dataset:
        """Class -1: (1, 1) and points uniform in [low, high]^2; class +1: (-1, 1) and points of the mirrored square."""
        self.check_memory(2)
        size = self.train_per_class - 1 + self.test_per_class
        classes = []
        for corner, sign in (((1.0, 1.0), 1.0), ((-1.0, 1.0), -1.0)):
            points = sign * rng.uniform(low, high, (size, 2))
            classes.append(np.concatenate([[corner], points]))
        x = np.stack(classes)
        cut = self.train_per_class
        train, test = x[:, :cut].reshape(-1, 2), x[:, cut:].reshape(-1, 2)
        return Dataset(
            train_x=train,
            train_y=np.repeat([-1, 1], cut),
            test_x=test,
            test_y=np.repeat([-1, 1], self.test_per_class),
        )


@dataclass(frozen=True)
class LinSep(TwoClasses):
    """The paper's lin-sep, linearly separable in 2-D: the square is drawn, `low ~ U(1, 1.5)`, `high ~ U(1.5, 2)`."""

    def load(self):
        rng = np.random.default_rng(self.seed)
        return self.squares(rng.uniform(1.0, 1.5), rng.uniform(1.5, 2.0), rng)


@dataclass(frozen=True)
class ConvRate(TwoClasses):
    """The paper's convergence-rate data: the square is [1.5, 2]^2; the max-margin direction towards +1 is (-1, 0)."""

    def load(self):
        return self.squares(1.5, 2.0, np.random.default_rng(self.seed))


@dataclass(frozen=True)
class Gaussian(TwoClasses):
    """Normal points labelled by random directions, each class moved 0.3 away from the others.

    Two classes are the sides of one direction. `k > 2` classes have orthonormal directions, and a point belongs to the
    one that it has the largest component along.
    """

    inputs: int = setting(10, "dimension of the points", least=1, below=2**31)
    classes: int = setting(2, "how many classes, at most as many as inputs", least=2, below=2**31)
    correlation: float = setting(0.0, "of neighbouring inputs; r of distant ones is its power", above=-1, below=1)
    copies: int = setting(1, "how often every training point is there", least=1, below=2**31)

    def load(self):
        if self.classes > max(2, self.inputs):
            raise UserError(f"data.classes={self.classes} is more than data.inputs={self.inputs}")
        self.check_memory(self.inputs * self.copies * self.classes)
        rng = np.random.default_rng(self.seed)
        draw = self._two if self.classes == 2 else self._several
        (train_x, train_y), (test_x, test_y) = draw(rng)
        return Dataset(
            train_x=np.repeat(train_x, self.copies, axis=0),
            train_y=np.repeat(train_y, self.copies),
            test_x=test_x,
            test_y=test_y,
        )

    def _points(self, count: int, rng: np.random.Generator) -> np.ndarray:
        x = rng.normal(size=(count, self.inputs))
        if self.correlation:
            distance = np.abs(np.subtract.outer(np.arange(self.inputs), np.arange(self.inputs)))
            x = x @ np.linalg.cholesky(self.correlation**distance).T
        return x

    def _two(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        teacher = rng.normal(size=self.inputs)
        teacher /= np.linalg.norm(teacher)
        parts = []
        for per_class in (self.train_per_class, self.test_per_class):
            y = np.repeat([-1, 1], per_class)
            x = self._points(2 * per_class, rng)
            along = y * (np.abs(x @ teacher) + 0.3)  # the component that decides the label
            parts.append((x + np.outer(along - x @ teacher, teacher), y))
        return parts

    def _several(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        teachers = np.linalg.qr(rng.normal(size=(self.inputs, self.classes)))[0]
        parts = []
        for per_class in (self.train_per_class, self.test_per_class):
            y = np.repeat(np.arange(self.classes), per_class)
            x = self._points(len(y), rng)
            components, rows = x @ teachers, np.arange(len(y))
            wanted, largest = components.copy(), np.argmax(components, axis=1)
            wanted[rows, largest] = components[rows, y]
            wanted[rows, y] = components[rows, largest] + 0.3
            parts.append((x + (wanted - components) @ teachers.T, y))
        return parts


@dataclass(frozen=True)
class Clusters(TwoClasses):
    """Points around the normal mean of each class; the default is the design of arXiv 2502.04664, section 6.

    Drawn by numpy's legacy generator, whose bits never change, as published reference values ask for: all means, then
    class by class the training points, then likewise the test points.
    """

    seed: int = setting(12344, "random seed of the points", least=0, most=2**32 - 1)
    train_per_class: int = setting(50, "training points of each class", least=1, below=2**31)
    inputs: int = setting(25, "dimension of the points", least=1, below=2**31)
    classes: int = setting(15, "how many classes", least=2, below=2**31)
    noise: float = setting(0.1, "standard deviation of the points around their mean, whose own is 1", least=0)

    def load(self):
        self.check_memory(self.inputs * self.classes)
        rng = np.random.RandomState(self.seed)
        means = rng.randn(self.classes, self.inputs)
        train_x, test_x = (self._around(means, size, rng) for size in (self.train_per_class, self.test_per_class))
        labels = np.arange(self.classes)
        train_y, test_y = (np.repeat(labels, size) for size in (self.train_per_class, self.test_per_class))
        return Dataset(train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)

    def _around(self, means: np.ndarray, size: int, rng: np.random.RandomState) -> np.ndarray:
        columns = [mean[:, None] + self.noise * rng.randn(self.inputs, size) for mean in means]
        return np.concatenate(columns, axis=1).T.copy()


@dataclass(frozen=True)
class Xor(Source):
    """XOR on the corners of a square, equal corners against unequal ones; the test set is the training set."""

    def load(self):
        x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
        y = np.array([-1, -1, 1, 1])
        return Dataset(train_x=x, train_y=y, test_x=x, test_y=y)


@dataclass(frozen=True)
class SimpleTraj(Source):
    """The one point (2, 1) with label +1."""

    def load(self):
        x, y = np.array([[2.0, 1.0]]), np.array([1])
        return Dataset(train_x=x, train_y=y, test_x=x, test_y=y)


@dataclass(frozen=True)
class TwoPoints(Source):
    """Two points of length 1 at the angles pi/8 and pi/20, both with label +1; no test set.

    The example of Qian and Qian (arXiv 1906.03559) where AdaGrad leaves the l2 separator (.962, .271): the largest
    margin is .993068 in l2 and 1.144123 in linf, whose separator is (1, 1)/sqrt 2.
    """

    def load(self):
        angles = np.array([np.pi / 8, np.pi / 20])
        x, y = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([1, 1])
        return Dataset(train_x=x, train_y=y, test_x=x[:0], test_y=y[:0])


@dataclass(frozen=True)
class Digits(Sampled):
    """scikit-learn's 1,797 handwritten digits, 8 x 8; every pixel centred over the training set, deviation 2 overall.

    Pixels are centred because a component that all images share makes the loss so sharp that gradient descent needs
    ten times the epochs. The scale of the inputs decides how far the weights must grow: the smaller the inputs, the
    fewer neurons EWN keeps at a given loss, and the lower its test accuracy.
    """

    def read(self):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        x, y = load_digits(return_X_y=True)
        parts: Any = train_test_split(x, y, test_size=360, stratify=y, random_state=0)
        train_x, test_x, train_y, test_y = parts
        mean = train_x.mean(axis=0)
        scale = 2 / (train_x - mean).std()
        return Dataset(
            train_x=scale * (train_x - mean),
            train_y=train_y,
            test_x=scale * (test_x - mean),
            test_y=test_y,
            image=(8, 8, 1),
            source="data=digits",
            classes=self.classes,
        )
