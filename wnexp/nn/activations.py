"""Activations: positively homogeneous functions, each with its degree."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Activation:
    """A function with `f(c z) = c^degree f(z)` for `c > 0`."""

    degree: ClassVar[int]

    def __call__(self, z: Float[Array, "... neurons"]) -> Float[Array, "... neurons"]:
        """The function, entry by entry."""
        raise TypeError(f"{type(self).__name__} has no function")

    def sliding(self) -> "Activation":
        """The same function for gradient flow, which may come to rest on a kink and slide along it."""
        return self


@dataclass(frozen=True)
class Linear(Activation):
    """The identity."""

    degree: ClassVar[int] = 1

    def __call__(self, z):
        return z


@dataclass(frozen=True)
class Relu(Activation):
    """`max(z, 0)`."""

    degree: ClassVar[int] = 1

    def __call__(self, z):
        return jax.nn.relu(z)

    def sliding(self) -> Activation:
        return SlidingRelu()


@dataclass(frozen=True)
class SquaredRelu(Activation):
    """`max(z, 0)^2`."""

    degree: ClassVar[int] = 2

    def __call__(self, z):
        return jnp.square(jax.nn.relu(z))


@dataclass(frozen=True)
class SlidingRelu(Relu):
    """ReLU whose derivative rises continuously, see `relu_sliding`."""

    def __call__(self, z):
        return relu_sliding(z)


_KINK_WIDTH = 1e-7  # of a neuron's largest pre-activation


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
    width = _KINK_WIDTH * jnp.max(jnp.abs(z), axis=tuple(range(z.ndim - 1)), keepdims=True)
    width = jax.lax.stop_gradient(jnp.where(width > 0, width, 1.0))
    return relu_sliding(z), jax.nn.sigmoid(z / width) * dz


ACTIVATIONS: dict[str, Activation] = {"linear": Linear(), "relu": Relu(), "relu_squared": SquaredRelu()}
