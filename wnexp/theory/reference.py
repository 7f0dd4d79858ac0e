"""What runs are held against: their twin in other variables, the hard-margin SVM, the finite-time bound."""

import functools

import numpy as np

from wnexp.nn.activations import Linear
from wnexp.nn.weights import from_arrays
from wnexp.runs import snapshots
from wnexp.theory.runs import SeedRecords, TrainedRun


def path_distances(run: TrainedRun, twin: TrainedRun) -> list[float]:
    """Relative distance of the effective weights at every snapshot that both runs have."""
    distances = []
    for seed in run.run.seeds:
        for level in run.run.snapshot_losses:
            ours, theirs = (one.run.weights(seed, snapshots.at(level)) for one in (run, twin))
            if ours is not None and theirs is not None:
                gap = sum(float(np.sum(np.square(ours[key] - theirs[key]))) for key in ours)
                distances.append((gap / sum(float(np.sum(np.square(array))) for array in ours.values())) ** 0.5)
    return distances


def is_linear(run: TrainedRun) -> bool:
    """Whether the network is linear and dense, with one output and no bias."""
    dense = all(layer.kind == "dense" and not layer.bias for layer in run.network.layers)
    return isinstance(run.network.activation, Linear) and dense and run.dataset.outputs == 1


def to_hard_margin(run: TrainedRun) -> tuple[list[float], list[float]]:
    """Of every seed of a linear network: the angle (radians) between its final map and the hard-margin SVM's normal,
    and the relative gap between its margin and the largest one.
    """
    data = run.dataset
    signed = data.train_x * data.train_y[:, None]
    normal = hard_margin_normal(data.train_x, data.train_y)
    angles, gaps = [], []
    for seed in run.reached:
        arrays = run.run.weights(seed.seed, snapshots.FINAL)
        if arrays is not None:
            layers = from_arrays(arrays, run.network, "float64", str(run.directory))
            product = functools.reduce(np.matmul, [layer["weight"] for layer in layers])
            found = product[:, 0] / np.linalg.norm(product)
            angles.append(float(2 * np.arcsin(min(1.0, np.linalg.norm(found - normal) / 2))))
            gaps.append(float(1 - np.min(signed @ found) / np.min(signed @ normal)))
    return angles, gaps


def hard_margin_normal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The unit normal `(d,)` of the largest margin through the origin for points `(n, d)` and labels -1/+1.

    Its dual is non-negative least squares: with `A = y x`, `min ||w||^2 s.t. A w >= 1` has `w = A^T lambda` and
    `(A^T lambda, sum lambda)` proportional to the residual of `min ||A^T mu||^2 + (sum mu - 1)^2, mu >= 0`.
    """
    from scipy.optimize import nnls

    signed = x * y[:, None]
    system = np.vstack([signed.T, np.ones(len(signed))])
    target = np.append(np.zeros(x.shape[1]), 1.0)
    weights, _ = nnls(system, target)
    normal = signed.T @ weights
    return normal / np.linalg.norm(normal)


def excess_time(seed: SeedRecords, kappa: float) -> float:
    """The largest `log(t - t_0) - log bound` over records, `t_0` the first with a loss below `1/e`; -inf before.

    The bound `(1/kappa) int_{x_0}^{x} dr/(log r)^2` is `(1/kappa) int_{tau_0}^{tau} e^s/s^2 ds`.
    """
    deep = np.flatnonzero(seed.depth >= 1)
    if len(deep) < 2:
        return -np.inf
    first, later = deep[0], deep[1:]
    log_time, depth = seed.steps["log_time"], seed.depth
    elapsed = log_time[later] + np.log1p(-np.exp(log_time[first] - log_time[later]))
    log_integral = _log_integral(depth[later])
    log_integral += np.log1p(-np.exp(_log_integral(depth[first : first + 1]) - log_integral))
    return float(np.max(elapsed - (log_integral - np.log(kappa))))


def _log_integral(tau: np.ndarray) -> np.ndarray:
    """`log` of the antiderivative `Ei(tau) - e^tau/tau` of `e^s/s^2`, for `tau >= 1`, up to a constant inside."""
    from scipy.special import expi

    small = np.minimum(tau, 100.0)
    # Ei(s) - e^s/s, shifted to be positive at 1; beyond 100 its asymptotic series, e^s/s^2 (1 + 2/s + 6/s^2 + ...).
    exact = np.log(expi(small) - np.exp(small) / small + 2.0)
    terms = [np.ones_like(tau)]
    for order in range(2, 12):
        terms.append(terms[-1] * order / np.maximum(tau, 100.0))
    return np.where(tau <= 100, exact, tau - 2 * np.log(tau) + np.log(np.sum(terms, axis=0)))
