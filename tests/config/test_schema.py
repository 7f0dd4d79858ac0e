"""The schema and its messages."""

import pytest
from omegaconf import OmegaConf

from wnexp.config import UserError, as_dict, choose, typed


def composed(**changes):
    groups = {
        "data": {"name": "lin_sep"},
        "model": {"name": "mlp", "widths": [8]},
        "norm": {"name": "ewn"},
        "loss": {"name": "exponential"},
        "optimizer": {"name": "gd"},
    }
    return OmegaConf.merge(groups, OmegaConf.from_dotlist([f"{key}={value}" for key, value in changes.items()]))


def test_typed_fills_defaults_and_is_frozen():
    config = typed(composed(seeds=4))
    assert config.seeds == 4 and config.stop.log_loss == -300 and config.norm.v_norm == 1.0
    with pytest.raises(AttributeError):
        config.seeds = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"seeds": 0}, ["seeds=0", "at least 1"]),
        ({"seeds": "many"}, ["seeds", "many", "Integer"]),
        ({"seed": -1}, ["seed=-1"]),
        ({"foo": 1}, ["unknown key 'foo'"]),
        ({"stop.logloss": 1}, ["unknown key 'stop.logloss'", "stop.log_loss"]),
        ({"nrom": "ewn"}, ["unknown key 'nrom'", "norm"]),
        ({"model.widths": "[8,-1]"}, ["model.widths", "at least 1"]),
        ({"optimizer.step_size": "nan"}, ["optimizer.step_size=nan"]),
        ({"optimizer.factor": 1.0}, ["optimizer.factor", "above 1"]),
        ({"optimizer.shrink": 1.0}, ["optimizer.shrink", "above 1"]),
        ({"optimizer.batch_size": 0}, ["optimizer.batch_size=0", "at least 1"]),
        ({"precision": "float16"}, ["precision=float16", "float32, float64"]),
        ({"device": "abacus"}, ["device=abacus", "cpu"]),
        ({"model.bias": "all"}, ["model.bias=all", "none, first"]),
        ({"data.train_per_class": -3}, ["data.train_per_class=-3"]),
        ({"record.every": 0}, ["record.every=0"]),
        ({"snapshots": "[-1,nan]"}, ["snapshots=[-1.0, nan] is not finite"]),
        ({"stop.log_loss": "-inf"}, ["stop.log_loss=-inf is not finite"]),
        ({"optimizer.step_size_cap": "inf"}, ["optimizer.step_size_cap=inf is not finite"]),
        ({"model.fixed_output": "[1,nan]"}, ["model.fixed_output", "not finite"]),
        ({"model.starts": "[[1,2],[3,.inf]]"}, ["model.starts", "not finite"]),
    ],
)
def test_messages_name_the_key_what_came_and_what_is_allowed(change, parts):
    with pytest.raises(UserError) as error:
        typed(composed(**change))
    message = str(error.value)
    assert all(part in message for part in parts), message
    assert len(message.splitlines()) <= 2


def test_choose_lists_the_known_names():
    with pytest.raises(UserError, match="norm=foo is unknown; allowed: none, swn"):
        choose({"none": 1, "swn": 2}, "norm", "foo")


def test_as_dict_leaves_out_what_changes_no_number():
    flat = as_dict(typed(composed()))
    assert flat["norm.name"] == "ewn" and "overwrite" not in flat and "outputs" not in flat
