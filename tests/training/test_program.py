"""Configuration to program: what the parts give together, initial weights, parts that do not fit."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.helpers import compose, prepared
from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.nn.weightnorm import NORMS
from wnexp.settings import settings
from wnexp.training.options import OPTIONS
from wnexp.training.program import build_network, build_program, build_traced


def test_the_loss_head_is_float64_except_on_a_tpu():
    config = compose("experiment=digits")
    dataset = config.data.load()
    assert build_program(config, dataset, "cpu").head_dtype == "float64"
    program = build_program(config, dataset, "tpu")
    assert (program.dtype, program.head_dtype) == ("float32", "float32")


def test_hidden_layers_only():
    assert prepared("experiment=digits", "norm=ewn").program.norms == (NORMS["ewn"], NORMS["none"])
    assert prepared("norm=ewn").program.norms == (NORMS["ewn"],) * 2


def test_a_flow_on_the_weights_has_the_norm_as_its_metric():
    program = prepared("norm=ewn", "optimizer=flow").program
    assert (program.norms, program.metrics) == ((NORMS["none"],) * 2, (NORMS["ewn"],) * 2)
    program = prepared("norm=ewn", "optimizer=flow", "optimizer.variables=parameters").program
    assert (program.norms, program.metrics) == ((NORMS["ewn"],) * 2, (NORMS["none"],) * 2)


def test_starts_of_a_diagonal_network():
    run = prepared("experiment=simple_traj")
    run.start()
    np.testing.assert_allclose(run.weights()[0]["weight"][:, 0], [[1, 1], [3, 1], [1, 3], [5, 1], [1, 5]])


def test_measures_that_do_not_apply_are_not_in_the_program():
    names = {type(measure).__name__ for measure in prepared("record.max_samples=3").program.measures}
    assert "Samples" not in names and {"Progress", "Neurons"} <= names
    program = prepared("record.max_direction=1").program
    assert "Samples" in {type(measure).__name__ for measure in program.measures}
    (neurons,) = (measure for measure in program.measures if type(measure).__name__ == "Neurons")
    assert neurons.max_direction == 1


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"layers.0.weight": np.ones((2, 4)), "layers.1.weight": np.ones((4, 1))}, "(2, 4)"),
        ({"layers.0.weight": np.ones((2, 8))}, "the network needs exactly layers.0.weight, layers.1.weight"),
        ({"layers.0.weight": np.full((2, 8), np.nan), "layers.1.weight": np.ones((8, 1))}, "NaN"),
        ({"layers.0.weight": np.zeros((2, 8)), "layers.1.weight": np.ones((8, 1))}, "neuron 0 has zero weights"),
        (
            {
                "layers.0.weight": np.where(np.arange(8) == 3, 1e-170, np.ones((2, 8))),
                "layers.1.weight": np.ones((8, 1)),
            },
            "neuron 3 has weights of at most 1e-170, whose squares are 0 in float64: no direction to normalize",
        ),
    ],
)
def test_initial_weights_that_do_not_fit(tmp_path, arrays, part):
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(UserError) as error:
        prepared("norm=ewn", f"model.initial_weights={tmp_path}/w.safetensors")
    assert part in str(error.value)


DATA = {"cnn": "digits", "diagonal": "simple_traj"}  # of the models that do not take the default
INITIAL = ("init", "init_scale", "initial_weights", "starts")  # settings of a model that say where its weights start


def another(found):
    """Another value of a setting, an allowed one."""
    if found.metadata["choices"] or found.name == "activation":
        words = found.metadata["choices"] or ("linear", "relu")
        return next(word for word in words if word != found.value)
    special = {
        "channels": [3],
        "weight_decay": 0.5,
        "fixed_output": [1.0] * 8,
        "widths": [5, 5],
        "depth": 4,
        "layers": "hidden",
        "b1": 0.5,
        "b2": 0.5,
    }
    kind = int if found.whole else float
    value = special.get(found.name, found.value * 2 if found.value else kind(3))
    found.check(found.name, value)
    assert value != found.value
    return value


@pytest.mark.parametrize("group", ["model", "norm", "loss", "optimizer"])
def test_static_settings_select_a_program_and_traced_ones_do_not(group):
    """Of every option of the group."""
    seen = {True: 0, False: 0}
    for name in OPTIONS.groups[group]:
        words = [f"{group}={name}"] + ([f"data={DATA[name]}"] if name in DATA else [])
        words += ["model.widths=[8]"] if name == "cnn" else []
        config = compose(*words)
        dataset = config.data.load()
        program = build_program(config, dataset, "cpu")
        for found in settings(getattr(config, group)).values():
            if (group == "model" and found.name in INITIAL) or (name, found.name) == ("none", "layers"):
                continue  # they change no program: where weights start, which layers are not normalized of none
            changed = replace(config, **{group: replace(getattr(config, group), **{found.name: another(found)})})
            other, traced = build_program(changed, dataset, "cpu"), found.metadata["traced"]
            assert (other == program and hash(other) == hash(program)) == traced, f"{group}={name}, {found.name}"
            numbers = [build_traced(one, "float64").hyperparameters for one in (config, changed)]
            assert (numbers[0] != numbers[1]) == traced, f"{group}={name}, {found.name}"
            seen[traced] += 1
    assert seen[False] and bool(seen[True]) == (group == "optimizer")


@pytest.mark.parametrize("name", ["max_samples", "max_direction", "max_gradient"])
def test_settings_of_measures_select_a_program(name):
    config = compose()
    dataset = config.data.load()
    other = compose(f"record.{name}=1000")
    assert build_program(config, dataset, "cpu") != build_program(other, dataset, "cpu")


@pytest.mark.parametrize("words", [("stop.log_loss=-10",), ("stop.max_steps=7",), ("record.every=3",), ("seed=5",)])
def test_targets_grids_and_seeds_select_no_program(words):
    config, other = compose(), compose(*words)
    dataset = config.data.load()
    assert build_program(config, dataset, "cpu") == build_program(other, dataset, "cpu")


def test_programs_of_equal_configurations_are_one():
    one, other = prepared("stop.log_loss=-10"), prepared("stop.log_loss=-20", "optimizer.step_size=0.5")
    assert one._train is other._train and one.program == other.program
    assert one._train is not prepared("norm=swn")._train
    assert one._train is not prepared("precision=float32")._train


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("norm.output_v=odd", "norm=ewn"), "allowed: scaled, raw"),
        (("data=digits", "data.labels=odd"), "allowed: classes, parity"),
        (("optimizer=flow", "precision=float32"), "optimizer=flow needs precision=float64"),
        (("optimizer=sgd", "optimizer.batch_size=null"), "optimizer.batch_size=null: mini-batches need an integer"),
    ],
)
def test_parts_that_do_not_fit(words, part):
    with pytest.raises(UserError) as error:
        prepared(*words)
    assert part in str(error.value)


def test_nearly_dead_neurons_are_named_in_the_precision_of_the_run(tmp_path):
    """1e-22 has a square in float64, none in float32; without a normalization nothing divides by it."""
    weights = {
        "layers.0.weight": np.where(np.arange(8) == 5, 1e-22, np.ones((2, 8))),
        "layers.1.weight": np.ones((8, 1)),
    }
    save_file(weights, tmp_path / "w.safetensors")
    words = (f"model.initial_weights={tmp_path}/w.safetensors", "precision=float32")
    for norm in ("swn", "ewn"):
        with pytest.raises(UserError, match=r"layers\.0 neuron 5 has weights of at most 1e-22"):
            prepared(f"norm={norm}", *words)
    prepared("norm=none", *words)
    prepared("norm=ewn", words[0])


@pytest.mark.parametrize("words", [(), ("norm=ewn", "model.bias=first"), ("model.fixed_output=[1,1,1,1,-1,-1,-1,-1]",)])
def test_the_scale_of_the_start_multiplies_the_trained_weights_alone(words):
    """Every layer's, in every seed; what is fixed and the biases stay, and 1 changes nothing."""
    plain, scaled = prepared("seeds=2", *words), prepared("seeds=2", "model.init_scale=3", *words)
    assert plain.program == scaled.program, "no new compilation"
    for run in (plain, scaled):
        run.start()
    for layer, (before, after) in enumerate(zip(plain.weights(), scaled.weights(), strict=True)):
        trained = plain.program.network.trained[layer]
        np.testing.assert_allclose(after["weight"], before["weight"] * (3 if trained else 1), rtol=1e-14)
        if "bias" in before:
            np.testing.assert_array_equal(after["bias"], before["bias"])
    one = prepared("seeds=2", "model.init_scale=1", *words)
    one.start()
    for before, after in zip(plain.weights(), one.weights(), strict=True):
        np.testing.assert_array_equal(before["weight"], after["weight"])


