"""The frame: a memory of `grad L`, which no float holds, relative to a loss that falls with it.

`grad L = L g` with `g = grad log L` is never formed. A rule's memory of `grad L`, in the `state` of its transformation,
is of degree 1 in the gradient (second moments are kept as roots) and is held relative to a *frame* `s`: the true leaf
is `leaf * e^s`. Every update picks

    s' = max(log L, s - slack),        slack = min(|log b1|, |log b2| / 2),

multiplies the state by `e^(s - s')` and feeds the transformation `g e^(log L - s')`. `slack` is how fast the slowest
memory fades: a frame that fell faster would let the state grow without bound. Rules without memory have
`s' = log L`; a sum that never fades has `slack = 0`. With `memory=log_loss` the rule remembers `g` itself, and no frame
is needed: another optimizer.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wnexp.optim.base import Hyperparameters


class Memory(NamedTuple):
    """What these rules remember."""

    gradient: tuple | None  # of log L at the effective weights; None where batches are drawn
    log_reference: Float[Array, ""]  # log Lref (nats), of a loss-based step
    frame: Float[Array, ""]  # s (nats)
    updates: Int[Array, ""]  # t, so far
    state: Any  # of the transformation, relative to the frame


def emptied(memory: Memory, frame: Array | None = None) -> Memory:
    """The memory with an empty state: all transformations start at 0; in another frame (nats), if there is one."""
    state = jax.tree.map(jnp.zeros_like, memory.state)
    return memory._replace(state=state, frame=memory.frame if frame is None else frame)


def faded(state: Any, factor: Array) -> Any:
    """The state in another frame: every real number of it is of degree 1 in the gradient."""
    return jax.tree.map(
        lambda leaf: (factor * leaf).astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state
    )


def in_units_of(frame: Array, hyperparameters: Hyperparameters, parameters: Any) -> dict[str, Array]:
    """The hyperparameters in the parameters' precision; `eps` in units of the frame, never 0: 0/0 is no number."""
    dtype = jax.tree.leaves(parameters)[0].dtype
    numbers = dict(hyperparameters)
    if "log_eps" in numbers:
        smallest = jnp.asarray(1e-30 if dtype == jnp.float32 else 1e-300, frame.dtype)
        numbers["eps"] = jnp.maximum(smallest, jnp.exp(numbers["log_eps"] - frame))
    return {name: jnp.asarray(value).astype(dtype) for name, value in numbers.items()}
