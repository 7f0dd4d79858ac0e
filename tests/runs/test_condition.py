"""Conditions as users type them."""

import pytest

from wnexp.errors import UserError
from wnexp.runs.condition import parse

ROW = {
    "norm": "ewn",
    "seed": 2,
    "data.seed": 0,
    "power": "inf",
    "widths": [8, 8],
    "cap": None,
    "bias": True,
    "m@-1e2": 0.5,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("norm=ewn", True),
        ("norm==swn", False),
        ("norm=swn,ewn", True),
        ("norm!=swn,ewn", False),
        ("seed<3", True),
        ("seed<=1.5", False),
        ("seed>=2 and norm=swn", False),
        ("norm=swn or seed>1", True),
        ("norm=swn and seed=2 or norm=ewn", True),
        ("norm=swn and (seed=2 or norm=ewn)", False),
        ("not norm=swn", True),
        ("not (norm=ewn or seed=9)", False),
        ("power=inf", True),
        ("power>3 and not power<3", True),
        ("widths=[8, 8]", True),
        ("widths=[8]", False),
        ("cap=null", True),
        ("cap<1 or cap>=1", False),
        ("bias=true", True),
        ("seed=2.0", True),
        ("bias=1", False),
        ("'x'='x'", None),
        ("m@-1e2>.4", True),
        ('norm="ewn"', True),
        ("  ( norm = ewn )  ", True),
    ],
)
def test_what_a_condition_holds_for(text, holds):
    if holds is None:
        with pytest.raises(UserError, match="cannot be read"):
            parse(text)
    else:
        assert parse(text).holds(ROW) is holds


@pytest.mark.parametrize(
    "text", ["norm=", "norm", "norm=a and", "(norm=a", "norm=a)", "seed<x", "seed<1,2", "a b", "and", "="]
)
def test_what_cannot_be_read_is_refused_with_what_is_allowed(text):
    with pytest.raises(UserError) as caught:
        parse(text)
    assert text.split()[0][:4] in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_the_keys_that_it_asks_for():
    assert parse("a=1 and (b.c<2 or not a=3) and d@-10>0").keys == ("a", "b.c", "d@-10")
