"""Transformations of gradients that optax lacks, of its interface. Their state is of degree 1 in the gradient.

Second moments are kept as roots, `r = sqrt(v)`: their squares underflow in float32 between neurons of 1e-25 and 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int


class RootState(NamedTuple):
    """The root of a second moment."""

    count: Int[Array, ""]
    root: Any


class TraceState(NamedTuple):
    """Dual acceleration's trace."""

    count: Int[Array, ""]
    trace: Any


def root_of_second_moment(b2: Array) -> optax.GradientTransformation:
    """The updates are `r' = sqrt(b2 r^2 + (1 - b2) g^2)`, not corrected for its start at 0."""
    old, new = jnp.sqrt(b2), jnp.sqrt(1 - b2)

    def init(params):
        return RootState(count=jnp.zeros((), jnp.int32), root=jax.tree.map(jnp.zeros_like, params))

    def update(updates, state: Any, params=None):
        root = jax.tree.map(lambda g, r: jnp.hypot(old * r, new * g), updates, state.root)
        return root, RootState(count=state.count + 1, root=root)

    return optax.GradientTransformation(init, update)


def root_of_sum() -> optax.GradientTransformation:
    """The updates are `r' = sqrt(r^2 + g^2)`."""

    def init(params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(updates, state: Any, params=None):
        root = jax.tree.map(jnp.hypot, state, updates)
        return root, root

    return optax.GradientTransformation(init, update)


def scale_by_adam(b1: Array, b2: Array, eps: Array) -> optax.GradientTransformation:
    """`m / (r + eps)`, both corrected for their start at 0 (Kingma and Ba, arXiv 1412.6980)."""
    first, second = optax.ema(b1, debias=True), root_of_second_moment(b2)

    def init(params):
        return first.init(params), second.init(params)

    def update(updates, state: Any, params=None):
        moment, of_first = first.update(updates, state[0])
        root, of_second = second.update(updates, state[1])
        correction = jnp.sqrt(1 - b2 ** (state[1].count + 1))
        return jax.tree.map(lambda m, r: m / (r / correction + eps), moment, root), (of_first, of_second)

    return optax.GradientTransformation(init, update)


def scale_by_rms(b2: Array, eps: Array) -> optax.GradientTransformation:
    """`g / (r + eps)` (Tieleman and Hinton 2012), not corrected for the start at 0."""
    second = root_of_second_moment(b2)

    def update(updates, state: Any, params=None):
        root, state = second.update(updates, state)
        return jax.tree.map(lambda g, r: g / (r + eps), updates, root), state

    return optax.GradientTransformation(second.init, update)


def accelerated_trace() -> optax.GradientTransformation:
    """Dual acceleration (Ji, Srebro and Telgarsky, arXiv 2107.00595, Algorithm 1): a Nesterov trace of decay `t/(t+1)`.

        T_t = q_t + (t-1)/t T_{t-1},     the direction is q_t + t/(t+1) T_t,     t = 0, 1, ...

    with `q_t = grad log L`.
    """

    def init(params):
        return TraceState(count=jnp.zeros((), jnp.int32), trace=jax.tree.map(jnp.zeros_like, params))

    def update(updates, state: Any, params=None):
        def decay(t, leaf):
            t = t.astype(leaf.dtype)  # a quotient of 32 bit integers would have 32 bits
            return t / (t + 1)

        before = jnp.maximum(state.count - 1, 0)
        trace = jax.tree.map(lambda q, old: q + decay(before, q) * old, updates, state.trace)
        direction = jax.tree.map(lambda q, new: q + decay(state.count, q) * new, updates, trace)
        return direction, TraceState(count=state.count + 1, trace=trace)

    return optax.GradientTransformation(init, update)
