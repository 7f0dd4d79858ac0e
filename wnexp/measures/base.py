"""What a measure is: columns of a table, computed from one look at the training set, at a cadence of its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from wnexp.nn.losses import Loss
from wnexp.nn.network import Network

INTEGER, REAL, REALS = "integer", "real", "list of reals"  # kinds of columns
Columns = dict[str, tuple[str, str]]  # name -> (kind, unit or meaning)


class Look(NamedTuple):
    """One look at a seed: everything that measures need.

    One gradient serves all: `g = grad_w log L` with respect to the effective weights. Since `grad L = L g`, every
    direction of `grad L` is a direction of `g`, and `log ||grad_u L|| = log L + log ||g_u||` needs no `L`.
    """

    network: Network
    loss: Loss
    weights: tuple  # effective weights, None for layers that are not trained
    gradient: tuple  # of log L, the same structure
    log_loss: Float[Array, ""]  # of the data alone; what is minimized may have a penalty too, see `progress`
    outputs: Float[Array, "n k"]
    labels: Real[Array, " n"]
    margins: Float[Array, "n c"] | None  # None for labels that are no classes
    test_outputs: Float[Array, "m k"] | None = None  # None without a test set
    test_labels: Real[Array, " m"] | None = None
    progress: Mapping[str, Array] = {}  # of the optimizer: the columns of `Progress`
    inputs: Any = None  # (n, d)
    fixed: Any = None  # weights of the layers that are not trained, None for the others
    norms: Any = None  # the normalization of every layer
    parameters: Any = None  # those that are stepped
    log_loss_at: Any = None  # (parameters, inputs, labels) -> the log of what is minimized
    log_step: Any = None  # log of the next step on L (nats); NaN where a step is no multiple of grad L


@dataclass(frozen=True)
class Measure:
    """A group of columns; a row of `MEASURES`.

    `axes` name what a row of the table is one of, beside seed and record: `()` a record itself, `("sample",)` a
    sample, `("layer", "neuron")` a neuron of a layer. Columns have the shape `(items,)`, a list column
    `(length, items)`; with two axes they come by the first one, `{layer: columns}`. Measures of one table share its
    axes. What has no meaning is NaN here and null in the records.
    """

    table: ClassVar[str] = "steps"
    axes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[Columns] = {}
    names: ClassVar[tuple[str, ...]] = ()  # of the items of the first axis, if they have names

    @property
    def every(self) -> int:
        """The cadence: due at every so many-th record of a seed, the first one included.

        A measure that is due at every record is part of the one program that measures all seeds of a batch. Others are
        computed seed by seed, at the records and for the seeds that are due: what costs more than a step.
        """
        return 1

    def cost(self, network: Network, samples: int) -> int:
        """Numbers that one record of it takes, `rows * columns`; 0 if it does not apply to such a run at all."""
        return len(self.columns)

    def memory(self, network: Network) -> int:
        """Numbers that it keeps beside while it measures a seed."""
        return 0

    def measure(self, look: Look) -> Any:
        """The columns, see above."""
        raise TypeError(f"{type(self).__name__} has no measure")


def parameters(network: Network) -> int:
    """How many trained weights and biases a network has."""
    return sum(
        math.prod(layer.shape) + (layer.shape[-1] if layer.bias else 0)
        for layer in network.layers
        if layer.fixed is None
    )


def neuron_log_norm(array: Float[Array, "... neurons"]) -> Float[Array, " neurons"]:
    """`log ||.||` per neuron, scaled by the largest entry first: a neuron of 1e-200 still has one."""
    largest, scaled = _neuron_scaled(array)
    return jnp.log(largest) + 0.5 * jnp.log(jnp.sum(jnp.square(scaled), axis=tuple(range(array.ndim - 1))))


def neuron_units(array: Float[Array, "... neurons"]) -> Float[Array, "... neurons"]:
    """Every neuron's direction. Not by `exp` of the log of its norm, which costs as many roundings as that log says."""
    _, scaled = _neuron_scaled(array)
    return scaled / jnp.sqrt(jnp.sum(jnp.square(scaled), axis=tuple(range(array.ndim - 1))))


def _neuron_scaled(array: Float[Array, "... neurons"]) -> tuple[Float[Array, " neurons"], Float[Array, "... neurons"]]:
    """The largest entry of every neuron, and the neurons divided by theirs."""
    largest = jnp.max(jnp.abs(array), axis=tuple(range(array.ndim - 1)))
    return largest, array / jnp.where(largest > 0, largest, 1.0)


def cosine(product: Array) -> Array:
    """A product of unit vectors without its rounding beyond 1: the arc cosine of it must exist."""
    return jnp.clip(product, -1.0, 1.0)


def flat(tree) -> Float[Array, " p"]:
    """All entries of a tree of arrays."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def unit(vector: Float[Array, " p"]) -> Float[Array, " p"]:
    """The direction of a vector, scaled by its largest entry first."""
    scaled = vector / jnp.max(jnp.abs(vector))
    return scaled / jnp.linalg.norm(scaled)


def log_norm(vector: Float[Array, " p"]) -> Array:
    """`log ||.||` of a vector."""
    return neuron_log_norm(vector[:, None])[0]


def over(value: Array, log_scale: Array) -> Array:
    """`value / exp(log_scale)`, also where that power of a norm is no number: `q / inf` would be a margin of 0."""
    return jnp.sign(value) * jnp.exp(jnp.log(jnp.abs(value)) - log_scale)
