"""Columns of `layers`, one row per layer: how large it is, of what rank, and what flow conserves."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from wnexp.measures.base import REAL, Columns, Measure, log_norm
from wnexp.nn import network
from wnexp.nn.weights import merge
from wnexp.settings import setting


@dataclass(frozen=True)
class Layers(Measure):
    """Norms, stable rank and conserved sum of every layer; null for those that are not trained.

    A record costs a singular value decomposition of every layer; convolutions are matrices `(height width in,
    neurons)`.
    """

    table: ClassVar[str] = "layers"
    axes: ClassVar[tuple[str, ...]] = ("layer",)
    columns: ClassVar[Columns] = {
        "frobenius_norm": (REAL, "||W_l||_F, biases left out"),
        "spectral_norm": (REAL, "largest singular value"),
        "stable_rank": (REAL, "squared Frobenius over squared spectral norm"),
        "conserved_sum": (REAL, "S_l/k_l, S_l = sum_u (P/2)(||w_u||^(2/P) - 1); flow conserves the differences"),
    }
    layers_every: int | None = setting(
        None, "record norms and ranks of layers at every so many-th record", least=1, null="for never"
    )

    @property
    def every(self):
        return self.layers_every or 1

    def cost(self, network, samples):
        return len(self.columns) * len(network.layers) if self.layers_every else 0

    def measure(self, look):
        rows = [self._layer(look, index, entry) for index, entry in enumerate(look.weights)]
        return {name: jnp.stack([row[name] for row in rows]) for name in self.columns}

    def _layer(self, look, index, entry):
        nan = jnp.full_like(look.log_loss, jnp.nan)
        if entry is None:
            return dict.fromkeys(self.columns, nan)
        weight = entry["weight"].astype(look.log_loss.dtype)
        log_size = log_norm(weight.ravel())
        scaled = weight.reshape(-1, weight.shape[-1]) / jnp.exp(log_size)  # a layer of 1e-200 has a rank too
        largest = jnp.linalg.svd(scaled, compute_uv=False)[0]
        norm = look.norms[index]
        return {
            "frobenius_norm": jnp.exp(log_size),
            "spectral_norm": jnp.exp(log_size) * largest,
            "stable_rank": 1 / largest**2,
            "conserved_sum": nan if norm.law is None else self._conserved(norm, weight) / look.network.degrees[index],
        }

    def _conserved(self, norm, weight):
        return jnp.sum(norm.law.conserved(norm.sizes(weight), jnp.log))


@dataclass(frozen=True)
class PathNorm(Measure):
    """The network of absolute weights at inputs of 1: over ReLU paths the sum of products of `|w|`."""

    columns: ClassVar[Columns] = {
        "path_norm": (REAL, "sum of the outputs of the net of |w|, biases left out, at inputs of 1"),
    }
    path_norm_every: int | None = setting(
        None, "record the path norm at every so many-th record", least=1, null="for never"
    )

    @property
    def every(self):
        return self.path_norm_every or 1

    def cost(self, network, samples):
        return len(self.columns) if self.path_norm_every else 0

    def measure(self, look):
        def magnitudes(entry):
            return {name: jnp.abs(array) * (name == "weight") for name, array in entry.items()}

        weights = tuple(map(magnitudes, merge(look.weights, look.fixed)))
        outputs = network.apply(look.network, weights, jnp.ones_like(look.inputs[:1]))
        return {"path_norm": jnp.sum(outputs).astype(look.log_loss.dtype)}
