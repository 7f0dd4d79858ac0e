"""Configuration to program: devices, precision, initial weights, checkpoints of another program."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.test_conf import compose
from wnexp import data as datasets
from wnexp import session
from wnexp.config import UserError


def prepared(*overrides):
    config = compose(*overrides)
    return session.prepare(config, datasets.load(config.data))


def test_float64_on_a_device_without_it_is_a_clear_error():
    with pytest.raises(UserError, match="float32"):
        session.check_precision("float64", "tpu")
    session.check_precision("float32", "tpu")
    session.check_precision("float64", "gpu")


def test_the_loss_head_is_float64_except_on_a_tpu():
    config = compose("experiment=digits")
    dataset = datasets.load(config.data)
    assert session.build_program(config, dataset, "cpu").head_dtype == "float64"
    program = session.build_program(config, dataset, "tpu")
    assert (program.dtype, program.head_dtype) == ("float32", "float32")


def test_hidden_layers_only():
    assert prepared("experiment=digits", "norm=ewn")._program.norms == ("ewn", "none")
    assert prepared("norm=ewn")._program.norms == ("ewn", "ewn")


def test_seeds_are_consecutive_and_each_has_its_own_weights():
    run = prepared("seed=7", "seeds=3")
    run.start()
    assert run.seeds.tolist() == [7, 8, 9]
    first = run.weights()[0]["weight"]
    assert first.shape == (3, 2, 8) and (first[0] != first[1]).all()
    alone = prepared("seed=8")
    alone.start()
    np.testing.assert_array_equal(alone.weights()[0]["weight"][0], first[1])


@pytest.mark.parametrize("norm", ["swn", "ewn"])
def test_the_three_norms_start_at_the_same_loss(norm):
    plain, normalized = prepared("norm=none", "seeds=4"), prepared(f"norm={norm}", "seeds=4")
    plain.start()
    normalized.start()
    np.testing.assert_allclose(normalized.log_losses(), plain.log_losses(), rtol=1e-13)


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


def test_a_checkpoint_of_another_program_is_refused():
    run = prepared("seeds=2")
    run.start()
    other = prepared("seeds=3")
    with pytest.raises(UserError, match="another program"):
        other.restore(run.leaves())
    again = prepared("seeds=2")
    again.restore(run.leaves())
    np.testing.assert_array_equal(again.log_losses(), run.log_losses())


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
