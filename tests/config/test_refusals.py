"""Mistakes in the words of `wnexp train`: one line that says what came and what is allowed."""

import pytest

from tests.helpers import prepared
from wnexp.errors import UserError


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["norm=foo"], ["norm=foo", "none", "swn", "ewn"]),
        (["+norm=foo"], ["norm=foo", "none", "swn", "ewn"]),
        (["experiment=mnits"], ["experiment=mnits", "lin_sep", "xor"]),
        (["nrom=ewn"], ["unknown key 'nrom'", "norm"]),
        (["+nrom=ewn"], ["unknown key 'nrom'", "norm"]),
        (["+foo=1"], ["unknown key 'foo'"]),
        (["optimizer.frak=3"], ["optimizer.frak", "optimizer.frac"]),
        (["+optimizer.frak=3"], ["optimizer.frak", "optimizer.frac"]),
        (["seeds=two"], ["seeds", "two"]),
        (["seeds=0"], ["seeds=0", "an integer from 1 to 1,000,000"]),
        (["seed=-1"], ["seed=-1"]),
        (["model.widths=[-8]"], ["model.widths", "at least 1"]),
        (["model.widths=8.5"], ["model.widths"]),
        (["data.train_per_class=-1"], ["data.train_per_class=-1"]),
        (["model.activation=tanh"], ["tanh", "linear, relu, "]),
        (["model.fixed_output=[1,2]"], ["model.fixed_output", "one weight for each"]),
        (["model.init=zeros"], ["zeros", "uniform, positive, normal"]),
        (["device=tpu"], ["device=tpu", "cpu"]),
        (["data=file"], ["data.path"]),
        (["data=file", "data.path=nowhere.npz"], ["nowhere.npz", "no such file"]),
        (["model.initial_weights=nowhere.safetensors"], ["nowhere.safetensors", "no such file"]),
        (["model.initial_weights=/"], ["/: a folder, not a weights file"]),
        (["snapshots=[[1]]"], ["snapshots=[[1]] is not possible; allowed: a list of numbers"]),
        (["model.widths=[[1]]"], ["model.widths=[[1]] is not possible; allowed: a list of integers of at least 1"]),
        (["snapshots=3"], ["snapshots=3 is not possible; allowed: a list of numbers"]),
        (["snapshots=[1,a]"], ['snapshots=[1, "a"] is not possible; allowed: a list of numbers']),
        (["record.every=x"], ["record.every=x is not possible; allowed: an integer", "or null"]),
        (["stop.log_loss=null"], ["stop.log_loss=null is not possible; allowed: a number"]),
        (["overwrite=maybe"], ["overwrite=maybe is not possible; allowed: true or false"]),
        (["precision=[1]"], ["precision=[1] is not possible; allowed: float32, float64"]),
        (["model=diagonal", "data=digits"], ["diagonal", "mlp"]),
        (["model=diagonal", "model.starts=[[1,2,3]]"], ["model.starts", "lists of 2 numbers"]),
        (["norm=[ewn"], ["norm=[ewn"]),
        (["stop.log_loss"], ["'stop.log_loss' is not a setting", "KEY=VALUE"]),
        (["norm=none,ewn"], ["norm=none,ewn has several values", "-m"]),
        (["norm=power", "norm.power=0"], ["norm.power=0", "a number above 0, inf, or a list"]),
        (["norm=power", "norm.power=-2"], ["norm.power=-2", "out of range"]),
        (["norm=power", "norm.power=nan"], ["norm.power=nan", "not finite"]),
        (["norm=power", "norm.power=[2,0]"], ["norm.power=[2, 0]", "out of range"]),
        (["norm=power", "norm.power=two"], ["norm.power=two", "out of range"]),
        (["norm=swn", "norm.layers=[0,0]"], ["norm.layers=[0, 0]", "a list of indices"]),
        (["norm=swn", "norm.per=net"], ["norm.per=net", "neuron, layer"]),
        (["norm="], ["norm= is unknown", "ewn, none, power, swn"]),
        (
            ["optimizer.batch_size=4"],
            ["optimizer.batch_size is not a setting of the opti", ", but of optimizer=sgd,sgd_clipped"],
        ),
        (["model.widths=8"], ["model.widths", "list"]),
        (["model.widths=[1000000000000]"], ["model.widths", "2^31"]),
        (["stop.max_steps=99999999999999999999"], ["stop.max_steps"]),
        (["seed=4294967295", "seeds=2"], ["below 2^32"]),
        (["stop=3", "stop.max_steps=20"], ["stop=3", "stop.log_loss, stop.max_steps"]),
        (["model=[a]"], ["model=[a]", "mlp"]),
        (["model.widths=null"], ["model.widths=null is not possible; allowed: a list of integers"]),
        (["model.widths=[999999999]"], ["a run of this size", "GiB of memory"]),
        (["seeds=1000000", "model.widths=[1000]"], ["a run of this size", "GiB of memory"]),
        (["data=gaussian", "data.train_per_class=2000000000", "data.inputs=1000"], ["the data set", "GiB of memory"]),
    ],
)
def test_bad_input_is_one_clear_line(words, parts):
    with pytest.raises(UserError) as error:
        prepared(*words)
    message = str(error.value)
    assert all(part in message for part in parts), message
    assert len(message.splitlines()) <= 2


def test_a_batch_larger_than_the_data_is_a_note_and_no_mistake():
    (note,) = prepared("optimizer=sgd", "optimizer.batch_size=99", "stop.max_steps=3").notes
    assert "batch_size=99 is more than the 4 training samples" in note
    assert prepared("optimizer=sgd", "optimizer.batch_size=4").notes == []
