"""The schema and its messages."""

import pytest
from omegaconf import OmegaConf

from wnexp.config.compose import from_flat
from wnexp.config.compose import typed as typed_with
from wnexp.config.schema import flat, flat_defaults
from wnexp.errors import UserError
from wnexp.training.options import OPTIONS


def composed(**changes):
    groups = {
        "data": {"name": "lin_sep"},
        "model": {"name": "mlp", "widths": [8]},
        "norm": {"name": "ewn"},
        "loss": {"name": "exponential"},
        "optimizer": {"name": "gd"},
    }
    return OmegaConf.merge(groups, OmegaConf.from_dotlist([f"{key}={value}" for key, value in changes.items()]))


def typed(content):
    return typed_with(content, OPTIONS)


def test_typed_fills_defaults_and_is_frozen():
    config = typed(composed(seeds=4))
    assert config.seeds == 4 and config.stop.log_loss == -300 and config.norm.v_norm == 1.0
    with pytest.raises(AttributeError):
        config.seeds = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"seeds": 0}, ["seeds=0", "an integer from 1 to 1,000,000"]),
        ({"seeds": "many"}, ["seeds=many", "an integer from 1 to 1,000,000"]),
        ({"seed": -1}, ["seed=-1"]),
        ({"foo": 1}, ["unknown key 'foo'"]),
        ({"stop.logloss": 1}, ["unknown key 'stop.logloss'", "stop.log_loss"]),
        ({"nrom": "ewn"}, ["unknown key 'nrom'", "norm"]),
        ({"model.widths": "[8,-1]"}, ["model.widths", "at least 1"]),
        ({"optimizer.step_size": "nan"}, ["optimizer.step_size=nan"]),
        ({"optimizer.factor": 1.0}, ["optimizer.factor", "above 1"]),
        ({"optimizer.shrink": 1.0}, ["optimizer.shrink", "above 1"]),
        ({"optimizer.name": "sgd", "optimizer.batch_size": 0}, ["optimizer.batch_size=0", "at least 1"]),
        ({"precision": "float16"}, ["precision=float16", "float32, float64"]),
        ({"device": "abacus"}, ["device=abacus", "cpu"]),
        ({"model.bias": "all"}, ["model.bias=all", "none, first"]),
        ({"data.train_per_class": -3}, ["data.train_per_class=-3"]),
        ({"record.every": 0}, ["record.every=0"]),
        ({"snapshots": "[-1,nan]"}, ["snapshots=[-1.0, nan] is not finite"]),
        ({"stop.log_loss": "-inf"}, ["stop.log_loss=-inf is not finite"]),
        ({"optimizer.step_size_cap": "inf"}, ["optimizer.step_size_cap=inf is not finite"]),
        ({"model.fixed_output": "[1,nan]"}, ["model.fixed_output", "not finite"]),
        ({"model.name": "diagonal", "model.starts": "[[1,2],[3,.inf]]"}, ["model.starts", "not finite"]),
    ],
)
def test_messages_name_the_key_what_came_and_what_is_allowed(change, parts):
    with pytest.raises(UserError) as error:
        typed(composed(**change))
    message = str(error.value)
    assert all(part in message for part in parts), message
    assert len(message.splitlines()) <= 2


def test_flat_leaves_out_what_changes_no_number():
    settings = flat(typed(composed()))
    assert settings["norm.name"] == "ewn" and "overwrite" not in settings and "outputs" not in settings


def test_flat_settings_are_those_of_the_options_chosen_and_compose_again():
    config = typed(composed(seeds=4, **{"norm.v_norm": 2.0, "record.max_samples": 7, "snapshots": "[-3.0]"}))
    settings = flat(config)
    assert settings["norm.v_norm"] == 2.0 and settings["record.max_samples"] == 7 and settings["snapshots"] == [-3.0]
    assert "model.channels" not in settings and "optimizer.batch_size" not in settings
    assert from_flat(settings, OPTIONS) == config
    with pytest.raises(UserError, match=r"unknown key 'norm\.gone'"):
        from_flat(settings | {"norm.gone": 1}, OPTIONS)


def test_flat_defaults_are_what_flat_gives_without_any_setting():
    config = typed(composed(seeds=4, **{"norm.v_norm": 2.0, "record.max_samples": 7}))
    assert flat_defaults(config, OPTIONS) == flat(typed(composed()))


def test_a_setting_of_another_option_is_told_from_an_unknown_one():
    """An experiment may set what another option of the group has; a word of nobody's is a mistake."""
    assert typed(composed(**{"optimizer.batch_size": 4})).optimizer == OPTIONS.groups["optimizer"]["gd"]
    with pytest.raises(UserError, match=r"unknown key 'optimizer.batchsize'; did you mean optimizer.batch_size"):
        typed(composed(**{"optimizer.batchsize": 4}))
