"""A run as a function: `make_train(program)` -> `start(seeds)`, `chunk(state)`. Pure: no files, no printing.

A `Program` holds what selects a compiled program; step sizes, caps, targets and grids are traced numbers, so changing
them compiles nothing. All seeds of a run are one batch: `over_seeds` makes it, for all but the measures that are due
now and then, which go seed by seed. A seed that is done or waits for a record point is frozen by the batched
`while_loop` without touching the others.

A chunk alternates two phases until its record slots are full or its attempts are spent: every seed advances to its
next record point, then every seed is measured. Parameters of snapshots wait in a buffer for the chunk to end; a seed
with no room left there waits too. Where chunks end changes no number of any seed.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from wnexp.measures.limit import limit_direction
from wnexp.nn import losses, network, parametrization
from wnexp.nn.weights import merge
from wnexp.training import seed
from wnexp.training.program import Data, Program, Traced
from wnexp.training.seed import RUNNING, SeedState

_SEEDS = PartitionSpec("seeds")


class Chunk(NamedTuple):
    """What a chunk leaves."""

    state: SeedState
    rows: Any  # (slots, s, ...)
    filled: Array  # (s,), how many slots there are
    kept: tuple  # parameters (kept, s, ...) at the snapshots of each seed, in the order of its crossings


class Train(NamedTuple):
    """The compiled functions of one program."""

    start: Callable[..., SeedState]  # (seeds (s,), (trained, fixed) initial weights, data, traced)
    chunk: Callable[..., Chunk]  # (state, data, traced, attempts)
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


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), shapes)


def _rare_rows(program: Program, state: SeedState, valid: Array, data: Data, traced: Traced) -> dict[int, Any]:
    """Rows of the measures with a longer cadence, of seeds `(s,)` that have just made a record where `valid`.

    Seed by seed, so that one that is not due costs nothing; `due (s,)` says which rows count.
    """
    rows = {}
    for index, measure in enumerate(program.measures):
        if measure.every == 1:
            continue
        due = valid & ((state.records - 1) % measure.every == 0)

        def compute(state, measure=measure):
            return measure.measure(seed.look_at(program, state, data, traced))

        def if_due(arguments, compute=compute):
            due, state = arguments
            return jax.lax.cond(due, compute, lambda state: _zeros(jax.eval_shape(compute, state)), state)

        rows[index] = {"due": due, "columns": jax.lax.map(if_due, (due, state))}
    return rows


def _keep(kept: tuple, count: Array, crossed: Array, parameters: tuple) -> tuple:
    """The buffers with the parameters `(s, ...)` of those seeds that have `crossed (s,)` put at their `count (s,)`."""
    seeds = jnp.arange(len(count))

    def put(buffer, value):
        place = jnp.where(crossed, count, len(buffer))  # what lies beyond the buffer is dropped
        return buffer.at[place, seeds].set(value, mode="drop")

    def all_put(kept):
        return jax.tree.map(put, kept, parameters)

    return jax.lax.cond(jnp.any(crossed), all_put, lambda kept: kept, kept)


def _chunk(program: Program, state: SeedState, data: Data, traced: Traced, attempts) -> Chunk:
    advance = over_seeds(program, lambda state, limit: seed.advance(program, state, data, traced, limit))
    limit = state.optimizer.attempts + attempts

    def measure(state):
        return seed.record(program, state, data, traced)

    _, row = jax.eval_shape(measure, jax.tree.map(lambda leaf: leaf[0], state))

    def record_if_due(state):
        return jax.lax.cond(seed.is_due(state, traced), measure, lambda state: (state, _zeros(row)), state)

    record = over_seeds(program, record_if_due)
    due = over_seeds(program, lambda state: seed.is_due(state, traced))

    most = min(program.kept, len(traced.snapshots))

    def waits(count):
        return (count >= most) & (most > 0)

    def unfinished(carry):
        slot, state, _, _, count = carry
        running = (state.outcome == RUNNING) & (state.optimizer.attempts < limit) & ~waits(count)
        return (slot < program.slots) & jnp.any(running | due(state))

    def rare(state, valid):
        return _rare_rows(program, state, valid, data, traced)

    def fill(carry):
        slot, state, rows, kept, count = carry
        state, new = record(advance(state, jnp.where(waits(count), state.optimizer.attempts, limit)))
        new |= {"rare": rare(state, new["valid"])}
        rows = jax.tree.map(lambda buffer, value: buffer.at[slot].set(value), rows, new)
        if most:
            crossed = new["valid"] & (new["snapshots"][:, 1] > new["snapshots"][:, 0])
            kept, count = _keep(kept, count, crossed, state.optimizer.parameters), count + crossed
        return slot + 1, state, rows, kept, count

    shape = (program.slots, len(state.outcome))
    rows = jax.tree.map(lambda value: jnp.zeros((*shape, *value.shape), value.dtype), row)
    rare_shapes = jax.eval_shape(rare, state, state.outcome == RUNNING)
    rows |= {"rare": jax.tree.map(lambda value: jnp.zeros((program.slots, *value.shape), value.dtype), rare_shapes)}
    kept = jax.tree.map(lambda value: jnp.zeros((most, *value.shape), value.dtype), state.optimizer.parameters)
    first = (0, state, rows, kept, jnp.zeros(len(state.outcome), int))
    slot, state, rows, kept, _ = jax.lax.while_loop(unfinished, fill, first)
    return Chunk(state, rows, jnp.full_like(state.outcome, slot), kept)


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

    def start(seeds, weights, data, traced):
        def one(number, trained, fixed):
            return seed.start(program, number, trained, fixed, data, traced)

        return over_seeds(program, one)(seeds, *weights)

    def effective(state):
        return parametrization.to_weights(state.optimizer.parameters, program.norms)

    def weights(state):
        return over_seeds(program, lambda state: merge(effective(state), state.fixed))(state)

    def limit(state, data):
        def one(state):
            def outputs(trained):
                return seed.outputs_of(program, state.fixed, trained, data.train_x)

            trained = effective(state)
            shares = program.loss.loss_shares(outputs(trained), data.train_y)
            return limit_direction(
                lambda w: losses.soft_margins(losses.margins(outputs(w), data.train_y)), trained, shares
            )

        return over_seeds(program, one)(state)

    def outputs(state, x):
        return over_seeds(program, lambda weights: network.apply(program.network, weights, x))(weights(state))

    by_slot = PartitionSpec(None, "seeds")
    spread: Any = {"state": _SEEDS, "rows": by_slot, "filled": _SEEDS, "kept": by_slot}
    on_devices = functools.partial(_on_devices, mesh)
    # Devices that share the samples have all the results each: one of another process can be read nowhere else.
    whole = {} if program.samples is None else {"out_shardings": NamedSharding(program.samples, PartitionSpec())}
    compiled = functools.partial(jax.jit, **whole)
    chunk = on_devices(functools.partial(_chunk, program), seeded=1, outputs=Chunk(**spread))
    chunk = compiled(chunk, donate_argnums=0)
    return Train(
        start=compiled(on_devices(start, seeded=2)),
        chunk=chunk,
        weights=compiled(on_devices(weights, seeded=1)),
        limit=compiled(on_devices(limit, seeded=1)),
        outputs=compiled(on_devices(outputs, seeded=1)),
        compilations=chunk._cache_size,  # pyright: ignore[reportAttributeAccessIssue]
    )
