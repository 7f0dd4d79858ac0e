"""The step rules: loss-based gradient descent, constant gradient descent, mini-batch SGD by epochs, gradient flow.

Every rule *proposes* a next iterate; accepting or rejecting is a selection between two iterates, so a rule can
be scanned and vmapped. A rule works on `log L` and `grad log L` only.

The loss-based step (the paper's experiments): on `L` the step is `eta = lr * Lref^(1/frac - 1)`, and `frac = 0`
means `eta = lr / Lref`. In the log domain, with `exponent = 1/frac - 1` (or -1),

    theta' = theta - lr * exp(exponent * log Lref + log L) * grad log L.

`Lref` is the loss one accepted step *earlier*; the very first step uses 1 (or, continuing from given weights, their
loss: with 1 a start at -300 nats would never move). A proposal whose loss is higher or not
finite is rejected and `lr` divided by `shrink`; an accepted one multiplies `lr` by `factor` while `lr` is below its
cap (the paper: both 1.1). Loss and gradient of a proposal are evaluated together, so one evaluation an attempt
suffices.
Mini-batch SGD applies the rule to whole epochs; there `Lref` is the training loss after the last accepted epoch.
A batch whose loss rises above `Lref` then steps ever further, and the epoch ends in an overflow: half of all epochs
are refused. `sgd_clipped`, a rule of ours, steps as if no batch had a loss above `Lref`,

    theta' = theta - lr * min(L_batch / Lref, 1) * grad log L_batch    (frac = 0),

so an epoch that fails does so by little, and a larger `lr` succeeds. (With `loss.reduction=sum` both losses are sums, a
batch's of fewer samples, and less is clipped.)
Gradient flow (`flow.py`) proposes steps of an adaptive solver; it rejects those whose error is too large.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_MOST_IDLE = 1000
_IDLE_MOVE = 100
_SMALLEST_STEP_SIZE = 1e-290  # even a gradient that is not finite ends here


class Numbers(NamedTuple):
    """What a sweep may vary without a new compilation."""

    step_size: Float[Array, ""]
    step_size_cap: Float[Array, ""]
    exponent: Float[Array, ""]
    factor: Float[Array, ""]  # what the step size grows by after an accepted step
    shrink: Float[Array, ""]  # what it is divided by after a refused one
    tolerance: Float[Array, ""]  # of the flow's solver, relative, per step
    continued: Bool[Array, ""]  # the first `Lref` is the loss at the start, not 1


class Iterate(NamedTuple):
    """A point of the optimization with all that its next step depends on."""

    parameters: tuple
    gradient: tuple | None  # of log L at the effective weights, for rules that step on the whole training set
    log_loss: Float[Array, ""]
    step_size: Float[Array, ""]
    log_reference: Float[Array, ""]
    log_time: Float[Array, ""]
    step: Int[Array, ""]
    attempts: Int[Array, ""]
    idle: Int[Array, ""]  # rejections since the last accepted step of note; see `stalled`


class Problem(NamedTuple):
    """The training problem of one seed as pure functions."""

    to_weights: Callable  # parameters -> effective weights
    factors: Callable  # parameters -> effective weights, the neurons' scales not multiplied in
    log_loss: Callable  # (effective weights, x, y) -> log L
    precondition: Callable  # (parameters, gradient) -> minus the velocity of the parameters under the flow
    x: Float[Array, "n d"]
    y: Int[Array, " n"]
    key: Array  # randomness of the optimizer; an attempt folds its number in
    batch_size: int
    solver: str  # a row of `flow.SOLVERS`
    levels: Float[Array, " levels"]  # log losses that the flow lands on, the last one the target


class Proposal(NamedTuple):
    """The next iterate, whether to take it, and the step size after taking and after refusing it."""

    iterate: Iterate
    accept: Bool[Array, ""] | bool
    larger: Float[Array, ""]
    smaller: Float[Array, ""]


class Rule(NamedTuple):
    """One row of `OPTIMIZERS`."""

    propose: Callable[[Problem, Iterate, Numbers], Proposal]
    full_batch: bool  # step along `Iterate.gradient`


def start(rule: Rule, problem: Problem, parameters, numbers: Numbers) -> Iterate:
    """The iterate at the initial parameters."""
    weights = problem.to_weights(parameters)
    log_loss, gradient = jax.value_and_grad(problem.log_loss)(weights, problem.x, problem.y)
    gradient = gradient if rule.full_batch else None
    zero = jnp.zeros((), int)
    log_zero = jnp.full_like(log_loss, -jnp.inf)
    step_size = jnp.asarray(numbers.step_size, log_loss.dtype)
    log_reference = jnp.where(numbers.continued, log_loss, 0.0)
    return Iterate(parameters, gradient, log_loss, step_size, log_reference, log_zero, zero, zero, zero)


def attempt(rule: Rule, problem: Problem, now: Iterate, numbers: Numbers) -> Iterate:
    """One proposal, accepted or rejected."""
    proposal, accept, larger, smaller = rule.propose(problem, now, numbers)
    chosen = jax.tree.map(lambda new, old: jnp.where(accept, new, old), proposal, now)
    moves = jax.tree.leaves(jax.tree.map(_relative_move, proposal.parameters, now.parameters))
    move = jnp.max(jnp.stack(moves))  # NaN where a parameter is
    eps = jnp.finfo(moves[0].dtype).eps
    moved = accept & ~(move <= _IDLE_MOVE * eps)
    return chosen._replace(
        step_size=jnp.where(accept, larger, smaller),
        step=now.step + accept,
        attempts=now.attempts + 1,
        idle=jnp.where(move <= eps, _MOST_IDLE, jnp.where(moved, 0, now.idle + ~jnp.asarray(accept))),
    )


def stalled(iterate: Iterate) -> Array:
    """Whether the step has become too small to get anywhere.

    That is so when the last proposal changed no parameter by more than one rounding, relative to the largest of its
    array, or after `_MOST_IDLE` rejections without an accepted step of more than `_IDLE_MOVE` roundings: on a kink of
    the network (ReLU) steps of that size are accepted and rejected in turns for ever.
    """
    return (iterate.idle >= _MOST_IDLE) | (iterate.step_size < _SMALLEST_STEP_SIZE)


def _relative_move(new: Array, old: Array) -> Array:
    return jnp.max(jnp.abs(new - old)) / jnp.maximum(jnp.max(jnp.abs(old)), jnp.finfo(old.dtype).tiny)


def _log_step(now: Iterate, numbers: Numbers) -> Array:
    """`log eta`, the log of the step on `L` in nats."""
    return jnp.log(now.step_size) + numbers.exponent * now.log_reference


def _descend(problem: Problem, parameters, gradient, scale: Array):
    """`parameters - scale * pull-back of the gradient in the effective weights`."""
    _, pull_back = jax.vjp(problem.to_weights, parameters)
    return _moved(parameters, pull_back(gradient)[0], scale)


def _moved(parameters, slope, scale: Array):
    return jax.tree.map(lambda p, d: (p - scale * d).astype(p.dtype), parameters, slope)


def _judged(now: Iterate, proposal: Iterate, numbers: Numbers) -> Proposal:
    """The paper's rule: refuse a higher or non-finite loss; the step size grows after a success, below its cap."""
    accept = jnp.isfinite(proposal.log_loss) & (proposal.log_loss <= now.log_loss)
    larger = jnp.where(now.step_size < numbers.step_size_cap, now.step_size * numbers.factor, now.step_size)
    return Proposal(proposal, accept, larger, now.step_size / numbers.shrink)


