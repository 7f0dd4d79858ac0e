"""Columns of `geometry`, one row per geometry: the fingerprint of what the steps maximize."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from wnexp.measures.base import REAL, Columns, Measure, over
from wnexp.nn.geometry import GEOMETRIES, Blocks
from wnexp.nn.losses import MarginLoss
from wnexp.settings import setting


@dataclass(frozen=True)
class InGeometries(Measure):
    """Weight norm, normalized margin and generalized alignment in every geometry of `nn/geometry.py`.

    A record costs two singular value decompositions of every layer. `share_of_largest` is filled in by `wnexp verify`,
    which solves for the largest margin.
    """

    table: ClassVar[str] = "geometry"
    axes: ClassVar[tuple[str, ...]] = ("geometry",)
    names: ClassVar[tuple[str, ...]] = tuple(GEOMETRIES)
    columns: ClassVar[Columns] = {
        "weight_norm": (REAL, "N(w) over all trained weights and biases"),
        "normalized_margin": (REAL, "q / N(w)^L"),
        "alignment": (REAL, "<w, -g> / (N(w) N*(g)), N* the dual norm; 1 at a KKT point of min N(w), margins >= 1"),
        "share_of_largest": (REAL, "normalized margin over the largest there is; null unless linear and verified"),
    }
    geometry_every: int | None = setting(
        None, "record margins in all geometries at every so many-th record", least=1, null="for never"
    )

    @property
    def every(self):
        return self.geometry_every or 1

    def cost(self, network, samples):
        return len(GEOMETRIES) * (len(self.columns) - 1) if self.geometry_every else 0

    def measure(self, look):
        dtype = look.log_loss.dtype
        weights, gradient = (
            Blocks(jax.tree.map(lambda leaf: leaf.astype(dtype), tree)) for tree in (look.weights, look.gradient)
        )
        log_norms = jnp.stack([geometry.log_norm(weights) for geometry in GEOMETRIES.values()])
        row = {
            "weight_norm": jnp.exp(log_norms),
            "alignment": jnp.stack([geometry.alignment(weights, gradient) for geometry in GEOMETRIES.values()]),
        }
        if isinstance(look.loss, MarginLoss) and look.margins is not None:
            row["normalized_margin"] = over(jnp.min(look.margins), look.network.degree * log_norms)
        return row
