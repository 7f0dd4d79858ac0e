"""Conditions on rows, as users type them: `norm=ewn,swn and (seed<3 or not optimizer.step_size>=0.1)`."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wnexp.errors import UserError

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<paren>[()])
  | (?P<joint>(?:and|or|not)\b)
  | (?P<key>[A-Za-z_][\w.]*(?:@-?[\d.]+(?:e[+-]?\d+)?)?)\s*(?P<operator>==|!=|<=|>=|=|<|>)\s*(?P<value>VALUE(?:,VALUE)*)
    )""".replace("VALUE", r"""(?:'[^']*'|"[^"]*"|\[[^\]]*\]|[^\s,()'"\[\]]+)"""),
    re.VERBOSE,
)
_VALUE = re.compile(r"""'[^']*'|"[^"]*"|\[[^\]]*\]|[^,]+""")
_GRAMMAR = "allowed: KEY=VALUE with = != < <= > >=, several values as A,B, joined by and, or, not and parentheses"
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """A condition on a row: the keys that it asks for, and whether it holds."""

    keys: tuple[str, ...]
    holds: Callable[[Row], bool]


def parse(text: str) -> Condition:
    """A condition from its text. Raises `UserError` with what is allowed."""
    tokens, position, keys = [], 0, []
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise UserError(f"'{text}': '{text[position:].strip()}' cannot be read; {_GRAMMAR}")
        tokens.append(found)
        position = found.end()
        keys += [found["key"]] if found["key"] else []
    stream = _Stream(iter(tokens), text)
    holds = stream.alternatives()
    if stream.token is not None:
        raise stream.refusal()
    return Condition(tuple(dict.fromkeys(keys)), holds)


class _Stream:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: Iterator[re.Match[str]], text: str):
        self._tokens, self._text = tokens, text
        self.advance()

    def advance(self) -> None:
        self.token = next(self._tokens, None)

    def refusal(self) -> UserError:
        at = "its end" if self.token is None else f"'{self.token[0].strip()}'"
        return UserError(f"'{self._text}': a condition is not complete at {at}; {_GRAMMAR}")

    def _take(self, word: str) -> bool:
        if self.token is None or word not in (self.token["joint"], self.token["paren"]):
            return False
        self.advance()
        return True

    def alternatives(self) -> Callable[[Row], bool]:
        parts = [self._all_of()]
        while self._take("or"):
            parts.append(self._all_of())
        return lambda row: any(part(row) for part in parts)

    def _all_of(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        if self._take("not"):
            part = self._one()
            return lambda row: not part(row)
        if self._take("("):
            inside = self.alternatives()
            if not self._take(")"):
                raise self.refusal()
            return inside
        if self.token is None or not self.token["key"]:
            raise self.refusal()
        key, operator, values = self.token["key"], self.token["operator"], _VALUE.findall(self.token["value"])
        self.advance()
        return _comparison(key, operator, [_value(value) for value in values], self._text)


def _value(text: str) -> Any:
    """What a word stands for: a number, true, false, null, a list, or the word itself."""
    if text[0] in "'\"":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _comparison(key: str, operator: str, values: list[Any], text: str) -> Callable[[Row], bool]:
    """Whether a row's value is one of the values, or compares so with the one; null is neither less nor more."""
    if operator in ("=", "=="):
        return lambda row: any(_equal(row[key], value) for value in values)
    if operator == "!=":
        return lambda row: not any(_equal(row[key], value) for value in values)
    if len(values) != 1 or isinstance(values[0], (bool, list)) or not isinstance(values[0], (int, float)):
        raise UserError(f"'{text}': {key}{operator} needs a number")
    compare = _COMPARISONS[operator]

    def holds(row: Row) -> bool:
        found = float(row[key]) if row[key] in ("inf", "-inf") else row[key]
        return isinstance(found, (int, float)) and not isinstance(found, bool) and compare(found, values[0])

    return holds


def _equal(found: Any, value: Any) -> bool:
    """Equal as numbers, or as text: a norm's power is stored as a number or as "inf". A list is what it contains."""
    if isinstance(found, list) and not isinstance(value, list):
        return any(_equal(entry, value) for entry in found)
    if isinstance(found, (int, float)) and isinstance(value, (int, float)):
        return isinstance(found, bool) == isinstance(value, bool) and found == value
    return found == value or str(found) == str(value)
