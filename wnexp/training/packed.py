"""A loop whose state is one vector per dtype.

Where every array of a state is selected from an old and a new one, a GPU launches a kernel for each: launches are what
a small network's attempt costs there. Of one vector per dtype it is one kernel, into which joining them is fused.
(`jax.flatten_util.ravel_pytree` casts all to one dtype, in which large integers are not exact.)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def pack(tree: Any) -> dict[str, Array]:
    """All arrays of a tree, flattened and joined, by the name of their dtype."""
    arrays: dict[str, list[Array]] = {}
    for leaf in jax.tree.leaves(tree):
        arrays.setdefault(leaf.dtype.name, []).append(leaf.ravel())
    return {name: jnp.concatenate(flat) for name, flat in arrays.items()}


def unpack(packed: dict[str, Array], like: Any) -> Any:
    """The tree that was packed, whose structure, shapes and dtypes are those of `like`."""
    leaves, structure = jax.tree.flatten(like)
    at, found = dict.fromkeys(packed, 0), []
    for leaf in leaves:
        name = leaf.dtype.name
        start, at[name] = at[name], at[name] + leaf.size
        found.append(packed[name][start : at[name]].reshape(leaf.shape))
    return jax.tree.unflatten(structure, found)


def while_loop(condition: Callable[[Any], Any], body: Callable[[Any], Any], start: Any) -> Any:
    """`jax.lax.while_loop`, packed between two trips."""

    def go_on(packed):
        return condition(unpack(packed, start))

    def trip(packed):
        return pack(body(unpack(packed, start)))

    return unpack(jax.lax.while_loop(go_on, trip, pack(start)), start)
