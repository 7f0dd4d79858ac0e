"""Every configuration file composes into the schema and builds a program; both ways of naming a group work."""

import math
from functools import cache
from itertools import pairwise
from pathlib import Path

import hydra
import numpy as np
import pytest

from wnexp import data as datasets
from wnexp import images
from wnexp.build import build_program
from wnexp.config import configs_folder, typed

FILES = sorted(configs_folder().glob("*/*.yaml"))
OPTIONS = [(path.parent.name, path.stem) for path in FILES]


def compose(*overrides):
    with hydra.initialize_config_dir(str(configs_folder()), version_base="1.3"):
        config = hydra.compose("config", overrides=list(overrides))
    return typed(config)


@cache
def dataset(config):
    """The data set of a configuration; images of the right shape for one that would be downloaded."""
    if config.name not in images.SOURCES:
        return datasets.load(config)
    shape = (32, 32, 3) if config.name == "cifar10" else (28, 28, 1)
    x, y = np.zeros((10, math.prod(shape)), np.float32), np.arange(10)
    return datasets.Dataset(x, y, x, y, shape)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_file_composes_and_builds_a_program(group, option, tmp_path):
    overrides = [f"{group}={option}"]
    if group == "model" and option in ("cnn", "vgg"):
        overrides.append("data=cifar10")
    if option == "file":
        overrides.append(f"data.path={tmp_path}/data.npz")
    config = compose(*overrides)
    if group != "experiment":
        assert getattr(config, group).name == {"vgg": "cnn"}.get(option, option)
    if option != "file":
        build_program(config, dataset(config.data), "cpu")


@pytest.mark.parametrize("norm", ["none", "swn", "ewn"])
@pytest.mark.parametrize("experiment", [option for group, option in OPTIONS if group == "experiment"])
def test_every_experiment_takes_every_norm(experiment, norm):
    config = compose(f"experiment={experiment}", f"norm={norm}")
    program = build_program(config, dataset(config.data), "cpu")
    assert config.norm.name == norm and norm in program.norms


def test_xor_has_the_papers_numbers_for_each_norm():
    numbers = {
        norm: (config.optimizer.frac, config.optimizer.step_size_cap)
        for norm in ("none", "swn", "ewn")
        if (config := compose("experiment=xor", f"norm={norm}"))
    }
    assert numbers == {"none": (15, 0.1), "swn": (15, 1.0), "ewn": (5, 0.1)}


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_conv_rate_is_one_function_of_the_depth(depth):
    config = compose("experiment=conv_rate", f"model.depth={depth}", "norm=ewn")
    program = build_program(config, dataset(config.data), "cpu")
    assert [layer.shape for layer in program.network.layers] == [
        (fan_in, fan_out) for fan_in, fan_out in pairwise([2, *[100] * (depth - 1), 1])
    ]
    assert program.v_norms == (1.0,) * (depth - 1) + (None,) and program.optimizer == "gd_constant"


def test_the_image_experiments_have_the_papers_networks():
    config = compose("experiment=mnist", "norm=swn")
    program = build_program(config, dataset(config.data), "cpu")
    assert [(layer.shape, layer.bias) for layer in program.network.layers] == [((784, 1024), True), ((1024, 10), False)]
    assert program.norms == ("swn", "none") and program.batch_size == 128 and program.dtype == "float32"
    assert config.snapshots == [-10, -100, -300] and config.optimizer.frac == 0
    config = compose("experiment=cifar10", "norm=ewn")
    program = build_program(config, dataset(config.data), "cpu")
    layers = program.network.layers
    assert [layer.shape[-1] for layer in layers] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6 + [10]
    assert [index for index, layer in enumerate(layers) if layer.pool] == [1, 3, 6, 9, 12]
    assert program.norms == ("ewn",) * 13 + ("none",) and [layer.bias for layer in layers] == [True] + [False] * 13


def test_lin_sep_has_the_papers_levels():
    assert compose("experiment=lin_sep").snapshots == [-200, -250, -300]


def test_the_command_line_has_the_last_word():
    assert compose("experiment=xor", "stop.log_loss=-7").stop.log_loss == -7
    assert compose("experiment=digits", "norm.layers=all").norm.layers == "all"


def test_defaults_are_the_papers_lin_sep():
    config = compose()
    assert (config.data.name, config.model.widths, config.model.activation) == ("lin_sep", [8], "relu_squared")
    assert (config.norm.name, config.loss.name, config.loss.reduction) == ("none", "cross_entropy", "sum")
    assert (config.optimizer.frac, config.optimizer.step_size, config.optimizer.step_size_cap) == (30, 0.01, 0.01)
    assert (config.stop.log_loss, config.stop.max_steps) == (-300, 40000)


def test_a_users_own_folder_of_options(tmp_path, inside):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "wide.yaml").write_text("name: mlp\nwidths: [31]\nactivation: relu\n")
    code, out, _ = inside("train", "--config-dir", "mine", "model=wide", "--cfg", "job")
    assert code == 0 and "- 31" in out


def test_conf_has_no_stray_files():
    assert all(Path(path).suffix == ".yaml" for path in configs_folder().rglob("*") if path.is_file())