def propose_constant(problem: Problem, now: Iterate, numbers: Numbers) -> Proposal:
    """A gradient step on the whole training set, taken whatever comes."""
    return Proposal(_full_batch_step(problem, now, numbers), True, now.step_size, now.step_size)


def propose_full_batch(problem: Problem, now: Iterate, numbers: Numbers) -> Proposal:
    """A gradient step on the whole training set."""
    return _judged(now, _full_batch_step(problem, now, numbers), numbers)


def _full_batch_step(problem: Problem, now: Iterate, numbers: Numbers) -> Iterate:
    log_step = _log_step(now, numbers)
    scale = now.step_size * jnp.exp(numbers.exponent * now.log_reference + now.log_loss)
    parameters = _descend(problem, now.parameters, now.gradient, scale)
    weights = problem.to_weights(parameters)
    log_loss, gradient = jax.value_and_grad(problem.log_loss)(weights, problem.x, problem.y)
    return now._replace(
        parameters=parameters,
        gradient=gradient,
        log_loss=log_loss,
        log_reference=now.log_loss,
        log_time=jnp.logaddexp(now.log_time, log_step),
    )


def propose_epoch(problem: Problem, now: Iterate, numbers: Numbers, clipped: bool = False) -> Proposal:
    """One epoch of mini-batches: a fresh shuffle, every sample once, the last, smaller batch kept."""
    samples = problem.x.shape[0]
    batch = min(problem.batch_size, samples)
    order = jax.random.permutation(jax.random.fold_in(problem.key, now.attempts), samples)
    log_step = _log_step(now, numbers)

    def log_loss_of(parameters, x, y):
        return problem.log_loss(problem.factors(parameters), x, y)

    def step(parameters, indices):
        log_loss, slope = jax.value_and_grad(log_loss_of)(parameters, problem.x[indices], problem.y[indices])
        log_loss = jnp.minimum(log_loss, now.log_reference) if clipped else log_loss
        return _moved(parameters, slope, jnp.exp(log_step + log_loss)), None

    whole = samples // batch * batch
    parameters, _ = jax.lax.scan(step, now.parameters, order[:whole].reshape(-1, batch))
    if whole < samples:
        parameters, _ = step(parameters, order[whole:])
    log_loss = log_loss_of(parameters, problem.x, problem.y)
    steps = -(-samples // batch)
    proposal = now._replace(
        parameters=parameters,
        log_loss=log_loss,
        log_reference=log_loss,
        log_time=jnp.logaddexp(now.log_time, log_step + jnp.log(float(steps))),
    )
    return _judged(now, proposal, numbers)


def propose_flow(problem: Problem, now: Iterate, numbers: Numbers) -> Proposal:
    """A step of the gradient flow's solver."""
    from wnexp import flow  # the solvers take half a second to import

    return flow.propose(problem, now, numbers)


OPTIMIZERS = {
    "gd": Rule(propose_full_batch, full_batch=True),
    "gd_constant": Rule(propose_constant, full_batch=True),
    "sgd": Rule(propose_epoch, full_batch=False),
    "sgd_clipped": Rule(functools.partial(propose_epoch, clipped=True), full_batch=False),
    "flow": Rule(propose_flow, full_batch=True),
}
