"""Properties of whatever can be drawn: records of small runs over all groups, normalizations, losses, names."""

import dataclasses
import os
import tempfile
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.helpers import compose
from tests.invariants import check_run
from wnexp import runner
from wnexp.config.naming import run_directory
from wnexp.nn.losses import LOSSES, MarginLoss
from wnexp.nn.weightnorm import NORMS

EXAMPLES = int(os.environ.get("WNEXP_EXAMPLES", "12"))
PARTS = (
    st.sampled_from(["gd", "gd_constant", "sgd", "sgd_clipped", "flow"]),
    st.sampled_from(["lin_sep", "xor", "simple_traj", "conv_rate", "gaussian", "file"]),
    st.sampled_from(["none", "swn", "ewn"]),
    st.sampled_from(["cross_entropy", "exponential"]),
)


@st.composite
def overrides(draw):
    """The words of a run of a few steps, without the path of data=file."""
    optimizer, data, norm, loss = (draw(part) for part in PARTS)
    words = [f"optimizer={optimizer}", f"data={data}", f"norm={norm}", f"loss={loss}"]

    def maybe(key, *values):
        words.append(f"{key}={draw(st.sampled_from(values))}")

    maybe("seed", 0, 1, 4_294_967_000)
    maybe("seeds", 1, 2, 3)
    maybe("stop.max_steps", 10, 30)
    maybe("stop.log_loss", -20, -300)
    maybe("loss.reduction", "sum", "mean")
    maybe("record.every", "null", 1, 7)
    maybe("norm.layers", "all", "hidden")
    maybe("norm.v_norm", 1.0, 0.1, 20.0)
    maybe("precision", *(["float64"] if optimizer == "flow" else ["float64", "float32"]))
    maybe("optimizer.step_size", 1e-3, 0.1, 10.0)
    if optimizer in ("gd", "sgd", "sgd_clipped"):
        maybe("optimizer.frac", 0, 1, 30)
        maybe("optimizer.step_size_cap", "null", 0.1)
    if optimizer in ("sgd", "sgd_clipped"):
        maybe("optimizer.batch_size", 1, 3)
    if optimizer == "flow":
        maybe("optimizer.solver", "rosenbrock", "tsit5")
        maybe("optimizer.variables", "weights", "parameters")
    if data == "gaussian":
        words.append("data.inputs=3")
    return words + draw(models(classes=3 if data == "file" else 2))


@st.composite
def models(draw, classes):
    """A diagonal network or a small dense one; a fixed output layer where there is one output and a hidden layer."""
    if classes == 2 and draw(st.integers(0, 5)) == 0:
        return ["model=diagonal"]
    widths = draw(st.sampled_from([[], [1], [4], [2], [3, 2], [1, 4]]))
    activation = draw(st.sampled_from(["linear", "relu", "relu_squared"]))
    words = [f"model.widths={widths}".replace(" ", ""), f"model.activation={activation}"]
    words.append(f"model.bias={draw(st.sampled_from(['none', 'first']))}")
    words.append(f"model.init={draw(st.sampled_from(['uniform', 'normal']))}")
    if classes == 2 and widths and draw(st.booleans()):
        signs = [draw(st.sampled_from([1, -1])) for _ in range(widths[-1])]
        words.append(f"model.fixed_output={signs}".replace(" ", ""))
    return words


# Every draw compiles a program, and they are new ones every time; one that fails is printed and kept for the next run.
# To look further: WNEXP_EXAMPLES=300 pytest -n 0 -m slow tests/test_properties.py
@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(overrides())
def test_records_of_any_small_run_keep_their_invariants(words):
    checked(words)


