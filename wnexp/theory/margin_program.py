"""The largest margin as a convex program: its constraints, its norms, a solver, and what certifies the answer.

Over weights `W (d, k)` with `N(W) <= 1` the smallest margin `s_ij(W) = <W, A_ij>`, `A_ij = x_i (e_yi - e_j)^T` (one
output: `y_i x_i`), is largest. For any multipliers `lambda_ij >= 0`

    min s_ij(W) <= sum lambda_ij s_ij(W) / sum lambda = <W, G> / sum lambda <= N*(G) / sum lambda

with `G = sum lambda_ij A_ij`, so that weights bound the margin from below and multipliers from above, whoever found
them: both are computed here from the data, and a solver is believed in nothing.
"""

import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from wnexp.errors import UserError

GAP = 1e-7  # certified, relative; the solver is asked for 1e-9 of a program scaled to a margin of 1
_SEPARABLE = 1e-9  # margins below that share of the largest input are rounding
_BATCH = 600_000  # numbers in the constraints that join the program at a time, two for every input of a sample
_NEAR = 0.1  # of the margin: how far above it constraints still matter
_NOISE = (0.0, 1e-8, 1e-6, 1e-4)  # shares of the largest multiplier


class Norm(NamedTuple):
    """The `power`-norm of a matrix's entries, or of its singular values."""

    spectral: bool
    power: float

    def of(self, matrix: Float[np.ndarray, "d k"]) -> float:
        """`N` of a matrix."""
        values = np.linalg.svd(matrix, compute_uv=False) if self.spectral else matrix.ravel()
        return float(np.linalg.norm(values, self.power))

    @property
    def dual(self) -> "Norm":
        """`N*`."""
        return Norm(self.spectral, {1: np.inf, 2: 2, np.inf: 1}[self.power])

    @property
    def rotates(self) -> bool:
        """Whether rotations of the inputs leave it as it is."""
        return self.spectral or self.power == 2


