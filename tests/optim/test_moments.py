"""Transformations alone, every rule's: what they remember, entries that are 0, what float32 can hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import numbers_of
from wnexp.optim import OPTIMIZERS, moments
from wnexp.optim.frame import in_units_of
from wnexp.optim.transformed import Transformed

RULES = {name: rule for name, rule in OPTIMIZERS.items() if isinstance(rule, Transformed)}
EACH = pytest.mark.parametrize("name", RULES)
SHAPES = {"gamma": (4,), "v": (3, 4), "bias": (4,), "kernel": (3, 3, 2, 4)}


def parameters(dtype):
    return {name: jnp.ones(shape, dtype) for name, shape in SHAPES.items()}


def numbers(name, dtype):
    own = {key: jnp.asarray(value) for key, value in numbers_of(name).items()}
    return in_units_of(jnp.asarray(-500.0), own, parameters(dtype))


@EACH
def test_a_memory_has_the_structure_of_the_parameters(name):
    """All of it is copies of their leaves, and counts: checkpoints, seeds and frames take it as it is."""
    state = RULES[name].transformation(numbers(name, "float32")).init(parameters("float32"))
    for leaf in jax.tree.leaves(state):
        assert leaf.shape in SHAPES.values() if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.shape == ()
        assert leaf.dtype in (jnp.float32, jnp.int32) and not np.any(leaf)
    floats = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert len(floats) % len(SHAPES) == 0


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entries_without_gradient_do_not_move_and_are_no_nan(name, dtype):
    """One entry, a neuron, a whole leaf, from the first update on and after others."""
    rng, rule = np.random.default_rng(3), RULES[name]
    slope = {key: jnp.asarray(rng.standard_normal(shape), dtype) for key, shape in SHAPES.items()}
    slope |= {"v": slope["v"].at[1, 2].set(0).at[:, 3].set(0), "bias": jnp.zeros(4, dtype)}
    state = rule.transformation(numbers(name, dtype)).init(parameters(dtype))
    for _ in range(3):
        moved, state = rule.direction(slope, jnp.asarray(0.5), state, numbers(name, dtype))
        assert all(np.isfinite(leaf).all() and leaf.dtype == dtype for leaf in jax.tree.leaves(moved))
        assert not np.any(moved["bias"]) and not np.any(moved["v"][:, 3])
        assert name in ("spectral", "muon") or moved["v"][1, 2] == 0  # a polar factor mixes the entries of a matrix


@pytest.mark.parametrize("make", [moments.scale_by_adam, moments.scale_by_rms])
def test_neurons_far_apart_in_float32(make):
    """1e-25 has no square there; the second moment is kept as its root."""
    arguments = (0.9, 0.99, 1e-30) if make is moments.scale_by_adam else (0.99, 1e-30)
    rule = make(*(jnp.asarray(number, "float32") for number in arguments))
    slope = {"v": jnp.asarray([1.0, 1e-25, -1e-25, 0.0], "float32")}
    state = rule.init(slope)
    for _ in range(4):
        moved, state = rule.update(slope, state)
    first = float(moved["v"][0])
    np.testing.assert_allclose(moved["v"], [first, first, -first, 0], rtol=1e-4)


def test_the_accelerated_trace_is_the_papers_in_the_precision_of_the_parameters():
    """`g_t = t/(t+1) (g_{t-1} + q_t)`, the direction `g_t + q_t`."""
    rule, rng, memory = moments.accelerated_trace(), np.random.default_rng(0), np.zeros(3)
    state = rule.init({"w": jnp.zeros(3)})
    for t in range(50):
        q = rng.standard_normal(3)
        memory = t / (t + 1) * (memory + q)
        moved, state = rule.update({"w": jnp.asarray(q)}, state)
        np.testing.assert_allclose(moved["w"], memory + q, rtol=1e-13, atol=1e-14)
