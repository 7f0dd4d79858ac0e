"""Claims on the margin that a step rule maximizes: which, how fast, and what memory and an absolute eps do to it.

They are read off `geometry.parquet` (`record.geometry_every`). With a rule's own geometry `N` (`nn/geometry.py`), its
dual `N*`, `X` the largest `N*` of a difference of class inputs and `gamma` the largest margin there is: along a step
`d`, `N(d) = 1`, the second derivative of `log L` is a variance of at most `X^2`, so a constant step `eta` has

    log L(t+1) <= log L(t) - eta gamma + eta^2 X^2 / 2,      N(w(t)) <= eta t + const,

and a share of at least `1 - eta X^2 / (2 gamma)` of the largest margin: a gap is refuted beyond that cost alone.
"""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from wnexp.errors import UserError
from wnexp.nn.geometry import GEOMETRIES
from wnexp.runs.files import write_table
from wnexp.runs.status import FINISHED
from wnexp.theory.base import Claim
from wnexp.theory.fits import FEWEST_RECORDS, deepening, limit
from wnexp.theory.hypothesis import Estimate
from wnexp.theory.largest_margin import largest_margin
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import DEEP, SeedRecords

_MEMORIES = 30  # of a first moment relative to the root of the second: by then it has coasted to rest
_SHARES = ((1.0, 0.1), (0.5, 0.05), (1.0, 0.2))  # ends and beginnings of fitting windows, of the updates made


class Curves(NamedTuple):
    """What a seed has in one geometry, `(r,)` each."""

    updates: np.ndarray
    depth: np.ndarray
    margin: np.ndarray  # normalized
    alignment: np.ndarray


def curves(run: TrainedRun, seed: SeedRecords, geometry: str) -> Curves:
    """The records in a geometry."""
    rows = run.geometry
    rows = rows[(rows["seed"] == seed.seed) & (rows["geometry"] == geometry)].sort_values("step")
    places = np.searchsorted(seed.steps["step"], rows["step"])
    columns = (rows[name].to_numpy(float) for name in ("normalized_margin", "alignment"))
    return Curves(rows["step"].to_numpy(float), seed.depth[places], *columns)


@dataclass(frozen=True)
class OfRule(Claim):
    """A claim on a rule's own geometry."""

    def applies(self, run):
        recorded = run.reopened.settings.get("record.geometry_every") is not None
        return recorded and run.geometry_of_rule is not None and run.config.loss.falls_exponentially


def share_of_largest(run: TrainedRun, margins: np.ndarray, geometry: str) -> np.ndarray:
    """Normalized margins of a linear model over the largest there is. Raises `UserError`."""
    data = run.dataset
    return margins / largest_margin(data.train_x, data.train_y, data.outputs, geometry).margin


def is_linear(run: TrainedRun) -> bool:
    """Whether the model is one dense layer without bias."""
    first, *others = run.network.layers
    return not others and first.kind == "dense" and not first.bias


def is_linear_layer(run: TrainedRun) -> bool:
    """Whether it is that and not normalized, so that the rule steps along its weights."""
    return is_linear(run) and run.config.norm.is_identity


def note_shares(run: TrainedRun) -> None:
    """Fill in the column `share_of_largest` of the run's `geometry.parquet`, where the largest margins can be had."""
    table = run.run.table("geometry")
    if table is None or not len(table) or not is_linear(run) or run.run.state != FINISHED:
        return
    if table["share_of_largest"].null_count < len(table):
        return
    shares = run.geometry["normalized_margin"].to_numpy(float).copy()
    for name in GEOMETRIES:
        own = (run.geometry["geometry"] == name).to_numpy()
        try:
            shares[own] = share_of_largest(run, shares[own], name)
        except UserError:  # not separable, or too large
            shares[own] = np.nan
    place = table.schema.get_field_index("share_of_largest")
    filled = table.set_column(place, table.schema.field(place), pa.array(shares, from_pandas=True))
    write_table(run.directory / "geometry.parquet", filled)


