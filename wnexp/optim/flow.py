"""Gradient flow with the loss as the clock: steps of an adaptive solver that reaches any depth.

Integrating in time is hopeless, `t ~ exp(nats)`. With `tau = -log L` as the clock, `g = grad log L` and the metric `M`
of `weightnorm.py` (the identity where the parameters themselves are integrated)

    dw/dtau = - M g / <g, M g>,        d(log t)/dtau = exp(-log L - log t) / <g, M g>.

`log t` and `-log L` agree to a few units while both reach 1e6, and rates are read from their difference. So the state
is `(w, U)` with `U = t L`, which obeys the linear equation `dU/dtau = 1/<g, M g> - U` and starts at 0 with `t`.
An error in the clock does no harm: `log t = log U - log L(w)` takes the loss where the weights are.

The loss shares of the samples settle within a few nats, and under SWN the directions `||w_u||^2` times as fast: the
problem is stiff, though the solution itself changes by a factor only while `tau` does. An explicit method needs
a step a nat; a linearly implicit one takes steps in proportion to `tau`, about a thousand to 1e4 nats and a few hundred
for every further decade. An iterated implicit method does not work: off the slow manifold the exponentials of the loss
defeat its iteration (diffrax's Kvaerno5 under SWN: 3,000 steps for 150 nats). A step solves in units of each neuron's
norm, so one tolerance serves all variables.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from wnexp.errors import UserError
from wnexp.nn.weightnorm import neuron_norms
from wnexp.optim.base import Problem, Proposal, Rule, State
from wnexp.optim.descent import GradientMemory, look
from wnexp.settings import setting

_SAFETY, _MOST_SHRINKING, _MOST_GROWTH = 0.9, 0.2, 5.0
_LONGEST_STEP = 0.05  # of `tau`, or the records would be too sparse to read slopes from
_BEYOND = 1e-12  # how far beyond a landing a step goes, relative: rounding must not leave a little to go
_BLUR = 10.0
MOST_UNKNOWNS = 3000  # of the dense system that `rosenbrock` factorizes at every step


@cache
def _solver(name: str) -> Any:
    """tsit5 is for networks whose dense Jacobian would not fit, and an independent check on small ones."""
    import diffrax  # takes half a second

    from wnexp.optim.rodas import Rodas5P

    return Rodas5P() if name == "rosenbrock" else diffrax.Tsit5()


def _scale(leaf: Array) -> Array:
    """The unit in which a step measures each entry of an array of parameters: its neuron's norm, at least 1 for
    biases and scales."""
    if leaf.ndim < 2:
        return jnp.maximum(1.0, jnp.abs(leaf))
    norms = neuron_norms(leaf)
    return jnp.broadcast_to(jnp.where(norms > 0, norms, 1.0), leaf.shape)


def _velocity(problem: Problem, parameters, gradient) -> tuple[Float[Array, " p"], Float[Array, ""]]:
    """Minus the direction of the flow in the parameters, `M g`, flat, and `<g, M g>`."""
    _, pull_back = jax.vjp(problem.to_weights, parameters)
    (pulled,) = pull_back(gradient)
    direction = ravel_pytree(problem.precondition(parameters, pulled))[0]
    return direction, jnp.vdot(ravel_pytree(pulled)[0], direction)


def _nats(problem: Problem, now: State) -> Array:
    """The length of the next step: what the error allows, up to the next landing, and no more than a share of `tau`."""
    ahead = jnp.max(jnp.where(problem.landings < now.log_loss, problem.landings, -jnp.inf))
    return jnp.minimum(jnp.minimum(now.step_size, _gap(now.log_loss, ahead)), _longest(now.log_loss))


def _gap(log_loss: Any, landing: Any) -> Any:
    return (log_loss - landing) + _BEYOND * jnp.maximum(1.0, jnp.abs(landing))


def _longest(log_loss: Any) -> Any:
    return _LONGEST_STEP * (1 + jnp.abs(log_loss))


def _controlled(now: State, reached: State, accept: Array, nats: Array, growth: Array) -> Proposal:
    """The proposal, with the step lengths that the error of this one allows."""
    factor = jnp.clip(_SAFETY * growth, _MOST_SHRINKING, _MOST_GROWTH)
    grown = jnp.where(now.fruitless > 0, jnp.minimum(factor, 1.0), factor) * nats
    return Proposal(
        state=reached,
        accept=accept,
        # A step cut short says nothing against the longer one.
        step_size_if_accepted=jnp.where(nats < now.step_size, jnp.maximum(grown, now.step_size), grown),
        step_size_if_refused=nats * jnp.minimum(factor, 0.5),
    )


@dataclass(frozen=True)
class Flow(Rule):
    """Gradient flow, the loss as its clock. One step is one step of an adaptive solver."""

    is_flow: ClassVar[bool] = True
    step_size: float = setting(0.001, "length of the first step in nats", above=0, traced=True)
    tolerance: float = setting(
        1e-8, "of a step's error, relative to each neuron's norm", least=1e-13, most=0.01, traced=True
    )
    solver: str = setting(
        "rosenbrock",
        "rosenbrock: implicit, to any depth; tsit5: explicit, a few steps per nat, networks of any size",
        choices=("rosenbrock", "tsit5"),
    )
    variables: str = setting(
        "weights",
        "weights: the effective ones, with the metric of the norm; parameters: (scale, v) themselves",
        choices=("weights", "parameters"),
    )

    @property
    def descends(self):
        return True

    @property
    def steps_on_weights(self):
        return self.variables == "weights"

    def check(self, network, norm, precision):
        if precision != "float64":
            raise UserError(f"optimizer=flow needs precision=float64, not {precision}")
        unknowns = sum(math.prod(layer.shape) for layer in network.layers if layer.fixed is None)
        if self.solver == "rosenbrock" and unknowns > MOST_UNKNOWNS:
            raise UserError(
                f"optimizer=flow with its implicit solver takes at most {MOST_UNKNOWNS:,} weights, this network has "
                f"{unknowns:,}; optimizer.solver=tsit5 takes any number, a few steps per nat"
            )
        if norm.output_v == "raw" and self.steps_on_weights:
            raise UserError("norm.output_v=raw needs optimizer.variables=parameters under optimizer=flow")

    def sees(self, log_loss, landing):
        return np.asarray(_gap(log_loss, landing) < _longest(log_loss))

    def notes(self, network, samples):
        if not any(layer.pool for layer in network.layers):
            return []
        return [
            "flow with max-pooling may stall where two pixels of a pooling are equal: the solver chatters between them "
            "(max_steps at a high loss); without M in model.channels it slides on kinks, optimizer=gd trains with M"
        ]

    def when_stalled(self, metrics):
        if not any(metric.passes_zero for metric in metrics):
            return ""
        return "a neuron's scale has probably reached 0, which optimizer.variables=parameters passes"

    def prepare(self, network, norm):
        through_zero = norm.passes_zero and not self.steps_on_weights
        return replace(network, activation=network.activation.sliding(through_zero))

    def hyperparameters(self):
        return {"step_size": self.step_size, "tolerance": self.tolerance}

    def init(self, problem, parameters, hyperparameters):
        log_loss, gradient = look(problem, parameters)
        return log_loss, GradientMemory(gradient=gradient)

    def propose(self, problem, now, hyperparameters):
        """One step of the solver, `now.step_size` nats long or up to the next of `problem.landings`.

        Accepted when the error estimate is within the tolerance, relative to each neuron's norm and to `U`, and the
        loss has fallen: where it can fall no further (data that the network cannot separate) the step shrinks to
        nothing. Weights known to a relative `tol` blur the margins by `tau tol` nats, the speed of the flow, smallest
        where the loss shares are at rest, by the square of that, and `U` with it: no step however short does better.
        """
        import diffrax

        flat, unravel = ravel_pytree(now.parameters)
        scale = ravel_pytree(jax.tree.map(_scale, now.parameters))[0]
        nats = _nats(problem, now)
        clock = jnp.exp(now.log_time + now.log_loss)
        _, speed = _velocity(problem, now.parameters, now.memory.gradient)
        clock_scale = clock + jnp.minimum(nats, 1.0) / speed
        gradient_at = jax.grad(problem.log_loss)

        def field(t, state, arguments):
            parameters = unravel(state[:-1] * scale)
            gradient = gradient_at(problem.to_weights(parameters), problem.x, problem.y)
            direction, speed = _velocity(problem, parameters, gradient)
            return jnp.append(-direction / speed / scale, 1 / speed / clock_scale - state[-1])

        solver, term = _solver(self.solver), diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]
        state, zero = jnp.append(flat / scale, clock / clock_scale), jnp.zeros_like(nats)
        solver_state = solver.init(term, zero, nats, state, None)
        state, error, _, _, _ = solver.step(term, zero, nats, state, None, solver_state, made_jump=True)
        parameters = unravel(state[:-1] * scale)
        log_loss, gradient = look(problem, parameters)
        log_time = jnp.log(state[-1] * clock_scale) - log_loss
        tolerance = hyperparameters["tolerance"]
        error = error.at[-1].divide(jnp.maximum(1.0, _BLUR * tolerance * log_loss**2))
        error = jnp.max(jnp.abs(error)) / tolerance
        error = jnp.where(jnp.isfinite(error), error, jnp.inf)
        accept = (error <= 1) & (log_loss < now.log_loss) & jnp.isfinite(log_time)
        reached = now._replace(
            parameters=parameters,
            memory=GradientMemory(gradient=gradient),
            log_loss=log_loss,
            log_time=log_time,
        )
        growth = error ** (-1 / solver.order(term))  # pyright: ignore[reportOperatorIssue]
        return _controlled(now, reached, accept, nats, growth)
