"""The largest margin of a linear model of several classes, in the norm that a power of the family has, by a solver."""

import cvxpy
import numpy as np


def largest(x, y, power):
    """The largest `min s_ij(W) / (sum_u ||w_u||^(2/P))^(P/2)` over `W (d, classes)`, a convex program up to `P = 2`."""
    weights, classes = cvxpy.Variable((x.shape[1], y.max() + 1)), y.max() + 1
    scores = x @ weights
    limits = [scores[i, y[i]] - scores[i, j] >= 1 for i in range(len(y)) for j in range(classes) if j != y[i]]
    penalty = cvxpy.sum(cvxpy.power(cvxpy.norm(weights, 2, axis=0), 2 / power))
    return cvxpy.Problem(cvxpy.Minimize(penalty), limits).solve(solver=cvxpy.CLARABEL) ** (-power / 2)


def share(weights, x, y, power):
    """The margin of weights `(d, classes)` as a share of the largest."""
    scores = x @ weights
    others = np.where(np.eye(scores.shape[1], dtype=bool)[y], -np.inf, scores).max(axis=1)
    margin = (scores[np.arange(len(scores)), y] - others).min()
    size = np.sum(np.linalg.norm(weights, axis=0) ** (2 / power)) ** (power / 2)
    return margin / size / largest(x, y, power)