def cost_of_steps(run: TrainedRun, largest: float, updates: float) -> float:
    """`eta X^2 / (2 gamma)`, times `1 / (1 - b1)` with momentum: the share of the margin that the steps may cost."""
    data, rule = run.dataset, run.config.optimizer
    log_duals = GEOMETRIES[run.geometry_of_rule].log_dual_of_margins(data.train_x, data.outputs)
    longest = float(np.exp(np.max(log_duals)))
    step = rule.step_size / (updates + 1) ** getattr(rule, "decay", 0.0)
    return step * longest**2 / (2 * largest) / (1 - getattr(rule, "b1", 0.0))


@dataclass(frozen=True)
class MarginOfRule(OfRule):
    """M1: linear models, rules without memory and with a constant step."""

    statement = "on a linear model the margin in the rule's own geometry tends to the largest there is"
    measured_as = "limit of 1 - the share of the largest margin"
    reason = "what short steps cost: chatter, eta X^2 / (2 gamma) at most"
    allowance: float = 0.001

    def applies(self, run):
        return super().applies(run) and is_linear_layer(run) and not run.config.optimizer.varied

    def estimate(self, run, seed):
        found = curves(run, seed, run.geometry_of_rule)
        share = share_of_largest(run, found.margin, run.geometry_of_rule)
        found_limit = limit(found.depth, 1 - share)
        if isinstance(found_limit, str):
            return found_limit
        cost = cost_of_steps(run, float(np.max(found.margin / share)), found.updates[-1])
        deep = seed.depth[-1] >= DEEP and found_limit.low > cost
        return self.of_limit(seed, found_limit, bool(deep))


@dataclass(frozen=True)
class MomentumChangesNothing(MarginOfRule):
    """M6: the same with memory or a schedule."""

    statement = "memory and a schedule of steps change nothing of that"

    def applies(self, run):
        return OfRule.applies(self, run) and is_linear_layer(run) and run.config.optimizer.varied


@dataclass(frozen=True)
class KktOfRule(OfRule):
    """M2: the generalized alignment of a network that is not normalized."""

    statement = "on any net the generalized alignment in the rule's own geometry tends to 1"
    measured_as = "limit of 1 - b_N"
    reason = "an angle of 18 degrees, where steps of constant length chatter"
    allowance: float = 0.05

    def applies(self, run):
        return super().applies(run) and run.config.norm.is_identity and not is_linear_layer(run)

    def estimate(self, run, seed):
        found = curves(run, seed, run.geometry_of_rule)
        return self.of_limit(seed, limit(found.depth, 1 - found.alignment), seed.settled)


@dataclass(frozen=True)
class Fingerprint(KktOfRule):
    """M2 beside: what tells the geometry without a solver.

    Others may come close, l2 to nuclear where every layer is of rank one; then where the difference goes decides.
    """

    one_sided = True
    statement = "and is the largest of all geometries"
    measured_as = "the largest other b_N minus the own: median over the last decade of tau, and limit if it has one"
    reason = "a bound"
    allowance: float = 0.0

    def estimate(self, run, seed):
        own = curves(run, seed, run.geometry_of_rule)
        others = [curves(run, seed, name).alignment for name in GEOMETRIES if name != run.geometry_of_rule]
        difference = np.max(others, axis=0) - own.alignment
        values = [float(np.median(difference[own.depth >= seed.depth[-1] / 10]))]
        found = limit(own.depth, difference, signed=True)
        if not isinstance(found, str) and np.isfinite(found.powers[0]):
            values += [found.low, found.high]
        return Estimate(min(values), max(values), deep=seed.settled)


@dataclass(frozen=True)
class GapRate(OfRule):
    """M3: the gap of the margin in the number `t` of updates.

    Constant steps `1/t` (l2: the others' chatter leaves a gap of the order of the step), steps of `t^(-1/2)` a gap of
    `log t / t^(1/2)`, dual acceleration `1/t^2`.
    """

    statement = "the gap falls as 1/t (constant step, l2), log t / t^(1/2) (decay 1/2), 1/t^2 (dual acceleration)"
    measured_as = "slope of log gap (less log log t at decay 1/2) against log t"
    reason = "the next order at the updates made"
    allowance: float = 0.15

    def applies(self, run):
        return super().applies(run) and is_linear_layer(run) and run.config.optimizer.gap_power is not None

    def estimate(self, run, seed):
        predicted = -run.config.optimizer.gap_power
        found = curves(run, seed, run.geometry_of_rule)
        gap = 1 - share_of_largest(run, found.margin, run.geometry_of_rule)
        if predicted == -0.5:
            gap = gap / np.log(np.maximum(found.updates, 2))
        slopes = []
        for end, start in _SHARES:
            last = end * found.updates[-1]
            window = (found.updates >= start * last) & (found.updates <= last) & (gap > 1e-9)
            if window.sum() < FEWEST_RECORDS:
                return f"{window.sum()} records in a window, {FEWEST_RECORDS} are needed"
            slopes.append(np.polyfit(np.log(found.updates[window]), np.log(gap[window]), 1)[0])
        return Estimate(float(min(slopes)), float(max(slopes)), predicted, deep=bool(seed.depth[-1] >= DEEP))


