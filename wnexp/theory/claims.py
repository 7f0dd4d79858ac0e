"""The claims of the theory: what each says, where it applies, what is measured on a run, and with which tolerance.

Sources: Morwani and Ramaswamy, arXiv 2010.12909 (the paper); Lyu and Li, arXiv 1906.05890; C10, C11 and the three notes
below follow from the flow's equations in `weightnorm.py`. `tau = -log L`, `L` the loss; the degree of the network is
`D = sum_l k_l`. Three statements needed a condition that their first wording did not have:

* **C3 holds within a layer.** Under EWN `d alpha_u/dt = -w_u.G_u`. With `a_u = -w_u.G_u / sum_i l_i s_i` its norm
  grows as `tau^(a_u / K)`, `K = sum_u a_u^2`, so neurons of a layer stay together only if their `a_u` are equal. By
  Euler `sum_{u in l} a_u = k_l`: a layer that keeps `m_l` neurons has `a_u = k_l / m_l`, and layers with other `m_l`
  have other `a_u`. A ReLU net with one output needs two hidden neurons, one a sign: `a = 1/2` each, the output's is 1.
  For the same reason "active" means active within its layer: the output's norm outgrows theirs.
* **C6 needs the neurons' competition.** `-d log L / dt = L tau^2 K`, so `-log L - log t = 2 log tau + log K + ...`. A
  neuron that loses falls behind as `tau^(-a/K)` only, at depth 4 like the fourth root of `tau`: `K` still drifts at 1e5
  nats, and a fit without it reads 2.02 to 2.11 for 2. `K` is bounded, so the claim is about the rest; it is measured
  (`||w_u|| ||grad_u L||` over the Euler sum of the layer), not fitted, and taken off.
* **C7 has another power under EWN**: `||w||` grows as its fastest layer, `max_l (k_l/m_l) / sum_l (k_l^2/m_l)`. That is
  `1/D` for deep linear nets, and 2/3 instead of 1/2 for the ReLU net above.

**Why C9 does not hold for EWN.** A KKT point of `min 0.5 ||w||^2` has `w` parallel to `-grad L` as a whole. Under EWN
each `w_u` is parallel to its own `-grad_u L = (a_u sum_i l_i s_i) w_u / ||w_u||^2`, by a factor of its own:
`cos(w, -grad L)` tends to a number below 1, `epsilon` to one above 0. The limit is stationary for
`min sum_u a_u log ||w_u||` instead, which is concave in the norms: hence the sparsity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wnexp.theory import reference
from wnexp.theory.fits import FAILS, HOLDS, NOT_REACHED, Measurement, judge_bound, judge_exponent, judge_limit
from wnexp.theory.runs import DEEP, Lane, Run


@dataclass(frozen=True)
class Claim:
    """One row of `CLAIMS`. `measure(run, all runs, tolerance)` is None where the run has no say."""

    statement: str
    measured_as: str
    norms: tuple[str, ...]
    tolerance: Callable[[Run], float]
    reason: str  # for the tolerance
    measure: Callable[[Run, Sequence[Run], float], Measurement | None]


def _competition(run: Run, lane: Lane) -> np.ndarray:
    """`K = sum_u a_u^2` at every record."""
    degrees = np.array([run.trained_degrees[layer] for layer in lane.layers])
    return np.sum(np.square(lane.shares() * degrees), axis=1)


def _active_spread(lane: Lane, values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Largest minus smallest value `(r, u)` over the active neurons of a group, the largest over groups, `(r,)`."""
    spreads = [np.zeros(len(values))]
    for group in np.unique(groups):
        chosen = values[:, lane.active & (groups == group)]
        if chosen.shape[1] > 1:
            spreads.append(np.ptp(chosen, axis=1))
    return np.max(spreads, axis=0)


def _limit(run: Run, curves: list[np.ndarray], tolerance: float) -> Measurement:
    return judge_limit(run.reached, curves, [run.settled(lane) for lane in run.reached], tolerance)


