"""Columns of `samples`, one row per training sample."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from wnexp.measures.base import REAL, Columns, Measure
from wnexp.settings import setting


@dataclass(frozen=True)
class Samples(Measure):
    """Margin and loss share of every training sample."""

    table: ClassVar[str] = "samples"
    axes: ClassVar[tuple[str, ...]] = ("sample",)
    columns: ClassVar[Columns] = {
        "margin": (REAL, "s_i = min_j s_ij"),
        "loss_share": (REAL, "l_i / ||l||_2"),
    }
    max_samples: int = setting(128, "record samples of training sets up to this size", least=0)

    def cost(self, network, samples):
        return 2 * samples if samples <= self.max_samples else 0

    def measure(self, look):
        margins = {} if look.margins is None else {"margin": jnp.min(look.margins, axis=1)}
        return margins | {"loss_share": look.loss.loss_shares(look.outputs, look.labels)}
