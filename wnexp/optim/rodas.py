"""Rodas5P, a linearly implicit solver in diffrax's interface."""

from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

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
    """Rosenbrock's method of order 5(4), L-stable: one Jacobian and one factorization per step, no iteration.

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
