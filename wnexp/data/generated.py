"""Data sets made from random numbers or written down: pure in their settings."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wnexp import resources
from wnexp.data.dataset import Dataset, Sampled, Source
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
    """Standard normal points labelled by a random direction, each class moved 0.3 away from the plane."""

    inputs: int = setting(10, "dimension of the points", least=1, below=2**31)

    def load(self):
        self.check_memory(self.inputs)
        rng = np.random.default_rng(self.seed)
        teacher = rng.normal(size=self.inputs)
        teacher /= np.linalg.norm(teacher)
        parts = []
        for per_class in (self.train_per_class, self.test_per_class):
            y = np.repeat([-1, 1], per_class)
            x = rng.normal(size=(2 * per_class, self.inputs))
            along = y * (np.abs(x @ teacher) + 0.3)  # the component that decides the label
            parts += [x + np.outer(along - x @ teacher, teacher), y]
        train_x, train_y, test_x, test_y = parts
        return Dataset(train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)


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
        )
