"""What a step rule is, and one attempt with it. A rule works on `log L` and `grad log L` only.

Every rule *proposes* a next state; accepting or refusing is a selection between two states, so a rule can be scanned
and vmapped, and a refused step leaves nothing behind, in the rule's own memory neither.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from wnexp.nn.network import Network
from wnexp.nn.weightnorm import Norm

_MOST_FRUITLESS = 1000
_FRUITLESS_MOVE = 100
_SMALLEST_STEP_SIZE = 1e-290  # even a gradient that is not finite ends here

Hyperparameters = Mapping[str, Array]  # what a sweep may vary without a new compilation, by name


class Problem(NamedTuple):
    """The training problem of one seed as pure functions."""

    to_weights: Callable  # parameters -> effective weights
    weights_and_scales: Callable  # parameters -> effective weights, the neurons' scales not multiplied in
    log_loss: Callable  # (effective weights, x, y) -> log L
    share: Callable  # (samples of a batch, of the set) -> the part of L that the loss of the batch stands for
    precondition: Callable  # (parameters, gradient) -> minus the velocity of the parameters under the flow
    x: Float[Array, "n d"]
    y: Real[Array, " n"]
    key: Array  # randomness of the optimizer; an attempt folds its number in
    landings: Float[Array, " landings"]  # log losses that a flow lands on, the last one the target


class State(NamedTuple):
    """A point of the optimization with all that its next step depends on."""

    parameters: tuple
    memory: Any  # the rule's own, a pytree
    log_loss: Float[Array, ""]
    step_size: Float[Array, ""]
    log_time: Float[Array, ""]  # log of the summed steps on L (nats)
    step: Int[Array, ""]  # accepted steps
    attempts: Int[Array, ""]
    fruitless: Int[Array, ""]  # refusals since the last accepted step of note, see `stalled`


class Proposal(NamedTuple):
    """The next state, whether to take it, and the step size after taking and after refusing it."""

    state: State
    accept: Bool[Array, ""] | bool
    step_size_if_accepted: Float[Array, ""]
    step_size_if_refused: Float[Array, ""]


@dataclass(frozen=True)
class Rule:
    """A step rule with its settings as fields; a row of `OPTIMIZERS`.

    Numbers that a sweep varies are settings marked `traced`: compiled programs get them by name from
    `hyperparameters`, all other fields select a program.
    """

    is_flow: ClassVar[bool] = False  # the continuous limit of gradient descent

    @property
    def full_batch(self) -> bool:
        """Whether an attempt sees the whole training set once; else it is an epoch of batches."""
        return True

    @property
    def descends(self) -> bool:
        """Whether no accepted step ever raises the loss."""
        return False

    @property
    def has_time(self) -> bool:
        """Whether steps are multiples of `grad L`, so that their sum is a time."""
        return True

    @property
    def geometry(self) -> str | None:
        """The norm whose margin it maximizes on linear models, a name of `nn.geometry`; None where it is none."""
        return "l2"

    @property
    def varied(self) -> bool:
        """Whether it has a memory, or a schedule of steps, beside steepest descent in its geometry."""
        return False

    @property
    def gap_power(self) -> float | None:
        """`p` of the gap `t^-p` to the largest margin of a linear model after `t` updates; None where none is known."""
        return None

    @property
    def speed_limit(self) -> float | None:
        """Nats an update that the loss falls by at most in the long run; None where there is no such limit."""
        return None

    def log_step(self, now: State, hyperparameters: Hyperparameters) -> Array | float:
        """`log eta` of the next step `eta grad L` (nats); NaN where steps are no multiples of it, or of a batch's."""
        return math.nan

    def waits(self, state: State) -> Array | bool:
        """Whether steps too short to move anything will not stay so, since the memory that shortens them fades."""
        return False

    @property
    def widest_norm(self) -> float | None:
        """What weight decay bounds the weights to in the norm of `geometry`, in the long run; None for no bound."""
        return None

    def hyperparameters(self) -> dict[str, float | bool]:
        """The traced numbers, `step_size` among them."""
        raise TypeError(f"{type(self).__name__} has no hyperparameters")

    def init(self, problem: Problem, parameters, hyperparameters: Hyperparameters) -> tuple[Float[Array, ""], Any]:
        """`log L` at the initial parameters and the rule's first memory."""
        raise TypeError(f"{type(self).__name__} has no init")

    def propose(self, problem: Problem, now: State, hyperparameters: Hyperparameters) -> Proposal:
        """The next state."""
        raise TypeError(f"{type(self).__name__} has no propose")

    def check(self, network: Network, norm: Norm, precision: str) -> None:
        """Raise `UserError` where the rule cannot train that network in that precision."""

    def notes(self, network: Network, samples: int) -> list[str]:
        """What a user may not expect of it with that network on so many training samples."""
        return []

    def notes_at(self, log_loss: float) -> list[str]:
        """What a user may not expect of it from a start at that log loss (nats)."""
        return []

    def sees(self, log_loss: Any, landing: float) -> np.ndarray:
        """Whether an attempt from that log loss, or from one above it, may have depended on that landing."""
        return np.zeros(np.shape(log_loss), bool)

    def when_stalled(self, metrics: Sequence[Norm]) -> str:
        """What to try where its steps have become too small to get anywhere, in the flow of those norms; or nothing."""
        return ""

    def prepare(self, network: Network, norm: Norm) -> Network:
        """The network as this rule differentiates it under that norm."""
        return network

    @property
    def steps_on_weights(self) -> bool:
        """Whether the rule moves the effective weights by the norm's metric, not the norm's parameters."""
        return False