NORMS = {
    "l2": Norm(False, 2),
    "linf": Norm(False, np.inf),
    "l1": Norm(False, 1),
    "spectral": Norm(True, np.inf),
    "nuclear": Norm(True, 1),
}


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs `(n, d)`, labels `(n,)` and the number of outputs: -1/+1 for one, 0..k-1 for `k`."""

    x: Float[np.ndarray, "n d"]
    y: Int[np.ndarray, " n"]
    outputs: int

    def margins(self, weights: Float[np.ndarray, "d k"]) -> Float[np.ndarray, "n k"]:
        """`s_ij` as in `wnexp.nn.losses.margins`, in float64 whatever JAX computes in; `inf` for the own class."""
        scores = self.x @ weights
        if self.outputs == 1:
            return scores * self.y[:, None]
        return np.where(self._own, np.inf, np.take_along_axis(scores, self.y[:, None], axis=1) - scores)

    @property
    def _own(self) -> Bool[np.ndarray, "n k"]:
        return self.y[:, None] == np.arange(self.outputs)

    def rows(self, chosen: Bool[np.ndarray, "n k"]) -> sparse.csr_matrix:
        """`A_ij` of the chosen `(i, j)` as rows `(m, d k)`."""
        i, j = np.nonzero(chosen)
        x, entries = self.x[i], np.arange(self.x.shape[1]) * self.outputs
        if self.outputs == 1:
            return sparse.csr_matrix(x * self.y[i, None])
        values = np.concatenate([x, -x], axis=1)
        columns = np.concatenate([entries + self.y[i, None], entries + j[:, None]], axis=1)
        starts = np.arange(len(i) + 1) * values.shape[1]
        return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), (len(i), self.x.shape[1] * self.outputs))

    def means(self) -> Float[np.ndarray, "d k"]:
        """Weights to begin with: the mean of every class."""
        if self.outputs == 1:
            return np.mean(self.x * self.y[:, None], axis=0)[:, None]
        return self.x.T @ (self._own / self._own.sum(axis=0))


class Solution(NamedTuple):
    """Weights with `N = 1`, their smallest margin, and the bound that no weights exceed."""

    weights: Float[np.ndarray, "d k"]
    margin: float
    bound: float


def solve(samples: Samples, norm: Norm) -> Solution:
    """The largest margin to `GAP`. Raises `UserError` where there is none above 0, or none that can be certified."""
    exponent = np.frexp(np.abs(samples.x).max())[1]  # scaled by a power of two, without rounding
    scaled, basis = replace(samples, x=np.ldexp(samples.x, -exponent)), None
    if norm.rotates and scaled.x.shape[0] < scaled.x.shape[1]:
        basis, coordinates = np.linalg.qr(scaled.x.T)  # the best weights lie in the span of the inputs
        scaled = replace(scaled, x=coordinates.T)
    weights, bound = _in_batches(scaled, norm)
    weights = weights if basis is None else basis @ weights
    weights = weights / norm.of(weights)
    return Solution(weights, float(samples.margins(weights).min()), float(np.ldexp(bound, exponent)))


def _in_batches(samples: Samples, norm: Norm) -> tuple[Float[np.ndarray, "d k"], float]:
    """The best weights, with `N = 1`, and the bound.

    The program holds the constraints that are hardest for its own solutions, a batch more every time: what it lacks
    only raises its optimum, so its multipliers bound the margin of all.
    """
    size, polished = _size(samples, norm), False
    batch = max(1000, _BATCH // (2 * samples.x.shape[1]))
    active = _hardest(samples.margins(samples.means()), np.inf, batch)
    best, low, bound, unit = samples.means(), -np.inf, 2 * size, size
    while bound > _SEPARABLE * size:
        rows = samples.rows(active)
        found = _program(rows / unit, best.shape, norm)
        if found is None:
            break
        weights, multipliers = found[0] / (norm.of(found[0]) or 1.0), found[1]
        # What a solver leaves at thousands of constraints that do not matter is 1e-9 of the largest, not 0.
        some = [np.where(multipliers > share * multipliers.max(), multipliers, 0) for share in _NOISE]
        bound = min(bound, *(_bound(rows, each, weights.shape, norm) for each in some))
        margins = samples.margins(weights)
        if margins.min() > low:
            best, low = weights, float(margins.min())
        if low > 0 and bound - low <= GAP * bound:
            return best, bound
        more = _hardest(np.where(active, np.inf, margins), margins[active].min(), batch)
        if more.any() or bound <= unit / 2:
            active = active | more
        elif not polished:  # of the few constraints that matter the solver leaves no noise at thousands of others
            active, polished = samples.margins(best) < low + _NEAR * bound, True
        else:
            break
        unit = bound
    if bound <= _SEPARABLE * size:
        least = f"or by less than {_SEPARABLE:.0e} of the largest input"
        raise UserError(f"no linear model without a bias separates the training set, {least}")
    known = f"{max(low, 0) / size:.6g} to {bound / size:.6g} of the largest input"
    raise UserError(f"the largest margin of a linear model cannot be told more closely than as {known}")


def _size(samples: Samples, norm: Norm) -> float:
    """The largest dual norm of an input, which bounds margins up to a factor of 2."""
    return float(np.linalg.norm(samples.x, 2 if norm.spectral else norm.dual.power, axis=1).max())


def _hardest(margins: Float[np.ndarray, "n k"], below: float, most: int) -> Bool[np.ndarray, "n k"]:
    """Where the smallest margins are, so many at most, of those below the number."""
    order = np.argsort(margins, axis=None, kind="stable")[:most]
    chosen = np.zeros(margins.shape, bool)
    chosen.ravel()[order] = margins.ravel()[order] < below
    return chosen


def _bound(rows: Any, multipliers: Float[np.ndarray, " m"], shape: tuple[int, int], norm: Norm) -> float:
    """The upper bound of the margin that multipliers give."""
    multipliers = np.maximum(multipliers, 0)
    if not multipliers.any():
        return np.inf
    return norm.dual.of((rows.T @ multipliers).reshape(shape)) / float(multipliers.sum())


def _program(rows: Any, shape: tuple[int, int], norm: Norm) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights `shape` and multipliers `(m,)` of the largest margin over the rows `(m, d k)`; None if Clarabel fails.

    A bound on the largest singular value is a sparse semidefinite constraint, on the sum of them a dense one. So the
    nuclear norm takes the dual program, whose norm is the other one: 3 times as fast, and accurate to 1e-8, not 1e-5.
    """
    import cvxpy  # a second, and `verify` alone needs it

    weights = cvxpy.Variable(rows.shape[1])
    matrix: Any = cvxpy.reshape(weights, shape, order="C")
    link: Any  # the constraint whose own variables are what is looked for beside the program's
    if norm == NORMS["nuclear"]:
        multipliers = cvxpy.Variable(rows.shape[0], nonneg=True)
        link, total = weights == rows.T @ multipliers, cast(Any, cvxpy.sum(multipliers) == 1)
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sigma_max(matrix)), [link, total])
    else:
        margin: Any = cvxpy.Variable()
        link, multipliers = rows @ weights >= margin, None
        size: Any = cvxpy.sigma_max(matrix) if norm.spectral else cvxpy.norm(weights, cast(Any, norm.power))
        # What all classes have in common changes no margin, and without it no singular value is larger: left free, it
        # is a flat direction that Clarabel gets lost in where margins are small.
        common: list[Any] = [cvxpy.sum(matrix, axis=1) == 0] if norm.spectral and shape[1] > 1 else []
        problem = cvxpy.Problem(cvxpy.Maximize(margin), [link, size <= 1, *common])
    with warnings.catch_warnings(), suppress(cvxpy.SolverError):
        warnings.simplefilter("ignore")  # of an accuracy that is measured here
        problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    if weights.value is None:
        return None
    if multipliers is not None:
        return -np.reshape(link.dual_value, shape), np.asarray(multipliers.value)
    return np.reshape(weights.value, shape), link.dual_value
