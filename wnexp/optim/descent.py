"""Full-batch gradient descent: the loss-based step of the paper's experiments, and a constant step.

On `L` the step is `eta = lr * Lref^(1/frac - 1)`, and `frac = 0` means `eta = lr / Lref`. In the log domain, with
`exponent = 1/frac - 1` (or -1),

    theta' = theta - lr * exp(exponent * log Lref + log L) * grad log L.

`Lref` is the loss one accepted step *earlier*; the very first step uses 1, or with `first_reference=start` the loss
where it starts: with 1 a start from given weights at -300 nats would not move. A proposal whose loss is higher or not
finite is refused and `lr` divided by `shrink`; an accepted one multiplies `lr` by `factor` while `lr` is below its cap
(the paper: both 1.1). Loss and gradient of a proposal are evaluated together, so one evaluation per attempt suffices.

Without a cap every step grows `lr` by `factor` and every nat counts for `exp(-1/frac)`, so without normalization and
under EWN the steps settle at `frac * log(factor)` nats each, until `lr` overflows at `709 frac` nats. A lagging `Lref`
makes the step after one of `n` nats shorter by `exp(n)`: beyond a fraction of a nat to a nat a step (the paper's
factor: 2.9) long and short ones alternate ever more, until at some hundred nats one is too short to move anything.
A factor of 1.003 goes deep and smoothly, with `reference=present` 1.01 does. There `frac = 0` is a step `lr` on
`log L`, whatever the depth; nothing then keeps the steps short in nats.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wnexp.errors import UserError
from wnexp.optim.base import Hyperparameters, Problem, Proposal, Rule, State, moved
from wnexp.settings import setting, settings

DECAY = "decoupled: parameters shrink by 1 - step * weight_decay"
_DEEP_START = -20.0  # nats, where a first step of `lr L` begins to drown in rounding


class GradientMemory(NamedTuple):
    """What every full-batch rule remembers."""

    gradient: tuple  # of log L at the effective weights


class Memory(NamedTuple):
    """What loss-based full-batch descent remembers."""

    gradient: tuple  # of log L at the effective weights
    log_reference: Float[Array, ""]  # log Lref (nats)


@dataclass(frozen=True)
class LossBased(Rule):
    """The settings and the judgement of the loss-based step."""

    step_size: float = setting(0.01, "the first step size, called lr", above=0, traced=True)
    step_size_cap: float | None = setting(0.01, "bound that lr grows to", above=0, null="for no cap", traced=True)
    frac: float = setting(30.0, "eta = lr Lref^(1/frac - 1); 0: eta = lr / Lref", least=0, traced=True)
    factor: float = setting(1.1, "factor that lr grows by after an accepted step", above=1, traced=True)
    shrink: float | None = setting(
        None, "divisor of lr after a refused step", above=1, null="for optimizer.factor", traced=True
    )

    first_reference: str = setting(
        "one",
        "Lref of the very first step: one, or start: the loss there, as a start deep down needs",
        choices=("one", "start"),
        traced=True,
    )
    weight_decay: float = setting(0.0, DECAY, least=0, traced=True)

    @property
    def descends(self):
        return True

    @property
    def has_time(self):
        return super().has_time and not self.weight_decay

    def check(self, network, norm, precision):
        super().check(network, norm, precision)
        check_decay(self.weight_decay, self.step_size)

    def notes(self, network, samples):
        found = super().notes(network, samples)
        start, cap = settings(LossBased)["step_size"].value, self.step_size_cap
        if self.step_size == start or (cap is not None and self.step_size >= cap):
            return found
        end = "" if cap is None else f", up to optimizer.step_size_cap={cap:g}"
        return [
            *found,
            f"optimizer.step_size={self.step_size:g} is where the step size starts: it grows by "
            f"optimizer.factor={self.factor:g} a step{end}",
        ]

    def notes_at(self, log_loss):
        if self.first_reference == "start" or log_loss > _DEEP_START:
            return []
        return [
            f"the start at log loss {log_loss:.4g} is so deep that a first step made for a loss of 1 hardly moves; "
            "optimizer.first_reference=start takes the loss there"
        ]

    def hyperparameters(self):
        return {
            "step_size": self.step_size,
            "cap": math.inf if self.step_size_cap is None else self.step_size_cap,
            "exponent": -1.0 if self.frac == 0 else 1 / self.frac - 1,
            "factor": self.factor,
            "shrink": self.factor if self.shrink is None else self.shrink,
            "from_start": self.first_reference == "start",
            "weight_decay": self.weight_decay,
        }


def first_log_reference(log_loss: Array, hyperparameters: Hyperparameters) -> Array:
    """`log Lref` of the first step."""
    return jnp.where(hyperparameters["from_start"], log_loss, 0.0)


def log_step(step_size: Array, log_reference: Array, hyperparameters: Hyperparameters) -> Array:
    """`log eta`, the log of the step on `L` (nats)."""
    return jnp.log(step_size) + hyperparameters["exponent"] * log_reference


def judged(now: State, proposal: State, hyperparameters: Hyperparameters) -> Proposal:
    """The paper's rule: refuse a higher or non-finite loss; the step size grows after a success, below its cap."""
    return Proposal(
        state=proposal,
        accept=jnp.isfinite(proposal.log_loss) & (proposal.log_loss <= now.log_loss),
        step_size_if_accepted=jnp.where(
            now.step_size < hyperparameters["cap"], now.step_size * hyperparameters["factor"], now.step_size
        ),
        step_size_if_refused=now.step_size / hyperparameters["shrink"],
    )


