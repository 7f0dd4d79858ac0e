"""Rules that step along a transformation of the gradient: the interface of optax, at any depth of loss (`frame.py`).

The step is `lr / (t + 1)^decay` at update `t = 1, 2, ...`. Scale-free rules, whose steps no factor on all gradients
changes, take it as it is. Those of `LossScaled` (`remembering.py`) take it as a step on `L`, times `Lref^(1/frac - 1)`
as in `descent.py`: the first moment of a loss of e^-1000 moves nothing else. `accept=lower` refuses a step after which
the loss is higher and adapts `lr`, `accept=any` takes every step. A refused step leaves the state as it was, so a first
moment that points uphill would be refused at every length, for ever: after `_UPHILL` refusals in a row the next
proposal starts from an empty memory, along the gradient alone.

Weight decay is decoupled (Loshchilov and Hutter, arXiv 1711.05101): parameters shrink by `1 - step * weight_decay`.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from wnexp.errors import UserError
from wnexp.optim.base import Hyperparameters, Problem, Proposal, Rule, State
from wnexp.optim.descent import DECAY, check_decay, counted, first_log_reference, judged, look
from wnexp.optim.epochs import over_batches
from wnexp.optim.frame import Memory, emptied, faded, in_units_of
from wnexp.settings import setting

_UPHILL = 10  # refusals in a row: lr is 2.6 times shorter by then, with the usual factor


@dataclass(frozen=True)
class Transformed(Rule):
    """What these rules have in common."""

    step_size: float = setting(0.01, "the step, called lr", above=0, traced=True)
    decay: float = setting(0.0, "a of a step of lr / (t + 1)^a at update t = 1, 2, ...", least=0, traced=True)
    accept: str = setting(
        "any",
        "any: every step; lower: only steps that do not raise the loss, lr grows and shrinks",
        choices=("any", "lower"),
    )
    step_size_cap: float | None = setting(
        None, "bound that lr grows to under accept=lower", above=0, null="for no cap", traced=True
    )
    factor: float = setting(1.1, "factor that lr grows by after an accepted step, accept=lower", above=1, traced=True)
    shrink: float | None = setting(
        None, "divisor of lr after a refused step", above=1, null="for optimizer.factor", traced=True
    )
    batch_size: int | None = setting(
        None, "samples per update, an attempt is an epoch", least=1, null="for the whole training set"
    )
    weight_decay: float = setting(0.0, DECAY, least=0, traced=True)

    @property
    def full_batch(self):
        return self.batch_size is None

    @property
    def descends(self):
        return self.accept == "lower"

    @property
    def has_time(self):
        return False

    @property
    def varied(self):
        return self.decay > 0

    @property
    def widest_norm(self):
        return 1 / self.weight_decay if self.weight_decay and self.is_scale_free else None

    @property
    def is_scale_free(self) -> bool:
        """Whether a direction is of length 1 in the rule's geometry (about 1, for Adam), whatever the loss."""
        return True

    def check(self, network, norm, precision):
        check_decay(self.weight_decay, self.step_size / 2**self.decay)
        for name in ("b1", "b2"):
            if (given := getattr(self, name, 0.0)) and float(np.dtype(precision).type(given)) >= 1:
                raise UserError(f"optimizer.{name}={given} is 1 in {precision}: a memory that learns nothing")

    def hyperparameters(self):
        return {
            "step_size": self.step_size,
            "cap": math.inf if self.step_size_cap is None else self.step_size_cap,
            "factor": self.factor,
            "shrink": self.factor if self.shrink is None else self.shrink,
            "decay": self.decay,
            "weight_decay": self.weight_decay,
        }

    def notes(self, network, samples):
        found = []
        if self.decay > 1:
            found.append(
                f"optimizer.decay={self.decay:g}: the steps add up to a finite length, so the loss may never reach "
                "its target (decay of at most 1)"
            )
        if self.batch_size is not None and self.batch_size > samples:
            found.append(
                f"optimizer.batch_size={self.batch_size} is more than the {samples} training samples; an epoch is one "
                "step on all of them"
            )
        return found

    def transformation(self, numbers: Hyperparameters) -> optax.GradientTransformation:
        """What turns gradients into a direction; its state is of degree 1 in them, integers apart.

        `numbers` are the hyperparameters in the parameters' precision, and `eps` where `log_eps` is a setting.
        """
        raise TypeError(f"{type(self).__name__} has no transformation")

    def slack(self, hyperparameters: Hyperparameters) -> Array | float:
        """Nats an update by which the slowest memory of `grad L` fades."""
        return math.inf

    @property
    def remembers_loss(self) -> bool:
        """Whether the memory is of `grad L`, not of `grad log L`."""
        return True

    @property
    def may_point_uphill(self) -> bool:
        """Whether no step, however short, need lower the loss: a first moment outlives the slope that it was of."""
        return False

    def log_scale(self, hyperparameters: Hyperparameters, log_reference: Array, frame: Array, log_loss: Array):
        """The log of what the direction is multiplied by beside the step."""
        return 0.0

    def log_eta(self, log_step: Array, slope: Any, log_loss: Array) -> Array | float:
        """The log of the step on `L`, where the direction is a multiple of `grad L`."""
        return -math.inf

    def direction(self, slope: Any, share: Array, state: Any, numbers: Hyperparameters) -> tuple[Any, Any]:
        """The direction and the next state; `share` is the present loss in units of the frame."""
        fed = jax.tree.map(lambda g: (share * g).astype(g.dtype), slope)
        return self.transformation(numbers).update(fed, state)

    def init(self, problem, parameters, hyperparameters):
        log_loss, gradient = look(problem, parameters)
        from_start = hyperparameters.get("from_start", jnp.zeros((), bool))
        return log_loss, Memory(
            gradient=gradient if self.full_batch else None,
            log_reference=first_log_reference(log_loss, {"from_start": from_start}),
            frame=log_loss if self.remembers_loss else jnp.zeros_like(log_loss),
            updates=jnp.zeros((), int),
            state=self.transformation(in_units_of(log_loss, hyperparameters, parameters)).init(parameters),
        )

    def propose(self, problem, now, hyperparameters):
        if self.accept == "lower" and self.may_point_uphill:
            fresh = emptied(now.memory, now.log_loss) if self.remembers_loss else emptied(now.memory)
            stuck = now.fruitless >= _UPHILL
            now = now._replace(memory=jax.tree.map(lambda new, old: jnp.where(stuck, new, old), fresh, now.memory))
        reached = (
            self._full_batch(problem, now, hyperparameters)
            if self.full_batch
            else self._epoch(problem, now, hyperparameters)
        )
        if self.accept == "lower":
            return judged(now, reached, hyperparameters)
        return Proposal(
            state=reached, accept=True, step_size_if_accepted=now.step_size, step_size_if_refused=now.step_size
        )

    def _full_batch(self, problem: Problem, now: State, hyperparameters: Hyperparameters) -> State:
        _, pull_back = jax.vjp(problem.to_weights, now.parameters)
        (slope,) = pull_back(now.memory.gradient)
        parameters, memory, log_eta = self._update(
            now.parameters, slope, now.log_loss, now.memory, self._log_reference(now), now.step_size, hyperparameters
        )
        log_loss, gradient = look(problem, parameters)
        return now._replace(
            parameters=parameters,
            memory=memory._replace(gradient=gradient, log_reference=now.log_loss),
            log_loss=log_loss,
            log_time=jnp.logaddexp(now.log_time, log_eta),
        )

    def _epoch(self, problem: Problem, now: State, hyperparameters: Hyperparameters) -> State:
        def log_loss_of(parameters, x, y):
            return problem.log_loss(problem.weights_and_scales(parameters), x, y)

        def step(carry, indices):
            parameters, memory = carry
            log_loss, slope = jax.value_and_grad(log_loss_of)(parameters, problem.x[indices], problem.y[indices])
            parameters, memory, _ = self._update(
                parameters, slope, log_loss, memory, self._log_reference(now), now.step_size, hyperparameters
            )
            return (parameters, memory), None

        assert self.batch_size is not None
        (parameters, memory), _ = over_batches(
            problem, self.batch_size, now.attempts, step, (now.parameters, now.memory)
        )
        log_loss = log_loss_of(parameters, problem.x, problem.y)
        return now._replace(parameters=parameters, memory=memory._replace(log_reference=log_loss), log_loss=log_loss)

    def _log_reference(self, now: State) -> Array:
        return now.memory.log_reference

    def _update(self, parameters, slope, log_loss, memory: Memory, log_reference, step_size, hyperparameters):
        """One update with `slope = grad log L` in the parameters: parameters, memory, the log of its step on L."""
        frame = memory.frame
        if self.remembers_loss:
            frame = jnp.maximum(log_loss, frame - self.slack(hyperparameters))
        fade, share = jnp.exp(memory.frame - frame), jnp.exp(log_loss - frame) if self.remembers_loss else 1.0
        numbers = in_units_of(frame, hyperparameters, parameters)
        direction, state = self.direction(slope, jnp.asarray(share), faded(memory.state, fade), numbers)
        updates = memory.updates + 1
        log_step = jnp.log(step_size) - hyperparameters["decay"] * jnp.log(updates + 1.0)
        kept = 1 - jnp.exp(log_step) * hyperparameters["weight_decay"]
        scale = jnp.exp(log_step + self.log_scale(hyperparameters, log_reference, frame, log_loss))
        parameters = jax.tree.map(lambda p, d: (kept * p - scale * d).astype(p.dtype), parameters, direction)
        memory = memory._replace(frame=frame, updates=updates, state=state)
        log_eta = jnp.asarray(self.log_eta(log_step, slope, log_loss))
        return parameters, memory, counted(log_eta, hyperparameters)
