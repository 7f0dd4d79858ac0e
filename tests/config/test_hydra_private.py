"""What wnexp takes from Hydra's private modules: this fails first where Hydra moves it."""

import importlib

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from wnexp.config.compose import store
from wnexp.config.hydra_private import composed_once, parsed_arguments
from wnexp.config.schema import configs_folder
from wnexp.errors import UsageError
from wnexp.training.options import OPTIONS


def test_the_parser_is_where_it_was():
    assert callable(importlib.import_module("hydra._internal.utils").get_args_parser)


def test_what_we_use_of_a_command_line():
    parsed = parsed_arguments(["-m", "a=1"])
    assert parsed.overrides == ["a=1"] and parsed.config_dir is None and parsed.config_path is None
    parsed = parsed_arguments(["--config-dir", "mine", "--config-path=theirs", "a=1", "b=2"])
    assert (parsed.overrides, parsed.config_dir, parsed.config_path) == (["a=1", "b=2"], "mine", "theirs")


def test_an_option_that_hydra_does_not_have_is_one_line():
    with pytest.raises(UsageError) as error:
        parsed_arguments(["--foo"])
    assert str(error.value) == "unrecognized arguments: --foo (wnexp train --help)"


@pytest.mark.parametrize(
    ("words", "once"),
    [
        (["norm=ewn"], True),
        (["-m", "norm=swn,ewn"], True),
        (["hydra.mode=MULTIRUN", "norm=swn,ewn"], False),
        (["hydra.searchpath=[file://mine]"], False),
        (["+hydra/launcher=joblib"], False),
        (["--config-dir", "mine"], False),
        (["-cd=mine"], False),
    ],
)
def test_hydra_asks_for_its_mode_where_something_may_set_it(words, once):
    asks = Hydra.get_mode
    with composed_once(words):
        assert (Hydra.get_mode is not asks) == once
    assert Hydra.get_mode is asks


@pytest.fixture
def loader():
    store(OPTIONS)
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def composed(loader, words):
    return OmegaConf.to_container(loader.load_configuration("config", words, RunMode.RUN))


@pytest.mark.parametrize(
    "words",
    [
        ["norm=ewn"],
        ["norm=power", "norm.power=3", "seed=4"],
        ["seed=1", "optimizer=adam", "++optimizer.b2=0.98", "seed=2"],
        ["experiment=digits", "norm=swn", "model.widths=[8,8]"],
        ["+objective=step", "snapshots=[-1,-2]", "logger=tensorboard"],
        ["hydra.mode=MULTIRUN", "norm=ewn", "hydra.job.id=3"],
        ["hydra/job_logging=default", "stop={log_loss: -3}", "~seed"],
        ["norm=ewn", "seed=${stop.max_steps}"],
    ],
)
def test_values_set_in_a_copy_are_what_hydra_composes(loader, words):
    wanted = composed(loader, words)
    with composed_once(["norm=ewn"]):
        assert composed(loader, ["seed=7", *words[:1]]) != wanted  # what is remembered is not what is changed
        assert composed(loader, words) == composed(loader, words) == wanted
    assert composed(loader, words) == wanted


def test_options_of_one_choice_are_read_once(loader, monkeypatch):
    read, reads = [], ConfigRepository.load_config
    monkeypatch.setattr(ConfigRepository, "load_config", lambda *here, **its: read.append(its) or reads(*here, **its))
    with composed_once(["-m", "norm=ewn", "seed=0,1"]):
        composed(loader, ["norm=ewn", "seed=0"])
        before = len(read)
        composed(loader, ["norm=ewn", "seed=1"])
        assert len(read) == before > 0
        composed(loader, ["norm=swn", "seed=1"])
        assert len(read) > before


@pytest.mark.parametrize("word", ["seeed=1", "norm={power: 3}", "norm=nonsense", "seed=1,2", "norm=swn,ewn"])
def test_a_mistake_is_the_same_one(loader, word):
    with pytest.raises(HydraException) as wanted:
        composed(loader, [word])
    with composed_once([word]), pytest.raises(HydraException) as found:
        composed(loader, [word])
    assert str(found.value) == str(wanted.value)