def look(problem: Problem, parameters) -> tuple[Array, tuple]:
    """`log L` of the whole training set and its gradient in the effective weights."""
    return jax.value_and_grad(problem.log_loss)(problem.to_weights(parameters), problem.x, problem.y)


def shrunk(parameters, step_size: Array, hyperparameters: Hyperparameters):
    """The parameters times `1 - step_size * weight_decay`; without decay untouched, or their product might round."""
    decay = hyperparameters["weight_decay"]
    return jax.tree.map(lambda p: jnp.where(decay > 0, (1 - step_size * decay) * p, p).astype(p.dtype), parameters)


def check_decay(weight_decay: float, step_size: float) -> None:
    """Raise `UserError` where the first step would leave nothing of the parameters, or turn them round."""
    if step_size * weight_decay >= 1:
        raise UserError(
            f"optimizer.weight_decay={weight_decay:g} takes all of the parameters in a first step of {step_size:g}; "
            "allowed: a product below 1"
        )


def counted(log_eta: Array, hyperparameters: Hyperparameters) -> Array:
    """The log of a step on `L`, NaN where decay makes it no multiple of `grad L`."""
    return jnp.where(hyperparameters["weight_decay"] > 0, jnp.nan, log_eta)


def full_batch_step(
    problem: Problem, now: State, log_eta: Array, scale: Array, hyperparameters: Hyperparameters
) -> tuple[State, tuple]:
    """`theta - scale * grad log L`, `log eta` its step on `L`, and the gradient there; the memory is the old one."""
    _, pull_back = jax.vjp(problem.to_weights, now.parameters)
    shorter = shrunk(now.parameters, now.step_size, hyperparameters)
    parameters = moved(shorter, pull_back(now.memory.gradient)[0], scale)
    log_loss, gradient = look(problem, parameters)
    log_time = jnp.logaddexp(now.log_time, counted(log_eta, hyperparameters))
    return now._replace(parameters=parameters, log_loss=log_loss, log_time=log_time), gradient


@dataclass(frozen=True)
class GradientDescent(LossBased):
    """Full-batch gradient descent with the loss-based step, accept/reject."""

    reference: str = setting(
        "previous",
        "Lref is the loss one accepted step earlier (the paper), or where the step starts",
        choices=("previous", "present"),
    )

    def init(self, problem, parameters, hyperparameters):
        log_loss, gradient = look(problem, parameters)
        return log_loss, Memory(gradient=gradient, log_reference=first_log_reference(log_loss, hyperparameters))

    def _log_reference(self, now: State) -> Array:
        return now.log_loss if self.reference == "present" else now.memory.log_reference

    def log_step(self, now, hyperparameters):
        return counted(log_step(now.step_size, self._log_reference(now), hyperparameters), hyperparameters)

    def propose(self, problem, now, hyperparameters):
        log_reference = self._log_reference(now)
        scale = now.step_size * jnp.exp(hyperparameters["exponent"] * log_reference + now.log_loss)
        log_eta = log_step(now.step_size, log_reference, hyperparameters)
        state, gradient = full_batch_step(problem, now, log_eta, scale, hyperparameters)
        memory = Memory(gradient=gradient, log_reference=now.log_loss)
        return judged(now, state._replace(memory=memory), hyperparameters)


@dataclass(frozen=True)
class ConstantGradientDescent(Rule):
    """Full-batch gradient descent with a constant step on the loss; every step is accepted."""

    step_size: float = setting(0.001, "the step on L", above=0, traced=True)
    weight_decay: float = setting(0.0, DECAY, least=0, traced=True)

    @property
    def has_time(self):
        return not self.weight_decay

    def check(self, network, norm, precision):
        check_decay(self.weight_decay, self.step_size)

    def hyperparameters(self):
        return {"step_size": self.step_size, "weight_decay": self.weight_decay}

    def init(self, problem, parameters, hyperparameters):
        log_loss, gradient = look(problem, parameters)
        return log_loss, GradientMemory(gradient=gradient)

    def log_step(self, now, hyperparameters):
        return counted(jnp.log(now.step_size), hyperparameters)

    def propose(self, problem, now, hyperparameters):
        scale = now.step_size * jnp.exp(now.log_loss)
        state, gradient = full_batch_step(problem, now, jnp.log(now.step_size), scale, hyperparameters)
        state = state._replace(memory=GradientMemory(gradient=gradient))
        return Proposal(
            state=state, accept=True, step_size_if_accepted=now.step_size, step_size_if_refused=now.step_size
        )
