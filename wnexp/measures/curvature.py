"""Columns of `steps` on the Hessian of the loss: how curved it is for the parameters that are stepped.

With `H` the Hessian of `L` in them, `H = L (grad^2 log L + g g^T)`, `g = grad log L`, so `log lambda_max(H)` needs no
`L`. Descent by steps `eta grad L` is stable along an eigenvector while `eta lambda < 2` (Cohen et al., arXiv
2103.00065): `step_sharpness` is that product for the next step.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from wnexp.measures.base import REAL, Columns, Measure, parameters
from wnexp.measures.lanczos import largest_eigenvalue, vectors
from wnexp.settings import setting

_TOLERANCE = 1e-7
_ROUNDINGS = 100  # of the parameters' precision: no product is better


@dataclass(frozen=True)
class Sharpness(Measure):
    """The largest eigenvalue of the Hessian, by products with vectors."""

    columns: ClassVar[Columns] = {
        "log_sharpness": (REAL, "nats; log of the largest Hessian eigenvalue of L in the stepped parameters"),
        "sharpness_error": (REAL, "how far it is at most from an eigenvalue, relative"),
        "step_sharpness": (REAL, "eta lambda_max, eta the next step on L; null where a step is no multiple of grad L"),
    }
    sharpness_every: int | None = setting(
        None, "record the Hessian's largest eigenvalue at every so many-th record", least=1, null="for never"
    )

    @property
    def every(self):
        return self.sharpness_every or 1

    def cost(self, network, samples):
        return len(self.columns) if self.sharpness_every else 0

    def memory(self, network):
        return vectors(parameters(network)) * parameters(network)

    def measure(self, look):
        flat, unravel = ravel_pytree(look.parameters)
        slope = jax.grad(lambda point: look.log_loss_at(unravel(point), look.inputs, look.labels))
        gradient = slope(flat)

        def product(vector):
            return jax.jvp(slope, (flat,), (vector,))[1] + gradient * (gradient @ vector)

        start = jax.random.normal(jax.random.key(0), flat.shape, flat.dtype)
        tolerance = max(_TOLERANCE, _ROUNDINGS * float(jnp.finfo(flat.dtype).eps))
        value, error = largest_eigenvalue(product, start, tolerance)
        log_sharpness = look.progress["log_loss"] + jnp.log(value.astype(look.log_loss.dtype))
        return {
            "log_sharpness": log_sharpness,
            "sharpness_error": error.astype(look.log_loss.dtype),
            "step_sharpness": jnp.exp(look.log_step + log_sharpness),
        }
