"""The largest eigenvalue of a symmetric matrix that is known by its products alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MOST = 100  # steps, and vectors kept


def vectors(size: int) -> int:
    """How many vectors of that size are kept at once."""
    return min(_MOST, size) + 1


def largest_eigenvalue(
    product: Callable[[Array], Array], start: Float[Array, " p"], tolerance: float
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The largest eigenvalue, and how far it is at most from one of the matrix, relative to it.

    Lanczos' method with two orthogonalizations against all vectors, until that bound, the residual of the eigenvector
    over the eigenvalue, is at most the tolerance, or after a hundred steps. The eigenvalue is better than the bound:
    its error is the residual's square over the distance to the next one. (Parlett, The Symmetric Eigenvalue Problem,
    chapters 11 and 13.) A start that is random has a part along every eigenvector.
    """
    most = vectors(start.size) - 1
    index = jnp.arange(most)

    def unfinished(carry):
        step, _, _, _, _, error = carry
        return (step < most) & ~(error <= tolerance)

    def advance(carry):
        step, basis, diagonal, beside, _, _ = carry
        image = product(basis[step])
        diagonal = diagonal.at[step].set(basis[step] @ image)
        for _ in range(2):
            image = image - basis.T @ (basis @ image)
        length = jnp.linalg.norm(image)
        beside = beside.at[step].set(length)
        basis = basis.at[step + 1].set(image / jnp.where(length > 0, length, 1))
        below = -2 * (jnp.max(jnp.abs(diagonal)) + jnp.max(beside)) - 1  # what is not there yet is never the largest
        couplings = jnp.where(index[:-1] < step, beside[:-1], 0)
        matrix = jnp.diag(jnp.where(index <= step, diagonal, below)) + jnp.diag(couplings, 1) + jnp.diag(couplings, -1)
        values, own = jnp.linalg.eigh(matrix)
        error = length * jnp.abs(own[step, -1]) / jnp.abs(values[-1])
        return step + 1, basis, diagonal, beside, values[-1], error

    zeros = jnp.zeros(most, start.dtype)
    basis = jnp.zeros((most + 1, start.size), start.dtype).at[0].set(start / jnp.linalg.norm(start))
    unknown = jnp.asarray(jnp.inf, start.dtype)
    *_, value, error = jax.lax.while_loop(unfinished, advance, (0, basis, zeros, zeros, unknown, unknown))
    return value, error