def test_a_file_of_initial_weights_is_scaled_too(tmp_path):
    weights = {"layers.0.weight": np.ones((2, 8)), "layers.1.weight": np.ones((8, 1))}
    save_file(weights, tmp_path / "w.safetensors")
    run = prepared(f"model.initial_weights={tmp_path}/w.safetensors", "model.init_scale=0.5")
    run.start()
    np.testing.assert_array_equal(run.weights()[0]["weight"][0], 0.5)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (
            ["model.init_scale=1e308", "model.init=normal"],
            "model.init_scale=1e+308: the initial weights overflow float64",
        ),
        (["model.init_scale=1e-30", "norm=power"], "has a neuron of norm 2e-31, whose scale is lost below 4.9e-26"),
        (["model.init_scale=1e-170", "norm=swn"], "whose squares are 0 in float64: no direction to normalize"),
        (["model.init_scale=1e-170", "norm=swn", "optimizer=flow"], "no direction to normalize"),
    ],
)
def test_scales_of_the_start_beyond_all_numbers_are_named(words, part):
    with pytest.raises(UserError) as error:
        prepared(*words)
    assert part in str(error.value)


@pytest.mark.parametrize(("depth", "fits"), [(20, True), (40, False), (70, False), (1000, False)])
def test_degrees_beyond_what_programs_count_are_refused(depth, fits):
    """Squared ReLU doubles the degree with every layer: at 70 layers it is no 64 bit integer."""
    config = compose(f"model.depth={depth}", "model.widths=[2]", "model.activation=relu_squared")
    dataset = config.data.load()
    if fits:
        assert sum(build_network(config, dataset).degrees) == 2**depth - 1
    else:
        with pytest.raises(UserError, match=f"of {depth} layers has the homogeneity degree .* at most 2\\^31"):
            build_network(config, dataset)
    compose(f"model.depth={depth}", "model.widths=[2]", "model.activation=relu")


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_a_card_takes_a_mini_batch_of_large_images_whole(platform):
    """In blocks of 23 images, as for a CPU's memory, an epoch of three VGGs would be half a million launches."""
    config = compose("experiment=cifar10", "seeds=3", "optimizer=sgd")
    x, y = np.zeros((10, 3072), np.float32), np.arange(10)
    dataset = Dataset(x, y, x, y, image=(32, 32, 3))
    assert build_program(config, dataset, platform).block >= config.optimizer.batch_size


def test_a_cpu_takes_as_many_samples_as_its_cache_holds_or_as_keep_it_busy():
    """Large images in blocks of two, as of a cache's size, would wait for the weights; huge ones must fit in memory."""

    def block(*words, image=(32, 32, 3)):
        x, y = np.zeros((10, np.prod(image).item()), np.float32), np.arange(10)
        config = compose(*words, "optimizer=sgd")
        return build_program(config, Dataset(x, y, x, y, image=image), "cpu").block

    assert block("experiment=cifar10") == 128
    assert 1 < block("experiment=cifar10", image=(96, 96, 3)) < 20
    assert block("experiment=mnist", image=(28, 28, 1)) == 2**22 // (1024 + 10)
