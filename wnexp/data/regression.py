"""Regression with fewer samples than inputs: which of the many solutions training finds."""

from dataclasses import dataclass

import numpy as np

from wnexp import resources
from wnexp.data.dataset import Dataset, Source
from wnexp.errors import UserError
from wnexp.settings import setting


@dataclass(frozen=True)
class SparseRegression(Source):
    """Standard normal inputs; labels are sums of few of them, with random signs.

    `y = <x, w> + noise`. Sparse `w` of 5 entries of 1,000 from 100 samples: as in arXiv 2305.05448. Groups of 3 of 300
    inputs from 150 samples: as in arXiv 2301.12540. The test labels have no noise. Networks whose weights keep their
    sign, as `w = u^2`, need inputs that are there with both signs.
    """

    seed: int = setting(0, "random seed of the points", least=0)
    inputs: int = setting(1000, "dimension of the points", least=1, below=2**31)
    train_samples: int = setting(100, "training points", least=1, below=2**31)
    test_samples: int = setting(1000, "test points", least=0, below=2**31)
    nonzero: int = setting(5, "groups of inputs that the labels depend on", least=1)
    group: int = setting(1, "neighbouring inputs of a group, which divides data.inputs", least=1)
    noise: float = setting(0.0, "standard deviation of the noise of the training labels", least=0)
    mirrored: bool = setting(False, "every input twice, first all as they are, then all times -1")

    def load(self):
        if self.inputs % self.group or self.nonzero * self.group > self.inputs:
            raise UserError(
                f"data.inputs={self.inputs} in groups of data.group={self.group}, data.nonzero={self.nonzero} of them: "
                "the group must divide the inputs, and as many groups must be there"
            )
        samples = self.train_samples + self.test_samples
        resources.check(4 * 8 * samples * self.inputs * (1 + self.mirrored), "the data set")
        rng = np.random.default_rng(self.seed)
        weights = np.zeros((self.inputs // self.group, self.group))
        chosen = rng.permutation(len(weights))[: self.nonzero]
        weights[chosen] = rng.choice([-1.0, 1.0], (self.nonzero, self.group))
        x = rng.normal(size=(samples, self.inputs))
        y = x @ weights.ravel()
        y[: self.train_samples] += self.noise * rng.normal(size=self.train_samples)
        x = np.concatenate([x, -x], axis=1) if self.mirrored else x
        cut = self.train_samples
        return Dataset(train_x=x[:cut], train_y=y[:cut], test_x=x[cut:], test_y=y[cut:], real=True)
