"""One attempt: what an accepted and a refused proposal change, and when a seed has stalled."""

import subprocess
import sys
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import SMALL, lin_sep, make_program, make_settings, measures, points_of, started
from wnexp.optim.base import Problem, Proposal, Rule, attempt, moved, stalled, start

# Steps that soon become too long, and a tolerance that the flow often misses.
WILD = {"step_size": 0.5, "cap": np.inf, "factor": 3.0, "shrink": 2.0, "frac": 1.0, "tolerance": 1e-13}
OPPOSED = points_of(np.array([[1.0, 0.5], [1.0, 0.5], [-1.0, 0.3]]), np.array([1, -1, 1]))  # a minimum above zero
MIXED = points_of(  # labels that no network of this size fits, so epochs go up and down
    np.random.default_rng(3).normal(size=(24, 2)), np.arange(24) % 2 * 2 - 1, np.zeros((0, 2)), np.zeros(0, int)
)
NOTHING = Problem(
    *[lambda *arguments: None] * 5,
    x=jnp.zeros((1, 1)),
    y=jnp.ones(1, int),
    key=jax.random.key(0),
    landings=jnp.zeros(1),
)


@pytest.mark.parametrize("optimizer", ["gd", "sgd", pytest.param("sgd_clipped", marks=pytest.mark.slow), "flow"])
def test_a_refused_step_leaves_everything_as_it_was_the_memory_too(optimizer):
    """Two seeds, of which one is often refused while the other goes on."""
    batch = {"batch_size": 5} if optimizer.startswith("sgd") else {}
    what = make_program(SMALL, optimizer=optimizer, measures=measures(), **batch)
    data = {"gd": OPPOSED, "flow": lin_sep()}.get(optimizer, MIXED)
    configuration = make_settings(target=-1e9, ratio=1e9, every=10**9, **WILD)
    functions, state = started(what, data, configuration, seeds=(0, 1))
    now, seen = jax.device_get(state.optimizer), {True: 0, False: 0}
    moved = dict.fromkeys(("memory", "parameters", "log_loss", "log_time"), 0)
    assert jax.tree.leaves(now.memory), "there is something to remember"
    for _ in range(30):
        state = functions.chunk(state, data, configuration, 1).state
        before, now = now, jax.device_get(state.optimizer)
        np.testing.assert_array_equal(now.attempts, before.attempts + 1)
        for place in range(2):
            accepted = bool(now.step[place] > before.step[place])
            seen[accepted] += 1
            for name in moved:
                leaves = zip(*(jax.tree.leaves(getattr(one, name)) for one in (now, before)), strict=True)
                same = all(np.array_equal(mine[place], its[place]) for mine, its in leaves)
                assert same or accepted, f"{name} after a refused step"
                moved[name] += not same
            if not accepted:
                assert now.step_size[place] < before.step_size[place]
    assert seen[True] > 5 and seen[False] > 5, seen
    assert min(moved.values()) > 5 and moved["parameters"] == seen[True], moved


@dataclass(frozen=True)
class Told(Rule):
    """Moves the one parameter, 1 at first, by what the hyperparameters say."""

    def init(self, problem, parameters, hyperparameters):
        return jnp.zeros(()), {"count": jnp.zeros((), int)}

    def propose(self, problem, now, hyperparameters):
        state = now._replace(
            parameters=jax.tree.map(lambda p: p + hyperparameters["move"], now.parameters),
            memory={"count": now.memory["count"] + 1},
            log_loss=now.log_loss - 1,
        )
        return Proposal(
            state=state,
            accept=hyperparameters["accept"],
            step_size_if_accepted=now.step_size * 3,
            step_size_if_refused=now.step_size / 2,
        )


def told(state, move, accept=True):
    hyperparameters = {"step_size": jnp.asarray(0.5), "move": jnp.asarray(move), "accept": jnp.asarray(accept)}
    state = start(Told(), NOTHING, ({"w": jnp.ones(3)},), hyperparameters) if state is None else state
    return attempt(Told(), NOTHING, state, hyperparameters)


def test_an_accepted_and_a_refused_proposal():
    state = told(None, 0.25)
    assert (int(state.step), int(state.attempts), float(state.step_size)) == (1, 1, 1.5)
    assert float(state.log_loss) == -1 and float(state.parameters[0]["w"][0]) == 1.25
    state = told(state, np.nan, accept=False)
    assert (int(state.step), int(state.attempts), float(state.step_size)) == (1, 2, 0.75)
    assert float(state.log_loss) == -1 and float(state.parameters[0]["w"][0]) == 1.25
    assert int(state.memory["count"]) == 1, "a refused proposal is forgotten"


def test_fruitless_attempts_are_counted_until_a_step_of_note():
    eps, state = 2.0**-52, None
    for refusals in range(1, 4):
        state = told(state, 1e-3, accept=False)
        assert int(state.fruitless) == refusals
    tiny = told(state, 50 * eps)
    assert int(tiny.fruitless) == 3, "an accepted step of less than a hundred roundings is none of note"
    assert int(told(state, 200 * eps).fruitless) == 0
    assert int(told(state, np.nan).fruitless) == 0, "what is not finite has an outcome of its own"


def test_a_seed_stalls_where_no_step_gets_anywhere():
    state = told(None, 1e-3)
    assert not stalled(state)
    assert stalled(told(state, 0.0)) and stalled(told(state, 0.0, accept=False))
    assert not stalled(told(state, 1e-3, accept=False))
    nearly = state._replace(fruitless=jnp.asarray(998))
    assert not stalled(told(nearly, 1e-3, accept=False)) and stalled(told(told(nearly, 1.0, False), 1.0, False))
    assert stalled(state._replace(step_size=jnp.asarray(1e-291)))


def test_moved_keeps_the_parameters_precision():
    parameters = ({"w": jnp.ones(2, jnp.float32)},)
    got = moved(parameters, ({"w": jnp.full(2, 2.0, jnp.float32)},), jnp.asarray(0.25))
    assert got[0]["w"].dtype == jnp.float32 and got[0]["w"].tolist() == [0.5, 0.5]


def test_a_rule_that_says_nothing_of_itself_names_what_it_lacks():
    for call in (lambda: Rule().hyperparameters(), lambda: Rule().init(NOTHING, (), {})):
        with pytest.raises(TypeError, match="Rule has no"):
            call()


@pytest.mark.slow
def test_the_stream_of_whoever_imports_the_rules_stays_open():
    """absl, which optax brings, closes what was the standard error at its import when logging is set up again."""
    script = (
        "import io, logging, sys; sys.stderr = stream = io.StringIO(); import wnexp.optim;"
        "sys.stderr = sys.__stderr__; logging.shutdown(); sys.exit(stream.closed)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