def path(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """C1."""
    if not run.is_flow or run.config.optimizer.variables != "weights":
        return None
    twin = run.partner(runs, "optimizer.variables", "parameters", to_same_depth=False)
    distances = reference.path_distances(run, twin) if twin else []
    return judge_bound(distances, tolerance) if distances else None


def alignment(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement:
    """C2."""
    curves = [np.max(1 - lane.alignments[:, lane.active], axis=1, initial=0.0) for lane in run.reached]
    return _limit(run, curves, tolerance)


def equal_products(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement:
    """C3."""
    curves = [_active_spread(lane, np.log(lane.norms) + lane.log_gradients, lane.layers) for lane in run.reached]
    return _limit(run, curves, tolerance)


def equal_ratios(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement:
    """C4."""
    curves = []
    for lane in run.reached:
        ratios = lane.log_gradients - np.log(lane.norms)
        curves.append(_active_spread(lane, ratios, np.zeros_like(lane.layers)))
    return _limit(run, curves, tolerance)


def sparsity(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """C5."""
    others = [other for norm in ("none", "swn") if (other := run.partner(runs, "norm.name", norm))]
    layer = min(run.trained_degrees)
    ratios = []
    for other in others:
        twins = {lane.seed: lane for lane in other.reached}
        for lane in run.reached:
            if lane.seed in twins and (lane.layers == layer).sum() > 1:
                ratios.append(_effective_neurons(lane, layer) / _effective_neurons(twins[lane.seed], layer))
    if not ratios:
        return None
    logs = np.log(ratios)
    uncertainty = float(2 * logs.std(ddof=1) / np.sqrt(len(logs))) if len(logs) > 2 else np.inf
    measured = float(np.exp(logs.mean()))
    verdict = HOLDS if logs.mean() + uncertainty < 0 else FAILS if logs.mean() - uncertainty > 0 else NOT_REACHED
    if verdict == FAILS and run.depth < DEEP:
        verdict = NOT_REACHED
    needed = DEEP if verdict == NOT_REACHED and run.depth < DEEP else np.nan
    return Measurement(1.0, measured, measured * uncertainty, verdict, needed)


def _effective_neurons(lane: Lane, layer: int) -> float:
    norms = lane.norms[-1, lane.layers == layer]
    return float(norms.sum() ** 2 / np.square(norms).sum())


def rate(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement:
    """C6."""
    degree = sum(run.trained_degrees.values())
    curves = []
    for lane in run.reached:
        curve = lane.depth - lane.steps["log_time"]
        curves.append(curve - np.log(_competition(run, lane)) if run.norm == "ewn" else curve)
    return judge_exponent(run.reached, curves, 2.0 if run.norm == "ewn" else 2 - 2 / degree, tolerance)


def growth(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement:
    """C7."""
    lanes = [lane for lane in run.reached if run.norm != "ewn" or run.settled(lane)]
    powers = [max(run.powers(lane).values()) for lane in lanes] or [1 / sum(run.trained_degrees.values())]
    curves = [np.log(lane.steps["weight_norm"]) for lane in lanes]
    return judge_exponent(lanes, curves, float(np.mean(powers)), tolerance)


def monotone_margin(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """C8."""
    if not run.is_flow:
        return None
    drops = []
    for lane in run.reached:
        margins = lane.steps["smoothed_margin"][(lane.steps["margin"] > 0) & (lane.depth > 0)]
        if len(margins) > 1:
            drops.append(float(np.max((np.maximum.accumulate(margins) - margins) / margins)))
    return judge_bound(drops, tolerance) if drops else None


def kkt(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement:
    """C9."""
    curves = [np.maximum(lane.steps["kkt_epsilon"], lane.steps["kkt_delta"]) for lane in run.reached]
    return _limit(run, curves, tolerance)


def conserved(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """C10."""
    trained_all = all(run.network.trained) and not any(layer.bias for layer in run.network.layers)
    if not run.is_flow or not trained_all or len(run.network.layers) < 2:
        return None
    return judge_bound([_drift(run, lane) for lane in run.reached], tolerance)


def _drift(run: Run, lane: Lane) -> float:
    sizes = np.log(lane.norms) if run.norm == "ewn" else np.square(lane.norms)
    sums = np.stack([sizes[:, lane.layers == layer].sum(axis=1) / k for layer, k in run.trained_degrees.items()])
    differences = sums[1:] - sums[:1]
    return float(np.max(np.abs(differences - differences[:, :1])) / np.max(np.abs(sums)))


def time_bound(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """C11."""
    config = run.config
    if not run.is_flow or config.loss.name != "exponential" or config.loss.reduction != "sum":
        return None
    counts = {layer: run.network.layers[layer].shape[-1] for layer in run.trained_degrees}
    kappa = sum(k * k / counts[layer] for layer, k in run.trained_degrees.items())
    return judge_bound([max(0.0, reference.excess_time(lane, kappa)) for lane in run.reached], tolerance)


def all_losses(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """C12."""
    if run.config.loss.name != "exponential":
        return None
    twin = run.partner(runs, "loss.name", "cross_entropy")
    if twin is None:
        return None
    ours, theirs = (rate(one, runs, tolerance) for one in (run, twin))
    difference = abs(ours.measured - theirs.measured)
    uncertainty = ours.uncertainty + theirs.uncertainty
    if not np.isfinite(difference) or (difference > tolerance and uncertainty > tolerance):
        return Measurement(0.0, difference, uncertainty, NOT_REACHED, 10 * run.depth)
    return Measurement(0.0, difference, uncertainty, HOLDS if difference <= tolerance else FAILS)


def hard_margin(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """SVM."""
    angles, _ = reference.to_hard_margin(run)
    return judge_bound(angles, tolerance) if angles else None


def largest_margin(run: Run, runs: Sequence[Run], tolerance: float) -> Measurement | None:
    """SVM margin."""
    _, gaps = reference.to_hard_margin(run)
    return judge_bound(gaps, tolerance) if gaps else None


def _always(value: float) -> Callable[[Run], float]:
    return lambda run: value


def _by_norm(ewn: float, others: float) -> Callable[[Run], float]:
    return lambda run: ewn if run.norm == "ewn" else others


_ALL = ("none", "swn", "ewn")
CLAIMS: dict[str, Claim] = {
    "C1": Claim(
        "the flow in (scale, v) follows the path of the effective weights under the norm's metric",
        "largest relative distance at equal loss",
        ("swn", "ewn"),
        _always(1e-6),
        "a hundred times the solver's tolerance",
        path,
    ),
    "C2": Claim(
        "w_u and -grad_u L align, for active neurons",
        "largest 1 - cos",
        _ALL,
        _always(0.01),
        "an angle of 8 degrees",
        alignment,
    ),
    "C3": Claim(
        "||w_u|| ||grad_u L|| becomes equal over the active neurons of a layer",
        "largest spread of log||w_u|| + log||grad_u L|| (nats)",
        ("ewn",),
        _always(0.05),
        "5 % of the product",
        equal_products,
    ),
    "C4": Claim(
        "||grad_u L|| / ||w_u|| becomes equal over all active neurons",
        "spread of log||grad_u L|| - log||w_u|| (nats)",
        ("swn",),
        _always(0.05),
        "5 % of the ratio",
        equal_ratios,
    ),
    "C5": Claim(
        "EWN concentrates the norm of the first layer on fewer neurons than none and SWN",
        "ratio of effective numbers of neurons at equal loss, EWN over the others",
        ("ewn",),
        _always(1.0),
        "below 1 by two standard errors over seeds",
        sparsity,
    ),
    "C6": Claim(
        "L = Theta(1/(t (log t)^p)), p = 2 at any depth for EWN, 2 - 2/D for none and SWN",
        "slope of -log L - log t (EWN: - log K) against log log t",
        _ALL,
        _by_norm(ewn=0.02, others=0.005),
        "the next order beyond the fitted terms at 1e4 nats",
        rate,
    ),
    "C7": Claim(
        "||w|| grows as (log t)^(1/D); EWN: max_l(k_l/m_l) / sum_l(k_l^2/m_l), m_l active neurons in layer l",
        "slope of log||w|| against log log t",
        _ALL,
        _by_norm(ewn=0.02, others=0.005),
        "as for C6",
        growth,
    ),
    "C8": Claim(
        "the smoothed normalized margin never decreases once the data are separated",
        "largest relative drop between records",
        ("none",),
        _always(1e-6),
        "a hundred times the solver's tolerance",
        monotone_margin,
    ),
    "C9": Claim(
        "the direction tends to a KKT point of min 0.5||w||^2 s.t. s_i >= 1",
        "the larger residual of (epsilon, delta)",
        ("none", "swn"),
        _always(0.05),
        "epsilon is of the order of an angle: 3 degrees",
        kkt,
    ),
    "C10": Claim(
        "S_l/k_l - S_m/k_m is conserved, S_l = sum_u ||w_u||^2 (EWN: sum_u log||w_u||)",
        "largest drift over the largest S_l/k_l",
        _ALL,
        _always(1e-6),
        "a hundred times the solver's tolerance",
        conserved,
    ),
    "C11": Claim(
        "t - t_0 <= (1/kappa) int dr/(log r)^2 from x_0 to x = 1/L, kappa = sum_l k_l^2/m_l, m_l neurons in layer l",
        "largest excess of log(t - t_0) over the log of the bound (nats)",
        ("ewn",),
        _always(1e-9),
        "rounding",
        time_bound,
    ),
    "C12": Claim(
        "exponential and logistic loss have the same exponents",
        "difference of the two p of C6",
        _ALL,
        _by_norm(ewn=0.02, others=0.005),
        "as for C6",
        all_losses,
    ),
    "SVM": Claim(
        "a linear network of any depth tends to the hard-margin separator",
        "angle to the hard-margin SVM's normal (radians)",
        ("none", "swn"),
        lambda run: 10 / run.depth,
        "the angle falls like 1/tau, by a number of the data's size",
        hard_margin,
    ),
    "margin": Claim(
        "and its margin to the largest one there is",
        "gap to the hard-margin SVM's margin, relative",
        ("none", "swn"),
        lambda run: 10 / run.depth,
        "as for the angle",
        largest_margin,
    ),
}
