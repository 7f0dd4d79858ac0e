"""A run as a function: `make_train(program)` -> `start(seeds)`, `chunk(state)`. Pure: no files, no printing.

A `Program` holds what selects a compiled program; step sizes, caps, targets and grids are traced `Settings`, so
changing them compiles nothing. All seeds of a run are one batch: `over_seeds` is applied here and only here, and a
seed that is done or waits for a record point is frozen by the batched `while_loop` without touching the others.

A chunk alternates two phases until its record slots are full, its attempts are spent or a snapshot is due: every
seed advances to its next record point, then every seed is measured. Where chunks end changes no number of any seed.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from wnexp import losses, measures, network, optimizers, weightnorm

# Outcomes; the index is the code in `State.outcome`.
OUTCOMES = ("running", "target_reached", "max_steps", "step_underflow", "non_finite")
RUNNING, TARGET_REACHED, MAX_STEPS, STEP_UNDERFLOW, NON_FINITE = range(len(OUTCOMES))

_SEEDS = PartitionSpec("seeds")


@dataclass(frozen=True)
class Program:
    """Everything static: two runs with equal programs and array shapes share one compilation."""

    network: network.Network
    norms: tuple[str, ...]  # the parametrization of each layer
    metrics: tuple[str, ...]  # the parametrization whose flow the parameters follow, where it is not their own
    v_norms: tuple[float | None, ...]  # initial ||v_u|| of each layer; None: v_u = w_u
    loss: str
    reduction: str
    optimizer: str
    batch_size: int
    dtype: str  # of weights and data
    head_dtype: str  # of margins, losses and everything recorded
    max_direction: int
    max_samples: int
    max_gradient: int
    slots: int  # record rows a chunk can hold
    batched: bool = True  # all seeds as one batch, or one after the other
    block: int = 2**62  # samples whose activations may be in memory at once
    solver: str = "rosenbrock"  # of the gradient flow


class Data(NamedTuple):
    """Arrays of one data set; the test pair may have no rows."""

    train_x: Float[Array, "n d"]
    train_y: Int[Array, " n"]
    test_x: Float[Array, "m d"]
    test_y: Int[Array, " m"]


class Settings(NamedTuple):
    """Traced numbers of a run."""

    optimizer: optimizers.Numbers
    target: Float[Array, ""]  # log loss at which a seed is done (nats)
    max_steps: Int[Array, ""]
    record_every: Int[Array, ""]  # the next record point after step k is
    record_ratio: Float[Array, ""]  # max(k + record_every, ceil(k * record_ratio))
    snapshots: Float[Array, " thresholds"]  # log losses, descending


class State(NamedTuple):
    """One seed between two attempts (every leaf gains a leading seed axis in a run)."""

    iterate: optimizers.Iterate
    fixed: tuple
    seed: Int[Array, ""]
    outcome: Int[Array, ""]
    next_record: Int[Array, ""]
    recorded_step: Int[Array, ""]  # -1 before the first record
    recorded_log_loss: Float[Array, ""]
    recorded_log_time: Float[Array, ""]
    snapshots_taken: Int[Array, ""]


class Train(NamedTuple):
    """The compiled functions of one program."""

    start: Callable[..., State]  # (seeds (s,), initial weights, data, settings)
    chunk: Callable[..., tuple[State, Any, Array]]  # (state, data, settings, attempts) -> state, rows, filled (s,)
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


def _log_loss(program: Program, fixed):
    def log_loss(trained, x, y):
        return losses.log_loss(_margins(program, fixed, trained, x, y), program.loss, program.reduction)

    return log_loss


def _margins(program: Program, fixed, trained, x, y):
    """Margins `(n, c)`; large data sets in blocks, whose activations are computed again for the gradient."""

    def outputs(x):
        return network.apply(program.network, network.merge(trained, fixed), x)

    if x.shape[0] > program.block:
        one = jax.checkpoint(lambda sample: outputs(sample[None])[0])
        s = jax.lax.map(one, x, batch_size=program.block)
    else:
        s = outputs(x)
    return losses.margins(s.astype(program.head_dtype), y)


def _problem(program: Program, state_seed, fixed, data: Data, settings: Settings) -> optimizers.Problem:
    def precondition(parameters, gradient):
        if set(program.metrics) == {"none"}:
            return gradient
        weights, slope = (weightnorm.to_weights(tree, program.norms) for tree in (parameters, gradient))
        moved = weightnorm.precondition(weights, slope, program.metrics, program.v_norms)
        return weightnorm.from_weights(moved, program.norms, program.v_norms)

    return optimizers.Problem(
        to_weights=lambda parameters: weightnorm.to_weights(parameters, program.norms),
        factors=lambda parameters: weightnorm.factors(parameters, program.norms),
        log_loss=_log_loss(program, fixed),
        precondition=precondition,
        x=data.train_x,
        y=data.train_y,
        key=jax.random.key(state_seed),
        batch_size=program.batch_size,
        solver=program.solver,
        levels=jnp.append(settings.snapshots, settings.target),
    )


def _outcome(iterate: optimizers.Iterate, settings: Settings) -> Array:
    """The outcome after an attempt; a reached target counts before everything else but a non-finite loss."""
    return jnp.select(
        [
            ~jnp.isfinite(iterate.log_loss),
            iterate.log_loss <= settings.target,
            optimizers.stalled(iterate),
            iterate.step >= settings.max_steps,
        ],
        [NON_FINITE, TARGET_REACHED, STEP_UNDERFLOW, MAX_STEPS],
        RUNNING,
    )


def _start(program: Program, seed, weights, data: Data, settings: Settings) -> State:
    trained, fixed = network.split(program.network, weights)
    parameters = weightnorm.from_weights(trained, program.norms, program.v_norms)
    rule = optimizers.OPTIMIZERS[program.optimizer]
    problem = _problem(program, seed, fixed, data, settings)
    iterate = optimizers.start(rule, problem, parameters, settings.optimizer)
    outcome = _outcome(iterate, settings)
    zero = jnp.zeros((), int)
    nan = jnp.full_like(iterate.log_loss, jnp.nan)
    return State(iterate, fixed, jnp.asarray(seed, int), outcome, zero, zero - 1, nan, nan, zero)


def _snapshots_reached(state: State, settings: Settings) -> Array:
    return jnp.sum(state.iterate.log_loss <= settings.snapshots, dtype=int)


def _due(state: State, settings: Settings) -> Array:
    """Whether this seed has a record to write before it may go on."""
    iterate = state.iterate
    at_point = iterate.step >= state.next_record
    at_snapshot = _snapshots_reached(state, settings) > state.snapshots_taken
    return (iterate.step != state.recorded_step) & (at_point | at_snapshot | (state.outcome != RUNNING))


def _advance(program: Program, state: State, data: Data, settings: Settings, limit) -> State:
    """Attempts until a record is due, the seed is done, or `limit` attempts have been made."""
    rule = optimizers.OPTIMIZERS[program.optimizer]
    problem = _problem(program, state.seed, state.fixed, data, settings)

    def unfinished(state):
        return (state.outcome == RUNNING) & ~_due(state, settings) & (state.iterate.attempts < limit)

    def attempt(state):
        iterate = optimizers.attempt(rule, problem, state.iterate, settings.optimizer)
        return state._replace(iterate=iterate, outcome=_outcome(iterate, settings))

    return jax.lax.while_loop(unfinished, attempt, state)


def _record(program: Program, state: State, data: Data, settings: Settings) -> tuple[State, Any]:
    """Measure a seed at a record point: the rows, and the state with the record noted."""
    iterate, loss, reduction = state.iterate, program.loss, program.reduction
    weights = weightnorm.to_weights(iterate.parameters, program.norms)

    def log_loss(weights):
        s = _margins(program, state.fixed, weights, data.train_x, data.train_y)
        return losses.log_loss(s, loss, reduction), s

    gradient, s = jax.grad(log_loss, has_aux=True)(weights)
    evaluation = measures.Evaluation(weights, gradient, iterate.log_loss, s)
    reached = _snapshots_reached(state, settings)
    rate = -(iterate.log_loss - state.recorded_log_loss) / (iterate.log_time - state.recorded_log_time)
    rows = {
        "valid": jnp.ones((), bool),
        "step": iterate.step,
        "snapshots": jnp.stack([state.snapshots_taken, reached]),
        "steps": {
            "attempts": iterate.attempts,
            "log_time": iterate.log_time,
            "step_size": iterate.step_size,
            "log_loss": iterate.log_loss,
            "decay_rate": jnp.where(jnp.isfinite(state.recorded_log_time), rate, jnp.nan),
        }
        | measures.step_row(evaluation, program.network.degrees, loss, reduction),
        "neurons": measures.neuron_rows(evaluation, program.max_direction),
    }
    if data.test_x.shape[0]:
        test_margins = _margins(program, state.fixed, weights, data.test_x, data.test_y)
        rows["steps"] |= measures.test_row(test_margins, loss, reduction)
    if data.train_x.shape[0] <= program.max_samples:
        rows["samples"] = measures.sample_rows(s, loss)
    if sum(leaf.size for leaf in jax.tree.leaves(weights)) <= program.max_gradient:
        rows["gradient"] = measures.gradient_direction(evaluation).astype(program.dtype)
    step = iterate.step
    following = jnp.maximum(step + settings.record_every, jnp.ceil(step * settings.record_ratio).astype(int))
    recorded = state._replace(
        next_record=jnp.where(step >= state.next_record, following, state.next_record),
        recorded_step=step,
        recorded_log_loss=iterate.log_loss,
        recorded_log_time=iterate.log_time,
        snapshots_taken=reached,
    )
    return recorded, rows


def _chunk(program: Program, state: State, data: Data, settings: Settings, attempts) -> tuple[State, Any, Any]:
    advance = over_seeds(program, lambda state, limit: _advance(program, state, data, settings, limit))
    limit = state.iterate.attempts + attempts

    def measure(state):
        return _record(program, state, data, settings)

    _, row = jax.eval_shape(measure, jax.tree.map(lambda leaf: leaf[0], state))
    zeros = jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), row)

    def record_if_due(state):
        return jax.lax.cond(_due(state, settings), measure, lambda state: (state, zeros), state)

    record = over_seeds(program, record_if_due)

    def unfinished(carry):
        slot, state, _, snapshot = carry
        running = (state.outcome == RUNNING) & (state.iterate.attempts < limit)
        return (slot < program.slots) & ~snapshot & jnp.any(running | _due_all(program, state, settings))

    def fill(carry):
        slot, state, rows, _ = carry
        state, row = record(advance(state, limit))
        rows = jax.tree.map(lambda buffer, value: buffer.at[slot].set(value), rows, row)
        taken = row["snapshots"]
        return slot + 1, state, rows, jnp.any(row["valid"] & (taken[:, 1] > taken[:, 0]))

    shape = (program.slots, len(state.outcome))
    rows = jax.tree.map(lambda value: jnp.zeros((*shape, *value.shape), value.dtype), row)
    slot, state, rows, _ = jax.lax.while_loop(unfinished, fill, (0, state, rows, False))
    return state, rows, jnp.full_like(state.outcome, slot)


def _due_all(program: Program, state: State, settings: Settings) -> Array:
    return over_seeds(program, lambda state: _due(state, settings))(state)


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
        return over_seeds(program, lambda seed, weights: _start(program, seed, weights, data, settings))(seeds, weights)

    def weights(state):
        def one(state):
            trained = weightnorm.to_weights(state.iterate.parameters, program.norms)
            return network.merge(trained, state.fixed)

        return over_seeds(program, one)(state)

    def limit(state, data):
        def one(state):
            trained = weightnorm.to_weights(state.iterate.parameters, program.norms)

            def training_margins(w):
                return _margins(program, state.fixed, w, data.train_x, data.train_y)

            s = training_margins(trained)
            return measures.limit_direction(
                lambda w: losses.soft_margins(training_margins(w)), trained, program.loss, s
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