@dataclass(frozen=True)
class SpeedLimit(OfRule):
    """M4: a second moment relative to the loss caps the speed. Ours.

    An entry moves by `lr |m| / r` with `r >= (1 - b2)^(1/2) |g|` and `r(t+1) >= b2^(1/2) r(t)`. A loss that falls
    faster than `b2^(t/2)` leaves `r` behind, and with it, if `m` fades faster (`b1 < b2^(1/2)`), every later step:
    their sum is finite, and so is what the loss can fall. With `b1 > b2^(1/2)` the old `m` outlives `r`, and the steps
    grow without bound: there is no cap; nor with `b1 = b2^(1/2)`, where they stay as they are.

    A fall may run ahead of the cap, by what `m` coasts: `lr / (1 - b1 / b2^(1/2))` in every parameter. The run then
    stands until `r` has faded to the new loss, so runs of a few memories' length say nothing.
    """

    one_sided = True
    statement = "with eps relative Adam's loss falls by at most |log b2|/2 nats an update, if b1 < b2^(1/2)"
    measured_as = "nats an update over the last half of the updates, over the cap, minus 1"
    reason = "ends of the window"
    allowance: float = 0.02

    def applies(self, run):
        rule = run.config.optimizer
        return super().applies(run) and rule.full_batch and rule.speed_limit is not None

    def estimate(self, run, seed):
        rule, steps, depth = run.config.optimizer, seed.steps["step"].astype(float), seed.depth
        coasted = 1 / np.log(np.sqrt(rule.b2) / b1) if (b1 := getattr(rule, "b1", 0.0)) else 0.0
        if steps[-1] / 2 < _MEMORIES * coasted:
            return f"{steps[-1]:.0f} updates; {2 * _MEMORIES * coasted:.0f} are needed, for the first moment to fade"
        middle = int(np.searchsorted(steps, steps[-1] / 2))
        speed = (depth[-1] - depth[middle]) / max(steps[-1] - steps[middle], 1)
        value = float(speed / rule.speed_limit - 1)
        return Estimate(value, value)


@dataclass(frozen=True)
class Crossover(OfRule):
    """M5: where an absolute eps takes over.

    While `|grad L| >> eps` the weights grow in the geometry of the sign, far below in l2: `||w||_2` grows faster per
    nat before than after, and the change is where the entries of `grad L = L g` pass `eps`.
    """

    statement = "an absolute eps takes over where log L is about log eps"
    measured_as = "nats at which d||w||/dtau is half-way between its values before and in the end"
    reason = "the logs of the entries of grad log L, and how far they are apart"
    allowance: float = 8.0

    def applies(self, run):
        return is_linear_layer(run) and getattr(run.config.optimizer, "log_eps", None) is not None

    def estimate(self, run, seed):
        eps, deeper = -float(run.config.optimizer.log_eps), deepening(seed.depth)
        if seed.depth[-1] < 10 * eps:
            return "not ten times as deep as eps"
        depth = np.arange(0.3 * eps, seed.depth[-1])
        growth = np.diff(np.interp(depth, seed.depth[deeper], seed.steps["weight_norm"][deeper]))
        before, after = np.median(growth[depth[1:] < 0.5 * eps]), np.median(growth[-len(growth) // 10 :])
        changed = np.flatnonzero((growth - after) / (before - after) < 0.5)
        return Estimate(*2 * (float(depth[changed[0]]),), eps) if len(changed) else "no change of growth"
