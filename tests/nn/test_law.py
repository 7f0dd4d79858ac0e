"""The laws of the normalizations: slopes, rates, penalties, exponents."""

import jax.numpy as jnp
import numpy as np
import pytest

from wnexp.nn.law import rate_exponent
from wnexp.nn.weightnorm import NORMS


@pytest.mark.parametrize(
    ("norm", "degree", "slope", "exponent"),
    [("none", 3, 1, 4 / 3), ("swn", 3, 1, 4 / 3), ("ewn", 3, -1, 2), ("power", 3, 0, 5 / 3)],
)
def test_the_laws_are_the_papers(norm, degree, slope, exponent):
    law, norms = NORMS[norm].law, np.array([0.5, 1.0, 7.0])
    assert law.slope == slope and rate_exponent([law] * 2, [1, degree - 1]) == pytest.approx(exponent)
    assert law.normalizes == (norm != "none")
    conserved = {"ewn": np.log(norms), "power": norms - 1}.get(norm, (norms**2 - 1) / 2)
    np.testing.assert_allclose(law.conserved(norms), conserved)
    np.testing.assert_allclose(law.penalty(norms), {"ewn": 1, "power": norms}.get(norm, norms**2))
    weight = jnp.array([[0.6, 3.0], [0.8, 4.0]])  # the radial rate, `||w||^2` under EWN, `||w||` at P = 2 and else 1
    sizes = np.array([1.0, 5.0])
    np.testing.assert_allclose(NORMS[norm].metric(weight, weight), weight * law.radial_rate(sizes), rtol=1e-14)
    across = jnp.array([[0.8, 4.0], [-0.6, -3.0]])
    np.testing.assert_allclose(NORMS[norm].metric(weight, across), across * law.tangential_rate(sizes), rtol=1e-14)


def test_one_ewn_layer_decides_the_exponent():
    """`p = 2 - 2/sum_l P_l k_l`: without normalization above EWN it is still 2."""
    assert rate_exponent([NORMS["ewn"].law, NORMS["none"].law], [1, 1]) == 2
