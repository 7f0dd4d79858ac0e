"""Data sets of published images, scaled as `(x/255 - mean) / deviation`, in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wnexp.data import places, published
from wnexp.data.dataset import Dataset, Sampled
from wnexp.data.places import Published
from wnexp.settings import setting


@dataclass(frozen=True)
class Images(Sampled):
    """Images in their published files, downloaded once into the user's cache folder."""

    dir: str | None = setting(
        None, "a folder with the files, or an empty one to download into", null="for the cache folder"
    )
    published_as: str = ""  # a row of `published.SOURCES`
    mean: float = 0.0
    deviation: float = 1.0

    def source(self) -> Published:
        """The files."""
        return published.SOURCES[self.published_as]

    def labels_kept(self) -> Sequence[int] | None:
        """`classes` as `Dataset` takes them."""
        return self.classes

    def read(self):
        raw = published.load(self.published_as, self.source(), self.dir)

        def prepared(x: np.ndarray) -> np.ndarray:
            x = x.reshape(len(x), -1).astype(np.float32)
            x *= 1 / (255 * self.deviation)
            x -= self.mean / self.deviation
            return x

        height, width, channels = raw.train_x.shape[1:]
        return Dataset(
            train_x=prepared(raw.train_x),
            train_y=raw.train_y,
            test_x=prepared(raw.test_x),
            test_y=raw.test_y,
            image=(height, width, channels),
            source=f"data={self.published_as}",
            classes=self.labels_kept(),
        )

    def files(self):
        if self.dir is None:
            return {}
        present = places.found(self.source(), self.dir)
        return {"dir": [path for path in present.values() if path is not None]}


@dataclass(frozen=True)
class Emnist(Images):
    """The splits of EMNIST, images transposed as published. The letters' labels 1..26 become 0..25."""

    split: str = setting(
        "letters",
        "which of its six sets; in data.classes letters are 1..26",
        choices=("letters", "balanced", "digits", "mnist", "byclass", "bymerge"),
    )

    def source(self):
        return published.emnist(self.split)

    def labels_kept(self):
        return range(1, 27) if self.classes is None and self.split == "letters" else self.classes
