"""A data set as arrays, and what an option of the group `data` is.

Two classes carry labels -1/+1, `k > 2` classes labels 0..k-1. Inputs have shape `(n, d)`; images are flattened.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wnexp.errors import UserError
from wnexp.settings import setting


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

    seed: int = setting(0, "random seed of the subset", least=0)
    labels: str = setting("classes", "as they are; parity: odd +1, even -1", choices=("classes", "parity"))
    train_samples: int | None = setting(
        None, "size of a random subset of the training set to use", least=1, null="for all"
    )

    def read(self) -> Dataset:
        """The whole data set. Raises `UserError`."""
        raise TypeError(f"{type(self).__name__} has no read")

    def load(self) -> Dataset:
        dataset = self.read()
        if self.train_samples is not None:
            dataset = self._subset(dataset, self.train_samples)
        if self.labels == "parity":
            if dataset.outputs == 1:
                raise UserError("data.labels=parity needs more than two classes, 0..k-1")
            dataset = dataset._replace(train_y=2 * (dataset.train_y % 2) - 1, test_y=2 * (dataset.test_y % 2) - 1)
        return dataset

    def _subset(self, dataset: Dataset, size: int) -> Dataset:
        samples = len(dataset.train_x)
        if size > samples:
            raise UserError(f"data.train_samples={size} is more than the {samples} training samples")
        chosen = np.sort(np.random.default_rng(self.seed).permutation(samples)[:size])
        subset = dataset._replace(train_x=dataset.train_x[chosen], train_y=dataset.train_y[chosen])
        lacking = set(np.unique(dataset.train_y).tolist()) - set(np.unique(subset.train_y).tolist())
        if lacking:
            raise UserError(f"data.train_samples={size}: no sample of class {min(lacking)} is among them; take more")
        return subset
