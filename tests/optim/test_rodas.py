"""The linearly implicit solver on equations whose solutions are known."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from wnexp.optim.rodas import Rodas5P


def test_the_solver_has_order_five_and_damps_what_is_stiff():
    def solve(field, steps, start):
        solver, term, y = Rodas5P(), diffrax.ODETerm(lambda t, y, args: field(y)), jnp.asarray(start)

        @jax.jit
        def step(y):
            return solver.step(term, jnp.zeros(()), jnp.asarray(1.0 / steps), y, None, None, True)[0]

        for _ in range(steps):
            y = step(y)
        return np.asarray(y)

    # y1' = -y1^2 from 1 is 1/(1 + t); y2' = y1 y2 from 1 is 1 + t.
    def errors(steps):
        found = solve(lambda y: jnp.array([-(y[0] ** 2), y[0] * y[1]]), steps, [1.0, 1.0])
        return np.abs(found - [0.5, 2.0]).max()

    orders = np.log2([errors(8) / errors(16), errors(16) / errors(32)])
    assert ((orders > 4.4) & (orders < 5.6)).all()
    stiff = solve(lambda y: jnp.array([-1e8 * (y[0] - y[1]), -y[1]]), 20, [3.0, 1.0])
    np.testing.assert_allclose(stiff, np.exp(-1), rtol=1e-7)
