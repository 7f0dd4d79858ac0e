"""From a model's numbers to a network for the data, and parts that do not fit."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import compose, mlp, prepared
from wnexp.errors import UserError
from wnexp.nn.architectures import MODELS, Cnn, Diagonal, Mlp
from wnexp.nn.network import convolutional, diagonal


def test_a_dense_network():
    got = Mlp(widths=[4, 3], activation="relu", bias="first").network(2, 5, None)
    assert got == mlp(2, (4, 3), 5, "relu", first_bias=True)
    assert Mlp(widths=[4], depth=3).network(2, 1, None) == mlp(2, (4, 4), 1, "relu_squared")
    assert Mlp(widths=[4], depth=1).network(2, 1, None) == mlp(2, (), 1, "relu_squared")
    fixed = Mlp(widths=[2], fixed_output=[1.0, -1.0]).network(7, 1, None)
    assert fixed == mlp(7, (2,), 1, "relu_squared", fixed_output=(1.0, -1.0))


def test_a_convolutional_network():
    got = Cnn(channels=[3, "M"], widths=[5], activation="relu").network(24, 3, (3, 4, 2))
    assert got == convolutional((3, 4, 2), (3, "M"), (5,), 3, mlp(1, (), 1, "relu").activation)
    assert MODELS["cnn"].init == "normal" and MODELS["cnn"].network(64, 10, (8, 8, 1)).degree == 3


def test_a_diagonal_network():
    assert Diagonal().network(3, 1, None) == diagonal(3)
    assert Diagonal(group=3).network(6, 1, None) == diagonal(6, 3)
    with pytest.raises(UserError, match=r"model\.group=4 does not divide the 6 inputs"):
        Diagonal(group=4).network(6, 1, None)


def test_starts_of_a_diagonal_network_are_counted_cyclically():
    starts = [[1, 2], [3, 4], [5, 6]]
    weights = Diagonal(starts=starts).start(diagonal(2), range(2, 6), "float64")
    np.testing.assert_array_equal([layers[0]["weight"][0] for layers in weights], [[5, 6], [1, 2], [3, 4], [5, 6]])
    drawn = Diagonal().start(diagonal(2), range(2), "float64")
    assert (drawn[0][0]["weight"] != drawn[1][0]["weight"]).all()


@pytest.mark.parametrize("starts", [[1, 2], [[1, 2, 3]], [["a", "b"]], [[1, float("nan")]], [[1, 2], [3]]])
def test_starts_that_are_no_points_are_refused(starts):
    with pytest.raises(UserError, match="must be a list of lists of 2 numbers"):
        Diagonal(starts=starts).start(diagonal(2), [0], "float64")


DATA = (2, 1, None)


@pytest.mark.parametrize(
    ("model", "data", "part"),
    [
        (Cnn(), DATA, "model=cnn needs images; these data have rows of 2 numbers"),
        (Cnn(channels=[4, "M"] * 4), (64, 10, (8, 8, 1)), "nothing of the 8 x 8 image is left after 4 poolings"),
        (Mlp(widths=[2, 3], depth=3), DATA, "model.depth=3 needs one width to repeat, not model.widths=[2, 3]"),
        (Mlp(activation="tanh"), DATA, "model.activation=tanh is unknown; allowed: linear, relu, relu_squared"),
        (Mlp(widths=[3], fixed_output=[1.0, 1.0]), DATA, "model.fixed_output has 2 weights"),
        (Mlp(widths=[], fixed_output=[1.0, 1.0]), DATA, "a hidden layer"),
        (Mlp(widths=[2], fixed_output=[1.0, 1.0]), (2, 3, None), "it needs two classes"),
        (Diagonal(), (2, 3, None), "model=diagonal has one output, the data have 3 classes"),
    ],
)
def test_models_that_do_not_fit_the_data(model, data, part):
    with pytest.raises(UserError) as error:
        model.network(*data)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("model=cnn", "data=digits", "model.channels=[M,4]"), "model.channels=['M', 4] is out of range"),
        (("model=cnn", "data=digits", "model.channels=[4,0]"), "out of range"),
        (("model=cnn", "data=digits", "model.channels=[x]"), "out of range"),
        (("model=cnn", "data=digits", "model.channels=[4,M,M]"), "out of range"),
        (("model.depth=0",), "model.depth=0 is out of range"),
    ],
)
def test_numbers_out_of_range(words, part):
    with pytest.raises(UserError) as error:
        compose(*words)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("model=cnn",), "model=cnn needs images"),
        (("model=vgg", "data=digits"), "nothing of the 8 x 8 image is left"),
        (("model.depth=3", "model.widths=[2,3]"), "needs one width to repeat"),
        (("model=cnn", "data=digits", "model.init=same_function"), "is for dense networks"),
    ],
)
def test_a_run_of_parts_that_do_not_fit(words, part):
    with pytest.raises(UserError) as error:
        prepared(*words)
    assert part in str(error.value)


def test_unknown_initializers_are_refused():
    with pytest.raises(
        UserError, match=r"model.init=zeros is unknown; allowed: uniform, positive, normal, same_function"
    ):
        replace(Mlp(), init="zeros").start(mlp(2, (), 1, "relu"), [0], "float64")
