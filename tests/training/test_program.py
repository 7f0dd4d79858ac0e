"""Configuration to program: what the parts give together, initial weights, parts that do not fit."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.test_conf import compose
from tests.test_session import prepared
from wnexp import build
from wnexp import data as datasets
from wnexp.config import UserError


def test_the_loss_head_is_float64_except_on_a_tpu():
    config = compose("experiment=digits")
    dataset = datasets.load(config.data)
    assert build.build_program(config, dataset, "cpu").head_dtype == "float64"
    program = build.build_program(config, dataset, "tpu")
    assert (program.dtype, program.head_dtype) == ("float32", "float32")


def test_hidden_layers_only():
    assert prepared("experiment=digits", "norm=ewn")._program.norms == ("ewn", "none")
    assert prepared("norm=ewn")._program.norms == ("ewn", "ewn")


def test_starts_of_a_diagonal_network():
    run = prepared("experiment=simple_traj")
    run.start()
    np.testing.assert_allclose(run.weights()[0]["weight"][:, 0], [[1, 1], [3, 1], [1, 3], [5, 1], [1, 5]])


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"layers.0.weight": np.ones((2, 4)), "layers.1.weight": np.ones((4, 1))}, "(2, 4)"),
        ({"layers.0.weight": np.ones((2, 8))}, "layers.1.weight has shape None"),
        ({"layers.0.weight": np.full((2, 8), np.nan), "layers.1.weight": np.ones((8, 1))}, "NaN"),
        ({"layers.0.weight": np.zeros((2, 8)), "layers.1.weight": np.ones((8, 1))}, "zero weights"),
    ],
)
def test_initial_weights_that_do_not_fit(tmp_path, arrays, part):
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(UserError) as error:
        prepared("norm=ewn", f"model.initial_weights={tmp_path}/w.safetensors")
    assert part in str(error.value)


def test_programs_of_equal_configurations_are_one():
    one, other = prepared("stop.log_loss=-10"), prepared("stop.log_loss=-20", "optimizer.step_size=0.5")
    assert one._train is other._train
    assert one._train is not prepared("norm=swn")._train
    assert dataclasses.replace(one._program) == one._program


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("model=cnn",), "model=cnn needs images"),
        (("model=vgg", "data=digits"), "nothing of the 8 x 8 image is left"),
        (("model=cnn", "data=digits", "model.channels=[M,4]"), "model.channels=['M', 4] is out of range"),
        (("model=cnn", "data=digits", "model.channels=[4,0]"), "out of range"),
        (("model=cnn", "data=digits", "model.channels=[x]"), "out of range"),
        (("model.depth=3", "model.widths=[2,3]"), "needs one width to repeat"),
        (("model.depth=0",), "model.depth=0 is out of range"),
        (("model=cnn", "data=digits", "model.init=same_function"), "is for dense networks"),
        (("norm.output_v=odd", "norm=ewn"), "allowed: scaled, raw"),
        (("data=digits", "data.labels=odd"), "allowed: classes, parity"),
    ],
)
def test_parts_that_do_not_fit(words, part):
    with pytest.raises(UserError) as error:
        prepared(*words)
    assert part in str(error.value)