def checked(words):
    """Train a run and check its records."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "data=file" in words:
            random = np.random.default_rng(2)
            np.savez(folder / "d.npz", train_x=random.normal(size=(5, 2)), train_y=[0, 1, 2, 1, 0])
            words = [*words, f"data.path={folder}/d.npz"]
        runner.run_in(folder / "run", compose(*words))
        check_run(folder / "run")


# The same examples every time, and no database: what fails here fails everywhere.
quick = settings(max_examples=50, deadline=None, derandomize=True)
more = settings(quick, max_examples=200)


@quick
@given(st.lists(st.sampled_from(["norm=ewn", "seed=3", "stop.max_steps=10", "optimizer.frac=0"]), unique=True))
def test_the_order_of_words_names_no_other_directory(words):
    names = {run_directory({"data": "lin_sep", "norm": "ewn"}, order) for order in (words, words[::-1], sorted(words))}
    assert len(names) == 1


def table(rows, columns, elements):
    """Arrays of one shape, so that nothing is compiled twice."""
    return arrays(float, (rows, columns), elements=elements).map(jnp.asarray)


@cache
def compiled(norm, v_norm):
    made = dataclasses.replace(NORMS[norm], v_norm=v_norm)

    def there_and_back(weight):
        parameters = made.from_weights(weight)
        pulled = jax.vjp(made.to_weights, parameters)[1](weight)[0]
        return parameters, made.to_weights(parameters), pulled

    return jax.jit(there_and_back)


SIZES = st.floats(1e-100, 1e100) | st.floats(-1e100, -1e-100)


@more
@given(
    st.sampled_from([name for name, norm in NORMS.items() if not norm.least_size(1e-16)]),
    st.sampled_from([1.0, 0.1, 20.0]),
    table(3, 2, SIZES),
)
def test_parameters_of_any_weights_are_of_the_same_function(norm, v_norm, weight):
    parameters, back, pulled = compiled(norm, v_norm)(weight)
    scale = np.max(np.abs(weight), axis=0)
    np.testing.assert_allclose(back / scale, weight / scale, rtol=1e-12, atol=1e-13)
    if norm != "none":
        np.testing.assert_allclose(np.linalg.norm(parameters["v"], axis=0), v_norm, rtol=1e-12)
        # The gradient `G = w` is radial: it moves no direction.
        lengths = np.linalg.norm(weight / scale, axis=0) * scale
        np.testing.assert_allclose(pulled["v"] / lengths / lengths * v_norm, 0, atol=1e-13)


@cache
def compiled_loss(loss, reduction):
    made = dataclasses.replace(LOSSES[loss], reduction=reduction)
    return jax.jit(lambda s: (*jax.value_and_grad(made.log_loss_of_margins)(s), made.loss_shares(s, jnp.ones(4, int))))


@more
@given(
    st.sampled_from([name for name, loss in LOSSES.items() if isinstance(loss, MarginLoss)]),
    st.sampled_from(["sum", "mean"]),
    table(4, 1, st.floats(-1e4, 1e6)),
    st.floats(1e-3, 1e3),
)
def test_the_loss_of_any_margins(loss, reduction, s, more):
    """It falls where a margin grows; shares are a unit vector, the largest where the margin is least."""
    value, gradient, shares = compiled_loss(loss, reduction)(s)
    assert np.isfinite(value) and (gradient <= 0).all() and (shares >= 0).all()
    np.testing.assert_allclose(jnp.linalg.norm(shares), 1, rtol=1e-12)
    assert shares[np.argmin(s[:, 0])] == shares.max()
    assert gradient[np.argmin(s[:, 0]), 0] < 0
    wider = compiled_loss(loss, reduction)(s + more)[0]
    assert wider < value, "a loss of wider margins"
    if loss == "exponential":
        np.testing.assert_allclose(wider, value - more, rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(gradient.sum(), -1, rtol=1e-12)


# The static part of a run: everything else below is drawn and compiles nothing.
PROGRAMS = (
    ("norm=ewn", "optimizer=gd", "seeds=2"),
    ("norm=swn", "optimizer=sgd", "optimizer.batch_size=3", "model.widths=[3]", "model.activation=relu"),
)


@st.composite
def traced(draw):
    """The words of a run of one of two programs."""

    def word(key, values):
        return f"{key}={draw(values)}"

    return [
        *draw(st.sampled_from(PROGRAMS)),
        word("seed", st.integers(0, 2**32 - 3)),
        word("optimizer.step_size", st.floats(1e-4, 1e2)),
        word("optimizer.step_size_cap", st.floats(1e-3, 1e3)),
        word("optimizer.frac", st.just(0) | st.floats(0.5, 50)),
        word("optimizer.factor", st.floats(1.01, 3)),
        word("optimizer.shrink", st.floats(1.01, 5)),
        word("stop.log_loss", st.floats(-60, -1)),
        word("stop.max_steps", st.integers(1, 60)),
        word("record.every", st.just("null") | st.integers(1, 20)),
        word("record.points", st.integers(2, 30)),
        word("snapshots", st.floats(-50, 1).map(lambda level: f"[{level}]")),
    ]


@pytest.mark.slow
@settings(quick, max_examples=24)
@given(traced())
def test_records_keep_their_invariants_whatever_numbers_are_asked_for(words):
    checked(words)
