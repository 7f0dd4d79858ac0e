"""Small runs drawn at random over all groups: what must hold for the records of every one of them."""

import os
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.invariants import check_run
from tests.test_conf import compose
from wnexp import runner

# Every draw compiles a program. To look further: WNEXP_EXAMPLES=300 pytest -n 0 tests/test_properties.py
EXAMPLES = int(os.environ.get("WNEXP_EXAMPLES", "8"))
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


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # a failing draw is as it is: every smaller one would compile again
)
@given(overrides())
def test_records_of_any_small_run_keep_their_invariants(words):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "data=file" in words:
            random = np.random.default_rng(2)
            np.savez(folder / "d.npz", train_x=random.normal(size=(5, 2)), train_y=[0, 1, 2, 1, 0])
            words = [*words, f"data.path={folder}/d.npz"]
        runner.run(compose(*words), folder / "run")
        check_run(folder / "run")
