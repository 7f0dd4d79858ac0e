"""Settings as fields: types, defaults, bounds, words of what is allowed, what selects a program."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import pytest

from wnexp.errors import UserError
from wnexp.settings import choose, setting, settings, without_traced


@dataclass(frozen=True)
class Choice:
    """A choice with a setting of every kind."""

    size: int = setting(3, "how many", least=1, below=2**31)
    share: float = setting(0.5, "of all", least=0, most=1)
    rate: float | None = setting(0.1, "of growth", above=0, null="for none", traced=True)
    word: str = setting("one", "which", choices=("one", "two"))
    widths: list[int] = setting([8], "of layers", least=1)
    path: str | None = setting(None, "a file", null="for none")
    even: int = setting(2, "an even number", allowed="even numbers", test=lambda value: value % 2 == 0)
    free: float = setting(0.0, "any number")
    plain: int = 7


@dataclass(frozen=True)
class Free:
    """Settings of which nothing is said but their types."""

    number: float = setting(0.0, "")
    numbers: list[float] = setting([], "")
    perhaps: list[int] | None = setting(None, "", null="for none")
    flag: bool = setting(False, "")
    file: str | None = setting(None, "")
    size: int = setting(1, "", least=1)
    anything: Any = setting(None, "")


def test_settings_are_the_fields_that_are_declared_as_such():
    own, default = settings(Choice(size=5)), settings(Choice)
    assert list(own) == list(default) == ["size", "share", "rate", "word", "widths", "path", "even", "free"]
    assert own["size"].value == 5 and default["size"].value == 3 and default["widths"].value == [8]
    assert default["rate"].meaning == "of growth" and default["rate"].kind == float | None
    assert {name for name, one in default.items() if one.whole} == {"size", "widths", "even"}


def test_a_list_is_nobody_elses():
    Choice().widths.append(9)
    assert Choice().widths == [8] and settings(Choice)["widths"].value == [8]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("size", "an integer of at least 1, below 2^31"),
        ("share", "a number from 0 to 1"),
        ("rate", "a number above 0, or null for none"),
        ("word", "one, two"),
        ("widths", "a list of integers of at least 1"),
        ("path", "null for none"),
        ("even", "even numbers"),
        ("free", ""),
    ],
)
def test_what_is_allowed_in_words(name, allowed):
    assert settings(Choice)[name].allowed == allowed


def test_what_is_expected_names_the_type_where_nothing_else_is_said():
    words = ["a number", "a list of numbers", "a list of integers, or null for none", "true or false"]
    words += ["a text, or null", "an integer of at least 1", "a value"]
    assert [one.expected for one in settings(Free).values()] == words
    with pytest.raises(UserError, match=r"^numbers=\[\[1\]\] is not possible; allowed: a list of numbers$"):
        settings(Free)["numbers"].check("numbers", [[1]])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("size", [1, 2**31 - 1], [0, 2**31]),
        ("share", [0.0, 1.0], [-1e-9, 1.0001]),
        ("rate", [1e-300, None], [0.0, -1.0]),
        ("widths", [[], [1, 5]], [[1, 0], [-1]]),
        ("even", [0, 4], [3]),
        ("free", [-1e300], [math.inf, math.nan]),
    ],
)
def test_bounds(name, good, bad):
    one = settings(Choice)[name]
    for value in good:
        one.check(f"group.{name}", value)
    for value in bad:
        with pytest.raises(UserError) as error:
            one.check(f"group.{name}", value)
        message = str(error.value)
        assert message.startswith(f"group.{name}={value} is ") and "\n" not in message
        assert message.endswith("finite numbers" if name == "free" else f"allowed: {one.allowed}")


def test_a_word_is_one_of_the_choices():
    settings(Choice)["word"].check("group.word", "two")
    with pytest.raises(UserError, match=r"group.word=twp is unknown; allowed: one, two \(did you mean two\?\)"):
        settings(Choice)["word"].check("group.word", "twp")


def test_lists_in_lists_must_be_finite_too():
    with pytest.raises(UserError, match="is not finite"):
        settings(Choice)["widths"].check("starts", [[1.0], [2.0, math.nan]])


def test_choose_lists_the_known_names():
    assert choose({"none": 1, "swn": 2}, "norm", "swn") == 2
    with pytest.raises(UserError, match=r"norm=foo is unknown; allowed: none, swn$"):
        choose({"none": 1, "swn": 2}, "norm", "foo")
    with pytest.raises(UserError, match=r"did you mean swn\?"):
        choose({"none": 1, "swn": 2}, "norm", "sw")


def test_traced_settings_select_no_program():
    """Every other field does."""
    assert without_traced(Choice(rate=5.0)) == without_traced(Choice(rate=None)) == Choice()
    for change in ({"size": 4}, {"word": "two"}, {"plain": 8}):
        assert without_traced(dataclasses.replace(Choice(), **change)) != Choice()
