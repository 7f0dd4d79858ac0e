"""Seeds that had ended go on: the state they have under a later stop, as if that had been asked at first.

A seed that ends makes a last record, wherever it is. One that is to go on has made none there unless the grid or a
snapshot wants it, so the last record is taken back and the program makes it again where it is due.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wnexp.optim.base import Rule
from wnexp.training import seed
from wnexp.training.program import Traced
from wnexp.training.seed import RUNNING, TARGET_REACHED, SeedState


class Last(NamedTuple):
    """The record before the last one of some seeds; step -1 and NaN where there is none."""

    step: np.ndarray
    log_loss: np.ndarray
    log_time: np.ndarray
    lowest: np.ndarray  # log loss of all records but the last


def judged(state: SeedState, traced: Traced) -> tuple[SeedState, np.ndarray]:
    """The state with the outcomes of this stop, and which seeds `(s,)` had ended and have not any more."""
    outcome = np.asarray(seed.outcome(jax.tree.map(jnp.asarray, state.optimizer), traced), state.outcome.dtype)
    return state._replace(outcome=outcome), (state.outcome != RUNNING) & (outcome == RUNNING)


def obstacle(rule: Rule, state: SeedState, then: Mapping[str, Any], traced: Traced) -> str | None:
    """Why a state `(s, ...)` made under the flat settings `then` is none of a run with this stop; None if it is one."""
    log_loss, target = state.optimizer.log_loss, float(then["stop.log_loss"])
    _, go_on = judged(state, traced)
    old, new = set(then["snapshots"]), set(traced.snapshots.tolist())
    # All that was before the state is above this; the state itself makes its record again if it goes on.
    passed = np.nextafter(log_loss, -np.inf)
    passed = passed if rule.descends else np.fmin(passed, target)
    lowest = np.where(go_on & (state.outcome == TARGET_REACHED), target, passed)
    for level in sorted(old ^ new, reverse=True):
        if np.any(level > lowest):
            return f"snapshots={level:g} may lie on the way that it has gone already"
    for landing in (old | {target}) ^ (new | {float(traced.target)}):
        if np.any(rule.sees(log_loss, landing)):
            return f"its last steps were made to land on {landing:g} (snapshots=[{landing:g}] would go on from there)"
    return None


def without_ends(state: SeedState, places: np.ndarray, last: Last, traced: Traced) -> SeedState:
    """The state in which the seeds in those places have not made their last record yet."""
    step = state.optimizer.step[places]
    on_grid = state.next_record[places] == np.asarray(seed.following(jnp.asarray(step), traced))
    reached = np.sum(last.lowest[:, None] <= traced.snapshots, axis=1)
    return state._replace(
        records=_put(state.records, places, state.records[places] - 1),
        next_record=_put(state.next_record, places, np.where(on_grid, step, state.next_record[places])),
        recorded_step=_put(state.recorded_step, places, last.step),
        recorded_log_loss=_put(state.recorded_log_loss, places, last.log_loss),
        recorded_log_time=_put(state.recorded_log_time, places, last.log_time),
        snapshots_taken=_put(state.snapshots_taken, places, reached),
    )


def _put(values: Any, places: np.ndarray, new: Any) -> Any:
    changed = np.array(values)
    changed[places] = new
    return changed
