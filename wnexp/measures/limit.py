"""`limit_cosine`: how near the gradient is to where the theory says that it ends up.

The limit gradient direction `gtilde = sum_i l_i grad z_i(w)` needs the last weights `w` and loss shares `l`, so the
gradients' directions are kept in a scratch table until the run has finished.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
from jaxtyping import Array, Float

from wnexp.measures.base import REAL, REALS, Columns, Measure, flat, parameters, unit
from wnexp.settings import setting


@dataclass(frozen=True)
class LimitCosine(Measure):
    """The column of `steps` that is filled at the end."""

    columns: ClassVar[Columns] = {"limit_cosine": (REAL, "cos(grad L, gtilde); null until the run has finished")}

    def measure(self, look):
        return {}


@dataclass(frozen=True)
class GradientDirection(Measure):
    """`grad L / ||grad L||` over all trained weights; the table's dot says that it is scratch."""

    table: ClassVar[str] = ".gradients"
    columns: ClassVar[Columns] = {"gradient": (REALS, "grad L / ||grad L||")}
    max_gradient: int = setting(
        32768, "record limit_cosine for networks with at most this many trained weights", least=0
    )

    def cost(self, network, samples):
        numbers = parameters(network)
        return numbers if numbers <= self.max_gradient else 0

    def measure(self, look):
        return {"gradient": unit(flat(look.gradient))}


def limit_direction(soft_margins, weights, loss_shares: Float[Array, " n"]) -> Float[Array, " p"]:
    """`gtilde`, a unit vector: where the theory says that `-grad L` ends up.

    `loss_shares` are those at the final weights, `soft_margins` the map from weights to `z` `(n,)`; for two
    classes `grad z_i = y_i grad Phi(x_i)`. Homogeneity makes the scale of the final weights immaterial.
    """
    _, pull_back = jax.vjp(soft_margins, weights)
    return unit(flat(pull_back(loss_shares)[0]))
