"""One seed: its state, its start, its attempts up to a record point, its record. Pure functions, no batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from wnexp.measures.base import Look
from wnexp.nn import losses, network, parametrization
from wnexp.nn.weights import merge
from wnexp.optim import base
from wnexp.training import packed
from wnexp.training.program import Data, Program, Traced

# Outcomes; the index is the code in `SeedState.outcome`.
OUTCOMES = ("running", "target_reached", "max_steps", "step_underflow", "non_finite")
RUNNING, TARGET_REACHED, MAX_STEPS, STEP_UNDERFLOW, NON_FINITE = range(len(OUTCOMES))


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


def outputs_of(program: Program, fixed, trained, x):
    """Outputs `(n, k)`; large data sets in blocks, whose activations are computed again for the gradient.

    Where devices share the samples, each has its part of them, as far as they can be dealt evenly.
    """

    def outputs(x):
        if program.samples is not None and x.shape[0] % program.samples.size == 0:
            x = jax.lax.with_sharding_constraint(x, NamedSharding(program.samples, PartitionSpec("samples")))
        return network.apply(program.network, merge(trained, fixed), x)

    if x.shape[0] <= program.block:
        return outputs(x).astype(program.head_dtype)
    block = jax.checkpoint(outputs)
    whole = x.shape[0] // program.block * program.block
    blocks = jax.lax.map(block, x[:whole].reshape(-1, program.block, x.shape[1]))
    found = [blocks.reshape(whole, -1), *([block(x[whole:])] if whole < x.shape[0] else [])]
    return jnp.concatenate(found).astype(program.head_dtype)


def _problem(program: Program, state_seed, fixed, data: Data, traced: Traced) -> base.Problem:
    def precondition(parameters, gradient):
        if all(metric.is_identity for metric in program.metrics):
            return gradient
        weights, slope = (parametrization.to_weights(tree, program.norms) for tree in (parameters, gradient))
        moved = parametrization.precondition(weights, slope, program.metrics)
        return parametrization.from_weights(moved, program.norms)

    def log_loss(weights, x, y):
        loss, of_data = program.loss, program.loss.log_loss(outputs_of(program, fixed, weights, x), y)
        if loss.log_penalty is None:
            return of_data
        square = parametrization.square(weights, program.penalized).astype(of_data.dtype)
        return loss.penalized(of_data, square, loss.share(x.shape[0], data.train_x.shape[0]))

    return base.Problem(
        to_weights=lambda parameters: parametrization.to_weights(parameters, program.norms),
        weights_and_scales=lambda parameters: parametrization.weights_and_scales(parameters, program.norms),
        log_loss=log_loss,
        share=program.loss.share,
        precondition=precondition,
        x=data.train_x,
        y=data.train_y,
        key=jax.random.key(state_seed),
        landings=jnp.append(traced.snapshots, traced.target),
    )


def outcome(state: base.State, traced: Traced) -> Array:
    """The outcome after an attempt; a reached target counts before everything else but a non-finite loss."""
    found = jnp.asarray(RUNNING)
    for holds, code in (
        (state.step >= traced.max_steps, MAX_STEPS),
        (base.stalled(state), STEP_UNDERFLOW),
        (state.log_loss <= traced.target, TARGET_REACHED),
        (~jnp.isfinite(state.log_loss), NON_FINITE),
    ):
        found = jnp.where(holds, code, found)
    return found


def start(program: Program, seed, trained, fixed, data: Data, traced: Traced) -> SeedState:
    """The state at the initial weights `(trained, fixed)`."""
    parameters = parametrization.from_weights(trained, program.norms)
    problem = _problem(program, seed, fixed, data, traced)
    state = base.start(program.rule, problem, parameters, traced.hyperparameters)
    zero = jnp.zeros((), int)
    nan = jnp.full_like(state.log_loss, jnp.nan)
    return SeedState(
        optimizer=state,
        fixed=fixed,
        seed=jnp.asarray(seed, int),
        outcome=outcome(state, traced),
        records=zero,
        next_record=zero,
        recorded_step=zero - 1,
        recorded_log_loss=nan,
        recorded_log_time=nan,
        snapshots_taken=zero,
    )


def _snapshots_reached(state: SeedState, traced: Traced) -> Array:
    return jnp.sum(state.optimizer.log_loss <= traced.snapshots, dtype=int)


def following(step: Int[Array, "..."], traced: Traced) -> Array:
    """The record point after one at `step`."""
    return jnp.maximum(step + traced.record_every, jnp.ceil(step * traced.record_ratio).astype(int))


def is_due(state: SeedState, traced: Traced) -> Array:
    """Whether this seed has a record to write before it may go on."""
    step = state.optimizer.step
    at_point = step >= state.next_record
    at_snapshot = _snapshots_reached(state, traced) > state.snapshots_taken
    return (step != state.recorded_step) & (at_point | at_snapshot | (state.outcome != RUNNING))


def advance(program: Program, state: SeedState, data: Data, traced: Traced, limit) -> SeedState:
    """Attempts until a record is due, the seed is done, or `limit` attempts have been made."""
    problem = _problem(program, state.seed, state.fixed, data, traced)

    def unfinished(state):
        return (state.outcome == RUNNING) & ~is_due(state, traced) & (state.optimizer.attempts < limit)

    def attempt(state):
        optimizer = base.attempt(program.rule, problem, state.optimizer, traced.hyperparameters)
        return state._replace(optimizer=optimizer, outcome=outcome(optimizer, traced))

    loop = packed.while_loop if program.packed else jax.lax.while_loop
    return loop(unfinished, attempt, state)


def look_at(program: Program, state: SeedState, data: Data, traced: Traced) -> Look:
    """Evaluate a seed for its measures."""
    optimizer = state.optimizer
    weights = parametrization.to_weights(optimizer.parameters, program.norms)
    problem = _problem(program, state.seed, state.fixed, data, traced)

    def log_loss(weights):
        outputs = outputs_of(program, state.fixed, weights, data.train_x)
        return program.loss.log_loss(outputs, data.train_y), outputs

    (of_data, outputs), gradient = jax.value_and_grad(log_loss, has_aux=True)(weights)
    nan = jnp.full_like(optimizer.log_loss, jnp.nan)
    log_time = optimizer.log_time if program.rule.has_time else nan
    rate = -(optimizer.log_loss - state.recorded_log_loss) / (log_time - state.recorded_log_time)
    tested = data.test_x.shape[0] > 0
    return Look(
        network=program.network,
        loss=program.loss,
        weights=weights,
        gradient=gradient,
        log_loss=optimizer.log_loss if program.loss.log_penalty is None else of_data,
        outputs=outputs,
        labels=data.train_y,
        margins=losses.margins(outputs, data.train_y) if jnp.issubdtype(data.train_y.dtype, jnp.integer) else None,
        test_outputs=outputs_of(program, state.fixed, weights, data.test_x) if tested else None,
        test_labels=data.test_y if tested else None,
        progress={
            "attempts": optimizer.attempts,
            "log_time": log_time,
            "step_size": optimizer.step_size,
            "log_loss": optimizer.log_loss,
            "decay_rate": jnp.where(jnp.isfinite(state.recorded_log_time), rate, nan),
        },
        inputs=data.train_x,
        fixed=state.fixed,
        norms=program.own_norms,
        parameters=optimizer.parameters,
        log_loss_at=lambda parameters, x, y: problem.log_loss(problem.to_weights(parameters), x, y),
        log_step=program.rule.log_step(optimizer, traced.hyperparameters),
    )


def record(program: Program, state: SeedState, data: Data, traced: Traced) -> tuple[SeedState, Any]:
    """A seed at a record point: the rows of the measures due at every record, and the state with the record noted."""
    frequent = {index: measure for index, measure in enumerate(program.measures) if measure.every == 1}
    optimizer, look = state.optimizer, look_at(program, state, data, traced)
    # A loss that rises again, and falls again, crosses a level twice: the first crossing counts.
    reached = jnp.maximum(_snapshots_reached(state, traced), state.snapshots_taken)
    rows = {
        "valid": jnp.ones((), bool),
        "step": optimizer.step,
        "snapshots": jnp.stack([state.snapshots_taken, reached]),
        "measures": {index: measure.measure(look) for index, measure in frequent.items()},
    }
    step = optimizer.step
    recorded = state._replace(
        records=state.records + 1,
        next_record=jnp.where(step >= state.next_record, following(step, traced), state.next_record),
        recorded_step=step,
        recorded_log_loss=optimizer.log_loss,
        recorded_log_time=optimizer.log_time,
        snapshots_taken=reached,
    )
    return recorded, rows
