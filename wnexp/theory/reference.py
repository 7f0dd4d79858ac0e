"""What runs are held against: a twin in other variables, the norm's metric, the hard-margin SVM, the time bound."""

import functools

import numpy as np

from wnexp.nn.activations import Linear
from wnexp.nn.weights import from_arrays
from wnexp.runs import snapshots
from wnexp.theory.fits import Interval, deepening
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import SeedRecords

_RESOLVED = 0.02  # relative difference of two quadratures of an interval between records; ReLU's kinks lie above
_STEEPEST = 0.25  # change of log||w_u|| between two records, relative change of its velocity
_CLOCK_FROM = 100.0  # nats; what is neglected falls as the third power of 1/tau


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


def to_hard_margin(run: TrainedRun, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At a seed's snapshots and its end, `(snapshots,)` each: `tau`, the angle (radians) between a linear network's map
    and the hard-margin SVM's normal, and the relative gap between its margin and the largest one.
    """
    data = run.dataset
    signed = data.train_x * data.train_y[:, None]
    normal = hard_margin_normal(data.train_x, data.train_y)
    (end,) = [float(one.depth[-1]) for one in run.seeds if one.seed == seed]
    names = {-level: snapshots.at(level) for level in run.run.snapshot_losses if 0 < -level < end}
    depths, angles, gaps = [], [], []
    for depth, name in sorted((names | {end: snapshots.FINAL}).items()):
        arrays = run.run.weights(seed, name)
        if arrays is not None:
            layers = from_arrays(arrays, run.network, "float64", str(run.directory))
            product = functools.reduce(np.matmul, [layer["weight"] for layer in layers])
            found = product[:, 0] / np.linalg.norm(product)
            depths.append(depth)
            angles.append(float(2 * np.arcsin(min(1.0, np.linalg.norm(found - normal) / 2))))
            gaps.append(float(1 - np.min(signed @ found) / np.min(signed @ normal)))
    return np.array(depths), np.array(angles), np.array(gaps)


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


def _speed(seed: SeedRecords, radial: np.ndarray, tangential: np.ndarray) -> np.ndarray:
    """`S = <g, M g>` of the metric with these rates `(r, u)`, `(r,)`."""
    cosine = seed.cosines
    return np.sum(np.square(seed.gradients) * (radial * cosine**2 + tangential * (1 - cosine**2)), axis=1)


def excess_growth(seed: SeedRecords, radial: np.ndarray, tangential: np.ndarray) -> Interval | str:
    """How far `log||w_u||` is from the sum of its integrated velocity under the rates, the largest over neurons (nats).

    The integral between two records is known to the difference of two interpolations (PCHIP, Akima). Intervals where
    the velocity changes by a quarter are left out, they may hold a kink, and those where the two, or the trapezoid,
    differ by over 2 %.
    """
    from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

    chosen = deepening(seed.depth)
    tau, log_norms = seed.depth[chosen], np.log(np.maximum(seed.norms[chosen], np.finfo(float).tiny))
    if len(tau) < 4:
        return "fewer than 4 records"
    speed = _speed(seed, radial, tangential)[:, None]
    velocity = (radial * seed.gradients * seed.cosines / speed)[chosen] / np.exp(log_norms)
    if not np.isfinite(velocity).all():
        return "velocities that are not finite"
    with np.errstate(over="ignore"):  # of slopes next to nothing, inside
        curves = [kind(tau, velocity) for kind in (PchipInterpolator, Akima1DInterpolator)]
    first, second = (np.diff(curve.antiderivative()(tau), axis=0) for curve in curves)
    trapezoid = 0.5 * (velocity[1:] + velocity[:-1]) * np.diff(tau)[:, None]
    change = np.diff(log_norms, axis=0)
    resolved = np.maximum(np.abs(first - trapezoid), np.abs(first - second)) <= _RESOLVED * np.abs(first)
    resolved &= (np.abs(change) < _STEEPEST) & (np.abs(first) < _STEEPEST)
    resolved &= np.abs(np.diff(velocity, axis=0)) <= _STEEPEST * np.maximum(np.abs(velocity[1:]), np.abs(velocity[:-1]))
    covered = np.where(resolved, np.abs(change), 0).sum(axis=0) >= 0.5 * np.abs(change).sum(axis=0)
    if not covered.any():
        return "records too far apart to follow the neurons between them"
    error = np.abs(np.where(resolved, change - first, 0).sum(axis=0))[covered]
    doubt = np.where(resolved, np.abs(first - second), 0).sum(axis=0)[covered]
    return Interval(float(np.max(np.maximum(error - doubt, 0))), float(np.max(error + doubt)))


def excess_log_time(seed: SeedRecords, radial: np.ndarray, tangential: np.ndarray) -> Interval | str:
    """How far `log t` typically (median over records from 100 nats on) is from that of the metric with the rates.

    `dU/dtau = y - U` with `U = t L`, `y = 1/S` has `U = y - y' + y'' - ...`, and `y` falls as a power of `tau`.
    """
    from scipy.interpolate import PchipInterpolator

    late = (seed.depth >= _CLOCK_FROM / 2) & deepening(seed.depth)
    tau = seed.depth[late]
    if (tau >= _CLOCK_FROM).sum() < 4:
        return Interval(0.0, 0.0)  # too early to tell; growth decides
    log_y = -np.log(_speed(seed, radial, tangential)[late])
    with np.errstate(over="ignore"):
        first = PchipInterpolator(np.log(tau), log_y)(np.log(tau), 1) / tau
    log_u = log_y + np.log(np.abs(1 - first + first**2 + np.gradient(first, tau)))
    error = np.abs(seed.steps["log_time"][late] - tau - log_u)[tau >= _CLOCK_FROM]
    middle = float(np.median(error))
    return Interval(middle, middle)


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
