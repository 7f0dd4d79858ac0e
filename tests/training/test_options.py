"""The tables of options: every row is an object whose settings explain themselves."""

import dataclasses

import pytest

from wnexp.settings import settings
from wnexp.training.options import OPTIONS

ROWS = {
    f"{group}={name}": row
    for group, table in {**OPTIONS.groups, "measures": OPTIONS.measures}.items()
    for name, row in table.items()
}


def test_there_are_rows_in_every_table():
    assert set(OPTIONS.groups) == {"data", "model", "norm", "loss", "optimizer"}
    assert all(OPTIONS.groups.values()) and OPTIONS.measures


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_an_object_of_a_frozen_dataclass(name):
    row = ROWS[name]
    assert not isinstance(row, type) and dataclasses.is_dataclass(row)
    assert type(row).__dataclass_params__.frozen and "__dataclass_fields__" in vars(type(row))
    assert type(row).__doc__ and not type(row).__doc__.startswith(f"{type(row).__name__}("), "a docstring of its own"


@pytest.mark.parametrize("name", ROWS)
def test_every_setting_has_a_meaning_of_one_line_and_an_allowed_value(name):
    for found in settings(ROWS[name]).values():
        assert found.meaning and found.meaning == " ".join(found.meaning.split()), found.name
        assert len(found.meaning) <= 130, found.name
        found.check(found.name, found.value)


@pytest.mark.parametrize("name", ROWS)
def test_fields_are_settings_or_have_a_default(name):
    row = ROWS[name]
    assert dataclasses.replace(row) == row
    for entry in dataclasses.fields(row):
        assert entry.default is not dataclasses.MISSING or entry.default_factory is not dataclasses.MISSING, entry.name
