"""Every configuration file composes into the schema and builds a program; both ways of naming a group work."""

import copy
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hydra.core.config_store import ConfigStore

from tests.helpers import compose
from wnexp.config import compose as composing
from wnexp.config.compose import from_flat, upgraded
from wnexp.config.schema import configs_folder, flat
from wnexp.data.dataset import Dataset
from wnexp.data.images import Images
from wnexp.errors import UserError
from wnexp.nn.weightnorm import NORMS, Norm
from wnexp.optim import OPTIMIZERS
from wnexp.settings import setting, settings
from wnexp.training.options import OPTIONS
from wnexp.training.program import build_program

FILES = sorted(configs_folder().glob("*/*.yaml"))
ALL_OPTIONS = [(path.parent.name, path.stem) for path in FILES]
ROWS = [(group, name) for group, table in OPTIONS.groups.items() for name in table]


@cache
def generated(source):
    return source.load()


def dataset(source):
    """The data set of a configuration; images of the right shape for one that would be downloaded."""
    if not isinstance(source, Images):
        return generated(source)
    shape = (32, 32, 3) if source.published_as == "cifar10" else (28, 28, 1)
    x, y = np.zeros((10, math.prod(shape)), np.float32), np.arange(10)
    return Dataset(train_x=x, train_y=y, test_x=x, test_y=y, image=shape)


def kinds(objects):
    """The names of norms in their table."""
    names = {type(row): name for name, row in NORMS.items()}
    return tuple(names[type(one)] for one in objects)


@pytest.mark.parametrize(("group", "option"), ALL_OPTIONS)
def test_every_file_composes_and_builds_a_program(group, option, tmp_path):
    overrides = [f"{group}={option}"]
    if group == "model" and option in ("cnn", "vgg"):
        overrides.append("data=cifar10")
    if (group, option) in (("data", "sparse_regression"), ("data", "diabetes")):
        overrides.append("loss=squared")
    if option == "file":
        overrides.append(f"data.path={tmp_path}/data.npz")
    config = compose(*overrides)
    if group != "experiment":
        name = {"vgg": "cnn"}.get(option, option)
        assert config.names[group] == name
        assert type(getattr(config, group)) is type(OPTIONS.groups[group][name])
    if option not in ("file", "openml"):
        build_program(config, dataset(config.data), "cpu")


@pytest.mark.parametrize("norm", ["none", "swn", "ewn"])
@pytest.mark.parametrize("experiment", [option for group, option in ALL_OPTIONS if group == "experiment"])
def test_every_experiment_takes_every_norm(experiment, norm):
    config = compose(f"experiment={experiment}", f"norm={norm}")
    program = build_program(config, dataset(config.data), "cpu")
    assert config.names["norm"] == norm and norm in kinds(program.own_norms)


@pytest.mark.parametrize(("group", "name"), ROWS)
def test_the_defaults_that_hydra_composes_are_those_of_the_prototype(group, name):
    prototype = OPTIONS.groups[group][name]
    composed = composing.compose([f"{group}={name}"], OPTIONS).content
    assert composed[group] == {"name": name} | {key: one.value for key, one in settings(prototype).items()}
    assert getattr(composing.typed(composed, OPTIONS), group) == prototype


def test_the_defaults_of_the_run_are_those_of_its_settings():
    composed, _ = whole = composing.compose([], OPTIONS)
    assert whole.name == "lin_sep/norm=none"
    for section, known in OPTIONS.sections().items():
        values = composed[section] if section else composed
        assert {key: values[key] for key in known} == {key: one.value for key, one in known.items()}
    assert set(composed) == {*OPTIONS.groups, *OPTIONS.sections()[""], "stop", "record"}


@dataclass(frozen=True)
class Longer(Norm):
    """A norm from outside."""

    length: float = setting(2.0, "of something", above=0)


@pytest.fixture
def longer(monkeypatch):
    """A row of the table, for the time of a test; Hydra would remember it."""
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    monkeypatch.setitem(NORMS, "longer", Longer(length=3.0))


@pytest.mark.usefixtures("longer")
def test_an_option_from_outside_composes_without_a_file():
    assert compose("norm=longer").norm == Longer(length=3.0)
    config = compose("norm=longer", "norm.length=4", "norm.layers=hidden")
    assert config.norm == Longer(length=4.0, layers="hidden") and config.names["norm"] == "longer"
    assert compose("experiment=digits", "norm=longer").norm == Longer(length=3.0, layers="hidden")
    assert from_flat(flat(config), OPTIONS) == config
    assert "longer" in OPTIONS.names("norm") and OPTIONS.describe("norm", "longer") == "A norm from outside."
    with pytest.raises(UserError, match=r"norm.length=-4.0 is out of range; allowed: a number above 0"):
        compose("norm=longer", "norm.length=-4")


