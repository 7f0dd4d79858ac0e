"""A run as a function: `make_train(program)` -> `start(seeds)`, `chunk(state)`. Pure: no files, no printing.

A `Program` holds what selects a compiled program; step sizes, caps, targets and grids are traced `Settings`, so
changing them compiles nothing. All seeds of a run are one batch: `over_seeds` is applied here and only here, and a
seed that is done or waits for a record point is frozen by the batched `while_loop` without touching the others.

A chunk alternates two phases until its record slots are full, its attempts are spent or a snapshot is due: every
seed advances to its next record point, then every seed is measured. Where chunks end changes no number of any seed.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from wnexp.measures.base import Look, Measure
from wnexp.measures.limit import limit_direction
from wnexp.nn import losses, network, weightnorm
from wnexp.nn.weights import merge
from wnexp.optim import base
from wnexp.training.program import Data, Program, Settings

# Outcomes; the index is the code in `SeedState.outcome`.
OUTCOMES = ("running", "target_reached", "max_steps", "step_underflow", "non_finite")
RUNNING, TARGET_REACHED, MAX_STEPS, STEP_UNDERFLOW, NON_FINITE = range(len(OUTCOMES))

_SEEDS = PartitionSpec("seeds")


class SeedState(NamedTuple):
    """One seed between two attempts (every leaf gains a leading seed axis in a run)."""

    optimizer: base.State
    fixed: tuple  # weights of the layers that are not trained
    seed: Int[Array, ""]
    outcome: Int[Array, ""]
    records: Int[Array, ""]  # how many have been made
    next_record: Int[Array, ""]
    recorded_step: Int[Array, ""]  # -1 before the first record
    recorded_log_loss: Float[Array, ""]
    recorded_log_time: Float[Array, ""]
    snapshots_taken: Int[Array, ""]


class Train(NamedTuple):
    """The compiled functions of one program."""

    start: Callable[..., SeedState]  # (seeds (s,), (trained, fixed) initial weights, data, settings)
    chunk: Callable[..., tuple[SeedState, Any, Array]]  # (state, data, settings, attempts) -> state, rows, filled (s,)
    weights: Callable[..., tuple]  # state -> effective weights of all layers
    limit: Callable[..., Array]  # (state, data) -> limit gradient directions (s, p)
    outputs: Callable[..., Array]  # (state, x (n, d)) -> network outputs (s, n, k)
    compilations: Callable[[], int]  # how often `chunk` has been compiled


def over_seeds(program: Program, function):
    """`function` over a leading seed axis of all arguments: as one batch, or one seed after the other.

    One seed alone is not batched: XLA's CPU code for a batch of one is up to ten times slower than for no batch, it
    neither vectorizes reductions over the fan-in nor uses both cores.
    """

    def call(*arguments):
        if jax.tree.leaves(arguments)[0].shape[0] > 1:
            return jax.vmap(function)(*arguments) if program.batched else jax.lax.map(lambda a: function(*a), arguments)
        one = function(*jax.tree.map(lambda leaf: leaf[0], arguments))
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], one)

    return call


def _outputs(program: Program, fixed, trained, x):
    """Outputs `(n, k)`; large data sets in blocks, whose activations are computed again for the gradient."""

    def outputs(x):
        return network.apply(program.network, merge(trained, fixed), x)

    if x.shape[0] > program.block:
        one = jax.checkpoint(lambda sample: outputs(sample[None])[0])
        found = jax.lax.map(one, x, batch_size=program.block)
    else:
        found = outputs(x)
    return found.astype(program.head_dtype)


def _problem(program: Program, state_seed, fixed, data: Data, settings: Settings) -> base.Problem:
    def precondition(parameters, gradient):
        if all(isinstance(metric, weightnorm.Unnormalized) for metric in program.metrics):
            return gradient
        weights, slope = (weightnorm.to_weights(tree, program.norms) for tree in (parameters, gradient))
        moved = weightnorm.precondition(weights, slope, program.metrics)
        return weightnorm.from_weights(moved, program.norms)

    return base.Problem(
        to_weights=lambda parameters: weightnorm.to_weights(parameters, program.norms),
        weights_and_scales=lambda parameters: weightnorm.weights_and_scales(parameters, program.norms),
        log_loss=lambda weights, x, y: program.loss.log_loss(_outputs(program, fixed, weights, x), y),
        precondition=precondition,
        x=data.train_x,
        y=data.train_y,
        key=jax.random.key(state_seed),
        landings=jnp.append(settings.snapshots, settings.target),
    )


def _outcome(state: base.State, settings: Settings) -> Array:
    """The outcome after an attempt; a reached target counts before everything else but a non-finite loss."""
    return jnp.select(
        [
            ~jnp.isfinite(state.log_loss),
            state.log_loss <= settings.target,
            base.stalled(state),
            state.step >= settings.max_steps,
        ],
        [NON_FINITE, TARGET_REACHED, STEP_UNDERFLOW, MAX_STEPS],
        RUNNING,
    )


def _start(program: Program, seed, trained, fixed, data: Data, settings: Settings) -> SeedState:
    parameters = weightnorm.from_weights(trained, program.norms)
    problem = _problem(program, seed, fixed, data, settings)
    state = base.start(program.rule, problem, parameters, settings.optimizer)
    zero = jnp.zeros((), int)
    nan = jnp.full_like(state.log_loss, jnp.nan)
    return SeedState(
        optimizer=state,
        fixed=fixed,
        seed=jnp.asarray(seed, int),
        outcome=_outcome(state, settings),
        records=zero,
        next_record=zero,
        recorded_step=zero - 1,
        recorded_log_loss=nan,
        recorded_log_time=nan,
        snapshots_taken=zero,
    )


def _snapshots_reached(state: SeedState, settings: Settings) -> Array:
    return jnp.sum(state.optimizer.log_loss <= settings.snapshots, dtype=int)


def _due(state: SeedState, settings: Settings) -> Array:
    """Whether this seed has a record to write before it may go on."""
    step = state.optimizer.step
    at_point = step >= state.next_record
    at_snapshot = _snapshots_reached(state, settings) > state.snapshots_taken
    return (step != state.recorded_step) & (at_point | at_snapshot | (state.outcome != RUNNING))


def _advance(program: Program, state: SeedState, data: Data, settings: Settings, limit) -> SeedState:
    """Attempts until a record is due, the seed is done, or `limit` attempts have been made."""
    problem = _problem(program, state.seed, state.fixed, data, settings)

    def unfinished(state):
        return (state.outcome == RUNNING) & ~_due(state, settings) & (state.optimizer.attempts < limit)

    def attempt(state):
        optimizer = base.attempt(program.rule, problem, state.optimizer, settings.optimizer)
        return state._replace(optimizer=optimizer, outcome=_outcome(optimizer, settings))

    return jax.lax.while_loop(unfinished, attempt, state)


def _look(program: Program, state: SeedState, data: Data) -> Look:
    """Evaluate a seed for its measures."""
    optimizer = state.optimizer
    weights = weightnorm.to_weights(optimizer.parameters, program.norms)

    def log_loss(weights):
        outputs = _outputs(program, state.fixed, weights, data.train_x)
        return program.loss.log_loss(outputs, data.train_y), outputs

    gradient, outputs = jax.grad(log_loss, has_aux=True)(weights)
    nan = jnp.full_like(optimizer.log_loss, jnp.nan)
    log_time = optimizer.log_time if program.rule.has_time else nan
    rate = -(optimizer.log_loss - state.recorded_log_loss) / (log_time - state.recorded_log_time)
    tested = data.test_x.shape[0] > 0
    return Look(
        network=program.network,
        loss=program.loss,
        weights=weights,
        gradient=gradient,
        log_loss=optimizer.log_loss,
        outputs=outputs,
        labels=data.train_y,
        margins=losses.margins(outputs, data.train_y),
        test_outputs=_outputs(program, state.fixed, weights, data.test_x) if tested else None,
        test_labels=data.test_y if tested else None,
        progress={
            "attempts": optimizer.attempts,
            "log_time": log_time,
            "step_size": optimizer.step_size,
            "log_loss": optimizer.log_loss,
            "decay_rate": jnp.where(jnp.isfinite(state.recorded_log_time), rate, nan),
        },
        log_loss_at=lambda weights: log_loss(weights)[0],
    )


def _frequent(program: Program) -> dict[int, Measure]:
    return {index: measure for index, measure in enumerate(program.measures) if measure.every == 1}


def _record(program: Program, state: SeedState, data: Data, settings: Settings) -> tuple[SeedState, Any]:
    """A seed at a record point: the rows of the measures due at every record, and the state with the record noted."""
    optimizer, look = state.optimizer, _look(program, state, data)
    reached = _snapshots_reached(state, settings)
    rows = {
        "valid": jnp.ones((), bool),
        "step": optimizer.step,
        "snapshots": jnp.stack([state.snapshots_taken, reached]),
        "measures": {index: measure.measure(look) for index, measure in _frequent(program).items()},
    }
    step = optimizer.step
    following = jnp.maximum(step + settings.record_every, jnp.ceil(step * settings.record_ratio).astype(int))
    recorded = state._replace(
        records=state.records + 1,
        next_record=jnp.where(step >= state.next_record, following, state.next_record),
        recorded_step=step,
        recorded_log_loss=optimizer.log_loss,
        recorded_log_time=optimizer.log_time,
        snapshots_taken=reached,
    )
    return recorded, rows


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), shapes)


def _rare_rows(program: Program, state: SeedState, valid: Array, data: Data) -> dict[int, Any]:
    """Rows of the measures with a longer cadence, of seeds `(s,)` that have just made a record where `valid`.

    Seed by seed, so that one that is not due costs nothing; `due (s,)` says which rows count.
    """
    rows = {}
    for index, measure in enumerate(program.measures):
        if measure.every == 1:
            continue
        due = valid & ((state.records - 1) % measure.every == 0)

        def compute(state, measure=measure):
            return measure.measure(_look(program, state, data))

        def if_due(arguments, compute=compute):
            due, state = arguments
            return jax.lax.cond(due, compute, lambda state: _zeros(jax.eval_shape(compute, state)), state)

        rows[index] = {"due": due, "columns": jax.lax.map(if_due, (due, state))}
    return rows


def _chunk(program: Program, state: SeedState, data: Data, settings: Settings, attempts) -> tuple[SeedState, Any, Any]:
    advance = over_seeds(program, lambda state, limit: _advance(program, state, data, settings, limit))
    limit = state.optimizer.attempts + attempts

    def measure(state):
        return _record(program, state, data, settings)

    _, row = jax.eval_shape(measure, jax.tree.map(lambda leaf: leaf[0], state))

    def record_if_due(state):
        return jax.lax.cond(_due(state, settings), measure, lambda state: (state, _zeros(row)), state)

    record = over_seeds(program, record_if_due)
    due = over_seeds(program, lambda state: _due(state, settings))

    def unfinished(carry):
        slot, state, _, snapshot = carry
        running = (state.outcome == RUNNING) & (state.optimizer.attempts < limit)
        return (slot < program.slots) & ~snapshot & jnp.any(running | due(state))

    def rare(state, valid):
        return _rare_rows(program, state, valid, data)

    def fill(carry):
        slot, state, rows, _ = carry
        state, new = record(advance(state, limit))
        new |= {"rare": rare(state, new["valid"])}
        rows = jax.tree.map(lambda buffer, value: buffer.at[slot].set(value), rows, new)
        taken = new["snapshots"]
        return slot + 1, state, rows, jnp.any(new["valid"] & (taken[:, 1] > taken[:, 0]))

    shape = (program.slots, len(state.outcome))
    rows = jax.tree.map(lambda value: jnp.zeros((*shape, *value.shape), value.dtype), row)
    rare_shapes = jax.eval_shape(rare, state, state.outcome == RUNNING)
    rows |= {"rare": jax.tree.map(lambda value: jnp.zeros((program.slots, *value.shape), value.dtype), rare_shapes)}
    slot, state, rows, _ = jax.lax.while_loop(unfinished, fill, (0, state, rows, False))
    return state, rows, jnp.full_like(state.outcome, slot)


def _on_devices(mesh: Mesh | None, function, seeded: int, outputs: Any = _SEEDS):
    """`function` on every device for its own seeds: the first `seeded` arguments have a seed axis, others none."""
    if mesh is None:
        return function

    def call(*arguments):
        inputs = tuple(_SEEDS if index < seeded else PartitionSpec() for index in range(len(arguments)))
        return jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)(*arguments)

    return call


@functools.lru_cache(maxsize=32)
def make_train(program: Program, mesh: Mesh | None = None) -> Train:
    """The functions of a run, compiled at first use and shared by every later run of the same program.

    With a mesh of devices, whose one axis is `seeds`, every device runs them for its share of the seeds.
    """

    def start(seeds, weights, data, settings):
        def one(seed, trained, fixed):
            return _start(program, seed, trained, fixed, data, settings)

        return over_seeds(program, one)(seeds, *weights)

    def effective(state):
        return weightnorm.to_weights(state.optimizer.parameters, program.norms)

    def weights(state):
        return over_seeds(program, lambda state: merge(effective(state), state.fixed))(state)

    def limit(state, data):
        def one(state):
            def outputs(trained):
                return _outputs(program, state.fixed, trained, data.train_x)

            trained = effective(state)
            shares = program.loss.loss_shares(outputs(trained), data.train_y)
            return limit_direction(
                lambda w: losses.soft_margins(losses.margins(outputs(w), data.train_y)), trained, shares
            )

        return over_seeds(program, one)(state)

    def outputs(state, x):
        return over_seeds(program, lambda weights: network.apply(program.network, weights, x))(weights(state))

    by_slot = PartitionSpec(None, "seeds")
    on_devices = functools.partial(_on_devices, mesh)
    chunk = on_devices(functools.partial(_chunk, program), seeded=1, outputs=(_SEEDS, by_slot, _SEEDS))
    chunk = jax.jit(chunk, donate_argnums=0)
    return Train(
        start=jax.jit(on_devices(start, seeded=2)),
        chunk=chunk,
        weights=jax.jit(on_devices(weights, seeded=1)),
        limit=jax.jit(on_devices(limit, seeded=1)),
        outputs=jax.jit(on_devices(outputs, seeded=1)),
        compilations=chunk._cache_size,  # pyright: ignore[reportAttributeAccessIssue]
    )
