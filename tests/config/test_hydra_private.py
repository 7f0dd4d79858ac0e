"""What wnexp takes from Hydra's private modules: this fails first where Hydra moves it."""

import importlib

import pytest
from hydra._internal.hydra import Hydra

from wnexp.config.hydra_private import composed_once, parsed_arguments
from wnexp.errors import UsageError


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
