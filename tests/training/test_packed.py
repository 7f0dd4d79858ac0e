"""A state as one vector per dtype: nothing is lost, and no number of a run changes beyond the order of rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import column, compose, lin_sep, make_program, make_settings, measures, numbers_of, outcomes, run
from wnexp.data.dataset import Dataset
from wnexp.training import packed
from wnexp.training.program import build_program

TREE = {
    "weights": (jnp.arange(6.0).reshape(2, 3), jnp.full((1, 1, 2), np.nan)),
    "count": jnp.asarray(2**53 + 1),
    "moment": jnp.asarray([0.1, np.inf], jnp.float32),
    "none": (jnp.zeros((0, 4)), None),
    "started": jnp.asarray(True),
}


def test_what_was_packed_comes_back_to_the_last_bit():
    flat = packed.pack(TREE)
    assert {name: vector.shape for name, vector in flat.items()} == {
        "float64": (8,),
        "int64": (1,),
        "float32": (2,),
        "bool": (1,),
    }
    back = packed.unpack(flat, TREE)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    for new, old in zip(jax.tree.leaves(back), jax.tree.leaves(TREE), strict=True):
        assert new.dtype == old.dtype and new.shape == old.shape
        np.testing.assert_array_equal(new, old)


def test_a_packed_loop_is_the_loop():
    def trip(state):
        return state | {"count": state["count"] + 1, "weights": jax.tree.map(lambda leaf: 2 * leaf, state["weights"])}

    def go_on(state):
        return state["count"] < 2**53 + 4

    jax.tree.map(
        np.testing.assert_array_equal,
        packed.while_loop(go_on, trip, TREE),
        jax.lax.while_loop(go_on, trip, TREE),
    )


@pytest.mark.parametrize("rule", ["gd", "momentum", "flow"])
def test_a_packed_run_is_the_run(rule):
    configuration = make_settings(target=-15.0, max_steps=300, numbers=numbers_of(rule))
    runs = [
        run(
            make_program(norm="ewn", optimizer=rule, measures=measures("margins"), packed=whether),
            lin_sep(),
            configuration,
            seeds=(0, 1, 2),
        )
        for whether in (False, True)
    ]
    assert outcomes(runs[0][0]) == outcomes(runs[1][0])
    for place in range(3):
        for name in ("step", "log_loss", "step_size", "normalized_margin"):
            plain, whole = (column(records, name, place) for _, records in runs)
            np.testing.assert_allclose(whole[:60], plain[:60], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    "platform, words, packs",
    [("gpu", "optimizer=gd", True), ("gpu", "optimizer=sgd", False), ("cpu", "optimizer=gd", False)],
)
def test_only_where_an_attempt_is_a_few_launches(platform, words, packs):
    x, y = np.zeros((4, 2)), np.asarray([0, 1, 0, 1])
    assert build_program(compose(words), Dataset(x, y, x, y), platform).packed is packs
