"""Geometries: norms over all trained weights, their duals, and the direction of steepest descent in each.

| name     | `N(w)`                                | dual `N*(g)`             | steepest step           |
|----------|---------------------------------------|--------------------------|-------------------------|
| l2       | `||w||_2`                             | the same                 | `g / ||g||_2`           |
| linf     | largest entry                         | sum of the entries       | `sign(g)`               |
| l1       | sum of the entries                    | largest entry            | the largest entry alone |
| spectral | largest singular value of all layers  | sum of the nuclear norms | `U V^T` in every layer  |
| nuclear  | sum of the nuclear norms              | largest singular value   | `u v^T` in one layer    |

The steepest step `d` has `N(d) = 1` and `<d, g> = N*(g)`. A convolution is the matrix `(height width in, neurons)`; a
vector (a bias, the scales of a normalization) counts as a diagonal matrix, an entry for every neuron. Steepest descent
in `N` maximizes the margin over `N(w)` on linear models (Fan et al., arXiv 2502.04664, Theorem 1); on a homogeneous
network of degree `D` the normalized margin is `q / N(w)^D`, and the generalized alignment

    b_N = <w, -g> / (N(w) N*(g))

in [-1, 1] is 1 exactly at a KKT point of `min N(w)` s.t. margins of at least 1: there `-g` is a subgradient of `N` at
`w`, up to a factor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Leaves = list[Array]
Polar = Callable[[Float[Array, "rows columns"]], Float[Array, "rows columns"]]

# Muon's polynomial (Jordan et al. 2024): five steps bring singular values of at least .01 of the matrix's norm
# to between .68 and 1.14, none to 1.
_NEWTON_SCHULZ, _NEWTON_SCHULZ_STEPS = (3.4445, -4.7750, 2.0315), 5


def _matrix(leaf: Array) -> Array:
    return leaf.reshape(-1, leaf.shape[-1])


def _svd(leaf: Array) -> tuple[Array, Array, Array]:
    u, s, vt = jnp.linalg.svd(_matrix(leaf), full_matrices=False)
    return u, s, vt


class Blocks:
    """The leaves of a tree, divided by its largest entry; what norms have in common is computed once."""

    def __init__(self, tree: Any):
        leaves = jax.tree.leaves(tree)
        self.largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
        safe = jnp.where(self.largest > 0, self.largest, 1.0)
        self.leaves = [leaf / safe for leaf in leaves]
        self.entries = [jnp.abs(leaf) for leaf in self.leaves]

    @cached_property
    def singular_values(self) -> Leaves:
        """Of every leaf; the entries of a vector."""
        return [
            jnp.linalg.svd(_matrix(leaf), compute_uv=False) if leaf.ndim > 1 else jnp.abs(leaf) for leaf in self.leaves
        ]


def _blocks(tree: Any) -> Blocks:
    return tree if isinstance(tree, Blocks) else Blocks(tree)


def polar(matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """`U V^T` of the singular value decomposition, over the singular values that are more than rounding."""
    u, s, vt = _svd(matrix)
    rounding = jnp.finfo(s.dtype).eps * max(matrix.shape) * s[0]
    return (u * (s > rounding)) @ vt


def newton_schulz(matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """The polar factor as Muon is practised: five steps of an odd polynomial, the singular values only about 1."""
    wide = matrix.shape[0] <= matrix.shape[1]
    (scaled,) = Blocks([matrix]).leaves  # the squares of a layer of small gradients would be 0
    size = jnp.linalg.norm(scaled)
    x = (scaled if wide else scaled.T) / jnp.where(size > 0, size, 1.0)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T


POLARS: dict[str, Polar] = {"svd": polar, "newton_schulz": newton_schulz}


@dataclass(frozen=True)
class Geometry:
    """A norm over the leaves of a tree, its dual, and steepest descent in it; a row of `GEOMETRIES`.

    Trees may come as `Blocks`, which several norms share.
    """

    def norm(self, blocks: Blocks) -> Array:
        """`N`."""
        raise TypeError(f"{type(self).__name__} has no norm")

    def dual(self, blocks: Blocks) -> Array:
        """`N*`."""
        raise TypeError(f"{type(self).__name__} has no dual")

    def directions(self, leaves: Leaves, polar: Polar) -> Leaves:
        """The steepest direction; `polar` is how the polar factor of a matrix is found."""
        raise TypeError(f"{type(self).__name__} has no directions")

    def log_norm(self, tree: Any) -> Float[Array, ""]:
        """`log N(tree)` (nats)."""
        blocks = _blocks(tree)
        return jnp.log(blocks.largest) + jnp.log(self.norm(blocks))

    def log_dual(self, tree: Any) -> Float[Array, ""]:
        """`log N*(tree)` (nats)."""
        blocks = _blocks(tree)
        return jnp.log(blocks.largest) + jnp.log(self.dual(blocks))

    def log_dual_of_margins(self, x: Float[Array | np.ndarray, "n d"], outputs: int) -> Float[Array, " n"]:
        """`log N*` of the gradient of each sample's margins in the weights of one linear layer (nats).

        That is `x_i`, or `x_i (e_y - e_j)^T`, whose norms are the same whichever two classes they are.
        """
        pair = jnp.array([1.0] if outputs == 1 else [1.0, -1.0])
        return jax.vmap(lambda row: self.log_dual([jnp.outer(row, pair)]))(jnp.asarray(x))

    def alignment(self, weights: Any, gradient: Any) -> Float[Array, ""]:
        """The generalized alignment `b_N` of weights and a gradient of the same structure."""
        w, g = _blocks(weights), _blocks(gradient)
        product = jnp.sum(jnp.stack([jnp.sum(a * b) for a, b in zip(w.leaves, g.leaves, strict=True)]))
        return jnp.clip(-product / (self.norm(w) * self.dual(g)), -1.0, 1.0)

    def steepest(self, tree: Any, polar: Polar = polar) -> Any:
        """`d` with `N(d) = 1` and `<d, tree> = N*(tree)`; 0 for a tree of zeros."""
        return jax.tree.unflatten(jax.tree.structure(tree), self.directions(Blocks(tree).leaves, polar))


def _sum(leaves: Leaves) -> Array:
    return jnp.sum(jnp.stack([jnp.sum(leaf) for leaf in leaves]))


def _largest(leaves: Leaves) -> Array:
    return jnp.max(jnp.stack([jnp.max(leaf) for leaf in leaves]))


@dataclass(frozen=True)
class Euclidean(Geometry):
    """l2."""

    def norm(self, blocks):
        return jnp.sqrt(_sum([jnp.square(leaf) for leaf in blocks.leaves]))

    def dual(self, blocks):
        return self.norm(blocks)

    def directions(self, leaves, polar):
        size = jnp.sqrt(_sum([jnp.square(leaf) for leaf in leaves]))
        return [leaf / jnp.where(size > 0, size, 1.0) for leaf in leaves]


@dataclass(frozen=True)
class LargestEntry(Geometry):
    """linf."""

    def norm(self, blocks):
        return _largest(blocks.entries)

    def dual(self, blocks):
        return _sum(blocks.entries)

    def directions(self, leaves, polar):
        return [jnp.sign(leaf) for leaf in leaves]


def _only(leaves: Leaves, sizes: list[Array], directions: Leaves) -> Leaves:
    """The direction of the leaf of the largest size, the first of several, and zeros for all others."""
    chosen = jnp.argmax(jnp.stack(sizes))
    return [jnp.where(index == chosen, d, 0.0).astype(d.dtype) for index, d in enumerate(directions)]


def _largest_entry(leaf: Array) -> Array:
    place = jnp.argmax(jnp.abs(leaf))
    return jnp.where(jnp.arange(leaf.size) == place, jnp.sign(leaf.ravel()), 0.0).reshape(leaf.shape)


@dataclass(frozen=True)
class SumOfEntries(Geometry):
    """l1."""

    def norm(self, blocks):
        return _sum(blocks.entries)

    def dual(self, blocks):
        return _largest(blocks.entries)

    def directions(self, leaves, polar):
        sizes = [jnp.max(jnp.abs(leaf)) for leaf in leaves]
        return _only(leaves, sizes, [_largest_entry(leaf) for leaf in leaves])


@dataclass(frozen=True)
class Spectral(Geometry):
    """The largest singular value of all layers."""

    def norm(self, blocks):
        return _largest(blocks.singular_values)

    def dual(self, blocks):
        return _sum(blocks.singular_values)

    def directions(self, leaves, polar):
        return [polar(_matrix(leaf)).reshape(leaf.shape) if leaf.ndim > 1 else jnp.sign(leaf) for leaf in leaves]


@dataclass(frozen=True)
class Nuclear(Geometry):
    """The sum of all singular values of all layers."""

    def norm(self, blocks):
        return _sum(blocks.singular_values)

    def dual(self, blocks):
        return _largest(blocks.singular_values)

    def directions(self, leaves, polar):
        sizes, directions = zip(*map(self._rank_one, leaves), strict=True)
        return _only(leaves, list(sizes), list(directions))

    def _rank_one(self, leaf: Array) -> tuple[Array, Array]:
        if leaf.ndim == 1:
            return jnp.max(jnp.abs(leaf)), _largest_entry(leaf)
        u, s, vt = _svd(leaf)
        return s[0], jnp.where(s[0] > 0, jnp.outer(u[:, 0], vt[0]), 0.0).reshape(leaf.shape)


GEOMETRIES: dict[str, Geometry] = {
    "l2": Euclidean(),
    "linf": LargestEntry(),
    "l1": SumOfEntries(),
    "spectral": Spectral(),
    "nuclear": Nuclear(),
}
