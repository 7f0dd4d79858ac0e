"""Activations: positively homogeneous functions, each with its degree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wnexp.nn.weightnorm import neuron_norms


@dataclass(frozen=True)
class Activation:
    """A function with `f(c z) = c^degree f(z)` for `c > 0`."""

    degree: ClassVar[int]
    torch: ClassVar[str | None] = None  # the expression of its module; empty for none, None where there is none

    def __call__(self, z: Float[Array, "... neurons"]) -> Float[Array, "... neurons"]:
        """The function, entry by entry."""
        raise TypeError(f"{type(self).__name__} has no function")

    def of_layer(self, z: Any, layer: Mapping[str, Any]) -> Any:
        """The function of what the layer of those weights gives, `(..., neurons)`, of JAX or numpy."""
        return self(z)

    def sliding(self, through_zero: bool = False) -> "Activation":
        """The same function for gradient flow, which may come to rest on a kink and slide along it.

        `through_zero`: the weights are `gamma_u vhat_u`, and `gamma_u` may pass 0.
        """
        return self


@dataclass(frozen=True)
class Linear(Activation):
    """The identity."""

    degree: ClassVar[int] = 1
    torch: ClassVar[str | None] = ""

    def __call__(self, z):
        return z


@dataclass(frozen=True)
class Relu(Activation):
    """`max(z, 0)`."""

    degree: ClassVar[int] = 1
    torch: ClassVar[str | None] = "nn.ReLU()"

    def __call__(self, z):
        return jax.nn.relu(z)

    def sliding(self, through_zero=False) -> Activation:
        return SlidingRelu(through_zero)


@dataclass(frozen=True)
class SquaredRelu(Activation):
    """`max(z, 0)^2`."""

    degree: ClassVar[int] = 2
    torch: ClassVar[str | None] = "ReLUSquared()"

    def __call__(self, z):
        return jnp.square(jax.nn.relu(z))


@dataclass(frozen=True)
class SlidingRelu(Relu):
    """ReLU whose derivative rises continuously, see `relu_sliding` and `relu_through_zero`."""

    through_zero: bool = False

    def __call__(self, z):
        return relu_sliding(z)

    def of_layer(self, z, layer):
        if not self.through_zero or "bias" in layer:  # beside a bias no sample turns at `gamma = 0`
            return self(z)
        return relu_through_zero(z, neuron_norms(layer["weight"]))


_KINK_WIDTH = 1e-7  # of a neuron's largest pre-activation
_TURN_WIDTH = 1e-7  # of `gamma`, absolute, as steps measure it; of the layer's largest norm where all are below 1


@jax.custom_jvp
def relu_sliding(z: Float[Array, "... neurons"]) -> Float[Array, "... neurons"]:
    """ReLU whose derivative rises from 0 to 1 continuously over 1e-7 of the neuron's largest pre-activation.

    Under gradient flow a neuron can come to rest on the kink of a sample and slide along it: on either side the flow
    leads back. There the derivative takes the value in [0, 1] (Clarke's) that keeps the neuron on the kink; a step
    function would let every solver chatter.
    """
    return jax.nn.relu(z)


@relu_sliding.defjvp
def _relu_sliding_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    return relu_sliding(z), jax.nn.sigmoid(z / jax.lax.stop_gradient(_width(z))) * dz


def _width(z):
    width = _KINK_WIDTH * jnp.max(jnp.abs(z), axis=tuple(range(z.ndim - 1)), keepdims=True)
    return jnp.where(width > 0, width, 1.0)


@jax.custom_jvp
def relu_through_zero(z: Float[Array, "... neurons"], norms: Float[Array, " neurons"]) -> Float[Array, "... neurons"]:
    """`relu_sliding` of `z = gamma a`, `norms = |gamma|`, whose derivative is continuous at `gamma = 0` too.

    There all samples of a neuron turn at once: those with `a > 0` are seen on one side, those with `a < 0` on the
    other, and where both sides lead back the flow slides along `gamma = 0`. Filippov's solution mixes the derivatives
    of the two sides, all samples in one ratio, here `sigmoid(gamma / width)`: each sample turning on its own would make
    places to rest where both sides lead across. The widths are differentiated too, so that an implicit step knows how
    a kink moves while its neuron grows.
    """
    return jax.nn.relu(z)


@relu_through_zero.defjvp
def _relu_through_zero_jvp(primals, tangents):
    (z, norms), (dz, _) = primals, tangents
    width = _TURN_WIDTH * jnp.minimum(1.0, jnp.max(norms))
    here = jax.nn.sigmoid(norms / jnp.where(width > 0, width, 1.0))
    kink = z / _width(z)
    slope = here * jax.nn.sigmoid(kink) + (1 - here) * jax.nn.sigmoid(-kink)
    return relu_through_zero(z, norms), slope * dz


ACTIVATIONS: dict[str, Activation] = {"linear": Linear(), "relu": Relu(), "relu_squared": SquaredRelu()}
