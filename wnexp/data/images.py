"""Data sets of published images, scaled as `(x/255 - mean) / deviation`, in float32."""

from dataclasses import dataclass

import numpy as np

from wnexp.data import image_files, places
from wnexp.data.dataset import Dataset, Sampled
from wnexp.settings import setting


@dataclass(frozen=True)
class Images(Sampled):
    """Images in their published files, downloaded once into the user's cache folder."""

    dir: str | None = setting(
        None, "a folder with the files, or an empty one to download into", null="for the cache folder"
    )
    published_as: str = ""  # a row of `image_files.SOURCES`
    mean: float = 0.0
    deviation: float = 1.0

    def read(self):
        raw = image_files.load(self.published_as, self.dir)

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
            classes=self.classes,
        )

    def files(self):
        if self.dir is None:
            return {}
        present = places.found(image_files.SOURCES[self.published_as], self.dir)
        return {"dir": [path for path in present.values() if path is not None]}