def test_what_an_experiment_sets_for_another_option_of_the_group_is_ignored(tmp_path):
    """XOR sets `frac` for gradient descent; flow has none."""
    assert compose("experiment=xor", "optimizer=flow").optimizer == OPTIMIZERS["flow"]
    assert compose("experiment=mnist", "model=diagonal").model.init == "normal"
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\noptimizer:\n  frak: 3\n")
    with pytest.raises(UserError, match=r"unknown key 'optimizer.frak'; did you mean optimizer.frac"):
        compose("experiment=mine", f"hydra.searchpath=[file://{tmp_path}]")
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nnorm: ewn\n")
    with pytest.raises(UserError, match=r"^norm: ewn in a file .* by its defaults list, - override /norm: ewn$"):
        compose("experiment=mine", f"hydra.searchpath=[file://{tmp_path}]")


def test_settings_of_the_first_version_are_those_of_the_options_chosen():
    """It stored every setting of a group, whatever the option."""
    config = compose("norm=ewn", "optimizer=flow")
    every = {
        f"{group}.{key}": one.value
        for group, name in ROWS
        for key, one in settings(OPTIONS.groups[group][name]).items()
    }
    assert upgraded(every | flat(config), OPTIONS) == flat(config)


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
    lengths = [None if norm.starts_as_weights else norm.v_norm for norm in program.norms]
    assert lengths == [1.0] * (depth - 1) + [None] and type(program.rule) is type(OPTIMIZERS["gd_constant"])


def test_the_image_experiments_have_the_papers_networks():
    config = compose("experiment=mnist", "norm=swn")
    program = build_program(config, dataset(config.data), "cpu")
    assert [(layer.shape, layer.bias) for layer in program.network.layers] == [((784, 1024), True), ((1024, 10), False)]
    assert kinds(program.norms) == ("swn", "none") and program.rule.batch_size == 128 and program.dtype == "float32"
    assert config.snapshots == [-10, -100, -300] and config.optimizer.frac == 0
    config = compose("experiment=cifar10", "norm=ewn")
    program = build_program(config, dataset(config.data), "cpu")
    layers = program.network.layers
    assert [layer.shape[-1] for layer in layers] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6 + [10]
    assert [index for index, layer in enumerate(layers) if layer.pool] == [1, 3, 6, 9, 12]
    assert (
        kinds(program.norms) == ("ewn",) * 13 + ("none",) and [layer.bias for layer in layers] == [True] + [False] * 13
    )


def test_lin_sep_has_the_papers_levels():
    assert compose("experiment=lin_sep").snapshots == [-200, -250, -300]


def test_a_group_is_named_with_and_without_a_plus():
    for experiment in ("experiment=xor", "+experiment=xor"):
        for norm in ("norm=swn", "+norm=swn"):
            composed = composing.compose([experiment, norm], OPTIONS)
            assert composed.name == "xor/norm=swn"
            assert composing.typed(composed.content, OPTIONS) == compose("experiment=xor", "norm=swn")


def test_the_command_line_has_the_last_word():
    assert compose("experiment=xor", "stop.log_loss=-7").stop.log_loss == -7
    assert compose("experiment=digits", "norm.layers=all").norm.layers == "all"


def test_defaults_are_the_papers_lin_sep():
    config = compose()
    assert (config.names["data"], config.model.widths, config.model.activation) == ("lin_sep", [8], "relu_squared")
    assert (config.names["norm"], config.names["loss"], config.loss.reduction) == ("none", "cross_entropy", "sum")
    assert (config.optimizer.frac, config.optimizer.step_size, config.optimizer.step_size_cap) == (30, 0.01, 0.01)
    assert (config.stop.log_loss, config.stop.max_steps) == (-300, 40000)


def test_a_users_own_folder_of_options(tmp_path, inside):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "wide.yaml").write_text("name: mlp\nwidths: [31]\nactivation: relu\n")
    code, out, _ = inside("train", "--config-dir", "mine", "model=wide", "--cfg", "job")
    assert code == 0 and "- 31" in out


def test_conf_has_no_stray_files():
    files = {path for path in configs_folder().rglob("*") if path.is_file()} - {configs_folder() / "README.md"}
    assert all(Path(path).suffix == ".yaml" for path in files)