def start(rule: Rule, problem: Problem, parameters, hyperparameters: Hyperparameters) -> State:
    """The state at the initial parameters."""
    log_loss, memory = rule.init(problem, parameters, hyperparameters)
    zero = jnp.zeros((), int)
    return State(
        parameters=parameters,
        memory=memory,
        log_loss=log_loss,
        step_size=jnp.asarray(hyperparameters["step_size"], log_loss.dtype),
        log_time=jnp.full_like(log_loss, -jnp.inf),
        step=zero,
        attempts=zero,
        fruitless=zero,
    )


def attempt(rule: Rule, problem: Problem, now: State, hyperparameters: Hyperparameters) -> State:
    """One proposal, accepted or refused."""
    proposal = rule.propose(problem, now, hyperparameters)
    new, accept = proposal.state, proposal.accept
    chosen = jax.tree.map(lambda new, old: jnp.where(accept, new, old), new, now)
    moves = jax.tree.leaves(jax.tree.map(_relative_move, new.parameters, now.parameters))
    move = jnp.max(jnp.stack(moves))  # NaN where a parameter is
    eps = jnp.finfo(moves[0].dtype).eps
    moved = accept & ~(move <= _FRUITLESS_MOVE * eps)
    refused = now.fruitless + ~jnp.asarray(accept)
    ended = (move <= eps) & ~jnp.asarray(rule.waits(new))
    return chosen._replace(
        step_size=jnp.where(accept, proposal.step_size_if_accepted, proposal.step_size_if_refused),
        step=now.step + accept,
        attempts=now.attempts + 1,
        fruitless=jnp.where(ended, _MOST_FRUITLESS, jnp.where(moved, 0, refused)),
    )


def stalled(state: State) -> Array:
    """Whether the step has become too small to get anywhere.

    That is so when the last proposal changed no parameter by more than one rounding, relative to the largest of its
    array, and the rule does not wait for its memory to fade; or after `_MOST_FRUITLESS` refusals without an accepted
    step of more than `_FRUITLESS_MOVE` roundings: on a kink of the network (ReLU) steps of that size are accepted and
    refused in turns for ever.
    """
    return (state.fruitless >= _MOST_FRUITLESS) | (state.step_size < _SMALLEST_STEP_SIZE)


def _relative_move(new: Array, old: Array) -> Array:
    return jnp.max(jnp.abs(new - old)) / jnp.maximum(jnp.max(jnp.abs(old)), jnp.finfo(old.dtype).tiny)


def moved(parameters, slope, scale: Array):
    """`parameters - scale * slope`, in the parameters' precision."""
    return jax.tree.map(lambda p, d: (p - scale * d).astype(p.dtype), parameters, slope)
