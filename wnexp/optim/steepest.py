"""Steepest descent in a norm over all trained parameters, of the gradient or of its running average.

A step `lr d` with `N(d) = 1`, `<d, m> = N*(m)` (`nn/geometry.py`); `m` is the gradient, or with momentum

    m' = b1 m + (1 - b1) grad L.

| rule          | `N`      | momentum | limit on linear models: the largest margin in `N`                        |
|---------------|----------|----------|--------------------------------------------------------------------------|
| normalized_gd | l2       | no       | Nacson et al., arXiv 1803.01905                                          |
| sign          | linf     | no       | Fan et al., arXiv 2502.04664, Theorem 1                                  |
| coordinate    | l1       | no       | Telgarsky, arXiv 1303.4172                                               |
| spectral      | spectral | no       | Fan et al., Theorem 1; a vector counts as a diagonal matrix              |
| nuclear       | nuclear  | no       | Fan et al., Theorem 1                                                    |
| signum        | linf     | yes      | Zhang et al., arXiv 2406.10650                                           |
| muon          | spectral | yes      | Fan et al., Theorem 2; matrices alone, vectors follow a rule of their own |
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from wnexp.errors import UserError
from wnexp.nn.geometry import GEOMETRIES, POLARS
from wnexp.optim.moments import scale_by_adam
from wnexp.optim.remembering import Remembering
from wnexp.optim.transformed import Transformed
from wnexp.settings import setting


@dataclass(frozen=True)
class Steepest(Transformed):
    """Steepest descent in the norm `steep_in`, without memory."""

    steep_in: str = "l2"

    @property
    def geometry(self):
        return self.steep_in

    @property
    def has_time(self):
        return self.steep_in == "l2" and self.full_batch and not self.weight_decay

    @property
    def gap_power(self):
        if self.decay == 0.5:
            return 0.5  # times log t (Fan et al., Theorem 1)
        return 1.0 if self.steep_in == "l2" and not self.varied else None

    def log_eta(self, log_step, slope, log_loss):
        return log_step - GEOMETRIES["l2"].log_norm(slope) - log_loss if self.has_time else -math.inf

    def transformation(self, numbers):
        return optax.stateless(lambda slope, _: GEOMETRIES[self.steep_in].steepest(slope))


@dataclass(frozen=True)
class SpectralDescent(Steepest):
    """Steepest descent in the spectral norm."""

    steep_in: str = "spectral"
    polar: str = setting(
        "svd", "polar factor of a matrix: svd, exact; newton_schulz: five steps as Muon's", choices=tuple(POLARS)
    )

    def transformation(self, numbers):
        polar = POLARS[self.polar]
        return optax.stateless(lambda slope, _: GEOMETRIES[self.steep_in].steepest(slope, polar))


@dataclass(frozen=True)
class Signum(Remembering):
    """The sign of the running average."""

    @property
    def geometry(self):
        return "linf"

    def transformation(self, numbers):
        return optax.chain(optax.ema(numbers["b1"], debias=False), optax.scale_by_sign())


@dataclass(frozen=True)
class Lion(Remembering):
    """The sign of `b1 m + (1 - b1) grad L`; then `m' = b2 m + (1 - b2) grad L` (Chen et al., arXiv 2302.06675)."""

    b2: float = setting(0.99, "decay of the memory", least=0, below=1, traced=True)

    @property
    def geometry(self):
        return "linf"

    def hyperparameters(self):
        return super().hyperparameters() | {"b2": self.b2}

    def slack(self, hyperparameters):
        return -jnp.log(hyperparameters["b2"])

    def transformation(self, numbers):
        return optax.scale_by_lion(numbers["b1"], numbers["b2"])


@dataclass(frozen=True)
class Muon(Remembering):
    """The polar factor of the running average of every matrix; vectors take `vector_rule`."""

    polar: str = setting(
        "svd", "polar factor of a matrix: svd, exact; newton_schulz: five steps, as practised", choices=tuple(POLARS)
    )
    vector_rule: str = setting(
        "sign", "of biases and scales: the sign of the running average, or adam with b1, b2", choices=("sign", "adam")
    )
    b2: float = setting(0.999, "decay of the second moment of vectors, vector_rule=adam", least=0, below=1, traced=True)

    @property
    def geometry(self):
        return "spectral"

    def slack(self, hyperparameters):
        first = super().slack(hyperparameters)
        return jnp.minimum(first, -jnp.log(hyperparameters["b2"]) / 2) if self.vector_rule == "adam" else first

    def check(self, network, norm, precision):
        super().check(network, norm, precision)
        if not any(
            min(math.prod(layer.shape[:-1]), layer.shape[-1]) > 1 for layer in network.layers if layer.fixed is None
        ):
            raise UserError(
                "optimizer=muon needs a layer whose weights are a matrix; this network has one input or one neuron in "
                "every trained layer (optimizer=sign or normalized_gd takes any)"
            )

    def hyperparameters(self):
        return super().hyperparameters() | {"b2": self.b2, "log_eps": -math.inf}

    def transformation(self, numbers):
        polar = POLARS[self.polar]

        def orthogonal(moment, _):
            return GEOMETRIES["spectral"].steepest(moment, polar)

        average = optax.ema(numbers["b1"], debias=False)
        if self.vector_rule == "sign":
            return optax.chain(average, optax.stateless(orthogonal))
        rules: dict[Hashable, optax.GradientTransformation] = {
            "matrix": optax.chain(average, optax.stateless_with_tree_map(lambda leaf, _: _polar(leaf, polar))),
            "vector": scale_by_adam(numbers["b1"], numbers["b2"], numbers["eps"]),
        }
        return optax.partition(rules, lambda tree: jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", tree))


def _polar(leaf, polar):
    return polar(leaf.reshape(-1, leaf.shape[-1])).reshape(leaf.shape)
