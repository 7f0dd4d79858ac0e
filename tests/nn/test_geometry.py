"""Norms, their duals and steepest steps: what must hold of any trees, against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wnexp.nn.geometry import GEOMETRIES, newton_schulz, polar

SHAPES = ((3, 5), (5,), (3, 3, 2, 4), (5, 1))  # a matrix, a bias or scales, a convolution, one neuron
EACH = pytest.mark.parametrize("name", GEOMETRIES)


def tree(seed, scale=1.0):
    """Leaves of very different sizes, some entries 0."""
    rng = np.random.default_rng(seed)
    leaves = [rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3) for shape in SHAPES]
    return tuple(jnp.asarray(scale * np.where(rng.random(leaf.shape) < 0.2, 0, leaf)) for leaf in leaves)


def twin(name, leaves):
    """`N` and `N*` in plain numpy."""
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    singular = np.concatenate(
        [
            np.linalg.svd(np.reshape(leaf, (-1, leaf.shape[-1])), compute_uv=False) if leaf.ndim > 1 else np.abs(leaf)
            for leaf in leaves
        ]
    )
    return {
        "l2": (np.linalg.norm(flat), np.linalg.norm(flat)),
        "linf": (np.abs(flat).max(), np.abs(flat).sum()),
        "l1": (np.abs(flat).sum(), np.abs(flat).max()),
        "spectral": (singular.max(), singular.sum()),
        "nuclear": (singular.sum(), singular.max()),
    }[name]


def product(one, other):
    return float(sum(jnp.vdot(a, b) for a, b in zip(one, other, strict=True)))


@EACH
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_norms_duals_and_steepest_steps(name, one, other):
    geometry, w, g = GEOMETRIES[name], tree(one), tree(other)
    norm, dual = np.exp(float(geometry.log_norm(w))), np.exp(float(geometry.log_dual(g)))
    np.testing.assert_allclose([norm, np.exp(float(geometry.log_dual(w)))], twin(name, w), rtol=1e-12)
    assert abs(product(w, g)) <= norm * dual * (1 + 1e-12), "Hoelder"
    step = geometry.steepest(g)
    np.testing.assert_allclose(product(step, g), dual, rtol=1e-12)
    np.testing.assert_allclose(np.exp(float(geometry.log_norm(step))), 1, rtol=1e-12)
    assert [leaf.shape for leaf in step] == [leaf.shape for leaf in g]
    alignment = float(geometry.alignment(w, g))
    np.testing.assert_allclose(alignment, -product(w, g) / (norm * dual), rtol=1e-11, atol=1e-15)


@EACH
def test_the_steepest_step_is_aligned_and_its_opposite_is_not(name):
    geometry, g = GEOMETRIES[name], tree(3)
    step = geometry.steepest(g)
    assert float(geometry.alignment(step, g)) == pytest.approx(-1, abs=1e-12)
    assert float(geometry.alignment(jax.tree.map(jnp.negative, step), g)) == pytest.approx(1, abs=1e-12)


@EACH
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_sizes_change_no_direction(name, scale):
    """Where squares would be 0 or overflow."""
    geometry, w, g, small = GEOMETRIES[name], tree(1), tree(2), tree(2, scale)
    shift = np.log(scale)
    np.testing.assert_allclose(float(geometry.log_norm(small)), float(geometry.log_norm(g)) + shift, rtol=1e-12)
    np.testing.assert_allclose(float(geometry.log_dual(small)), float(geometry.log_dual(g)) + shift, rtol=1e-12)
    for a, b in zip(geometry.steepest(small), geometry.steepest(g), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(float(geometry.alignment(w, small)), float(geometry.alignment(w, g)), rtol=1e-12)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_are_no_step(name, dtype):
    """Of a whole tree, of one leaf, of one neuron; an alignment of nothing is undefined."""
    geometry, nothing = GEOMETRIES[name], tuple(jnp.zeros(shape, dtype) for shape in SHAPES)
    assert all(not np.any(leaf) for leaf in geometry.steepest(nothing))
    assert float(geometry.log_norm(nothing)) == float(geometry.log_dual(nothing)) == -np.inf
    assert np.isnan(float(geometry.alignment(nothing, nothing)))
    some = (nothing[0].at[1, 2].set(-2.0), *nothing[1:])
    step = geometry.steepest(some)
    assert all(np.isfinite(leaf).all() for leaf in step) and step[0][1, 2] == pytest.approx(-1)
    assert sum(float(jnp.abs(leaf).sum()) for leaf in step) == pytest.approx(1)


def test_a_convolution_is_the_matrix_of_its_neurons():
    kernel = jnp.asarray(np.random.default_rng(5).standard_normal((3, 3, 2, 4)))
    matrix = kernel.reshape(18, 4)
    for name, geometry in GEOMETRIES.items():
        for a, b in ((geometry.log_norm, geometry.log_norm), (geometry.log_dual, geometry.log_dual)):
            assert float(a((kernel,))) == pytest.approx(float(b((matrix,))), rel=1e-12), name
        np.testing.assert_allclose(geometry.steepest((kernel,))[0].reshape(18, 4), geometry.steepest((matrix,))[0])
    unit = GEOMETRIES["spectral"].steepest((kernel,))[0].reshape(18, 4)
    np.testing.assert_allclose(unit.T @ unit, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(("shape", "rank"), [((6, 4), 2), ((4, 6), 1), ((5, 5), 0), ((7, 3), 3)])
def test_the_polar_factor_of_a_matrix_of_less_than_full_rank(shape, rank):
    """Rounding's singular values, 1e-17 of the largest, are no directions."""
    rng = np.random.default_rng(rank)
    matrix = jnp.asarray(rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])))
    found = np.linalg.svd(polar(matrix), compute_uv=False)
    np.testing.assert_allclose(found, np.arange(min(shape)) < rank, atol=1e-12)
    np.testing.assert_allclose(jnp.vdot(polar(matrix), matrix), np.linalg.svd(matrix, compute_uv=False).sum())


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("scale", [1.0, 1e-200])
def test_newton_schulz_brings_singular_values_near_one(shape, scale):
    """As Muon's authors found: between .68 and 1.14, on the same singular vectors."""
    matrix = jnp.asarray(np.random.default_rng(1).standard_normal(shape))
    found = newton_schulz(scale * matrix)
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ found @ vt.T
    np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-9)
    assert (np.diag(inside) > 0.68).all() and (np.diag(inside) < 1.14).all()
    assert not np.any(newton_schulz(jnp.zeros(shape)))
