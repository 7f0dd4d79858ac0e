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
for every further decade. An iterated implicit method does not do: off the slow manifold the exponentials of the loss
defeat its iteration (diffrax's Kvaerno5 under SWN: 3,000 steps for 150 nats). A step solves in units of each neuron's
norm, so one tolerance serves all variables.
"""

from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from wnexp.optimizers import Iterate, Numbers, Problem, Proposal
from wnexp.weightnorm import neuron_norms

_SAFETY, _MOST_SHRINKING, _MOST_GROWTH = 0.9, 0.2, 5.0
_LONGEST_STEP = 0.05  # of `tau`, or the records would be too sparse to read slopes from

# Steinebach, BIT Numer. Math. 63 (2023) 27: Rodas5P, in the form that needs no product with the Jacobian.
_GAMMA = 0.21193756319429014
_LAST = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)
_STAGES = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    _LAST,
    (*_LAST, 1.0),
    (*_LAST, 1.0, 1.0),
)
_COUPLING = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (
        *(30.91273214028599, -3.1208243349937974, 77.79954646070892),
        *(34.28646028294783, -19.097331116725623, -28.087943162872662),
    ),
    (
        *(37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047),
        *(-40.06618937091002, -54.66780262877968, -9.48861652309627),
    ),
)


def _padded(rows) -> np.ndarray:
    return np.array([[*row, *[0.0] * (len(rows) - len(row))] for row in rows])


class Rodas5P(diffrax.AbstractAdaptiveSolver):
    """Rosenbrock's method of order 5(4), L-stable: one Jacobian and one factorization a step, no iteration.

    For autonomous equations with a flat state `(p,)`. Stage `i` solves
    `(1/(gamma h) - J) k_i = f(y + sum_j a_ij k_j) + sum_j c_ij k_j / h`; the last `k` is the error estimate.
    """

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.LocalLinearInterpolation

    def order(self, terms):
        return 5

    def init(self, terms, t0, t1, y0, args):
        return None

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        h, stages, coupling = t1 - t0, jnp.asarray(_padded(_STAGES)), jnp.asarray(_padded(_COUPLING))

        def field(y):
            return terms.vf(t0, y, args)

        factors = jax.scipy.linalg.lu_factor(jnp.eye(y0.size) / (_GAMMA * h) - jax.jacfwd(field)(y0))

        def stage(i, ks):
            right = field(y0 + stages[i] @ ks) + coupling[i] @ ks / h
            return ks.at[i].set(jax.scipy.linalg.lu_solve(factors, right))

        ks = jax.lax.fori_loop(0, len(_STAGES), stage, jnp.zeros((len(_STAGES), y0.size), y0.dtype))
        y1 = y0 + stages[-1] @ ks + ks[-1]
        return y1, ks[-1], {"y0": y0, "y1": y1}, None, diffrax.RESULTS.successful


# Name -> solver. tsit5 is for networks whose dense Jacobian would not fit, and an independent check on small ones.
SOLVERS = {"rosenbrock": Rodas5P(), "tsit5": diffrax.Tsit5()}
MOST_UNKNOWNS = 3000  # of the dense system that `rosenbrock` factorizes at every step


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


def propose(problem: Problem, now: Iterate, numbers: Numbers) -> Proposal:
    """One step of the solver, `now.step_size` nats long or up to the next of `problem.levels`.

    Accepted when the error estimate is within `numbers.tolerance`, relative to each neuron's norm and to `U`, and the
    loss has fallen: where it can fall no further (data that the network cannot separate) the step shrinks to nothing.
    """
    flat, unravel = ravel_pytree(now.parameters)
    scale = ravel_pytree(jax.tree.map(_scale, now.parameters))[0]
    ahead = jnp.max(jnp.where(problem.levels < now.log_loss, problem.levels, -jnp.inf))
    # A hair beyond the level, or rounding would leave a hair to go.
    gap = (now.log_loss - ahead) + 1e-12 * jnp.maximum(1.0, jnp.abs(ahead))
    nats = jnp.minimum(jnp.minimum(now.step_size, gap), _LONGEST_STEP * (1 + jnp.abs(now.log_loss)))
    clock = jnp.exp(now.log_time + now.log_loss)
    _, speed = _velocity(problem, now.parameters, now.gradient)
    clock_scale = clock + jnp.minimum(nats, 1.0) / speed
    gradient_at = jax.grad(problem.log_loss)

    def field(t, state, arguments):
        parameters = unravel(state[:-1] * scale)
        gradient = gradient_at(problem.to_weights(parameters), problem.x, problem.y)
        direction, speed = _velocity(problem, parameters, gradient)
        return jnp.append(-direction / speed / scale, 1 / speed / clock_scale - state[-1])

    solver, term = SOLVERS[problem.solver], diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]
    state, zero = jnp.append(flat / scale, clock / clock_scale), jnp.zeros_like(nats)
    memory = solver.init(term, zero, nats, state, None)
    state, error, _, _, _ = solver.step(term, zero, nats, state, None, memory, made_jump=True)
    parameters = unravel(state[:-1] * scale)
    log_loss, gradient = jax.value_and_grad(problem.log_loss)(problem.to_weights(parameters), problem.x, problem.y)
    log_time = jnp.log(state[-1] * clock_scale) - log_loss
    error = jnp.max(jnp.abs(error)) / numbers.tolerance
    error = jnp.where(jnp.isfinite(error), error, jnp.inf)
    accept = (error <= 1) & (log_loss < now.log_loss) & jnp.isfinite(log_time)
    factor = jnp.clip(_SAFETY * error ** (-1 / solver.order(term)), _MOST_SHRINKING, _MOST_GROWTH)  # pyright: ignore
    proposal = now._replace(
        parameters=parameters,
        gradient=gradient,
        log_loss=log_loss,
        log_reference=now.log_loss,
        log_time=log_time,
    )
    grown = jnp.where(now.idle > 0, jnp.minimum(factor, 1.0), factor) * nats
    # A step cut short says nothing against the longer one.
    larger = jnp.where(nats < now.step_size, jnp.maximum(grown, now.step_size), grown)
    return Proposal(proposal, accept, larger, nats * jnp.minimum(factor, 0.5))
