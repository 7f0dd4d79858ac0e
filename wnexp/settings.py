"""Settings as fields: each says its type, default, meaning and allowed values where it is declared.

    @dataclass(frozen=True)
    class Power(Norm):
        power: float = setting(2.0, "P of w_u = (1 + alpha_u/P)^P v_u/||v_u||", above=0)

A *choice* (norm, loss, rule, model, data set, measure) is a frozen dataclass with such fields; the options of a group
are a table `name -> prototype`. A run's own object is the prototype with the user's settings in place. OmegaConf checks
the types, `check` the values; a validation library such as pydantic would be a second type system beside OmegaConf's
and take 0.1 s of every start.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from wnexp.errors import UserError

Row = TypeVar("Row")
_MEANING = "meaning"
_NOUNS = {int: "integer", float: "number", str: "text"}


def setting(
    default: Any,
    meaning: str,
    *,
    choices: tuple[str, ...] = (),
    above: int | float | None = None,
    least: int | float | None = None,
    below: int | float | None = None,
    most: int | float | None = None,
    null: str = "",
    traced: bool = False,
    allowed: str = "",
    test: Callable[[Any], bool] | None = None,
) -> Any:
    """A dataclass field that is a setting.

    `choices` are the allowed words; `above`, `least`, `below`, `most` bound a number or every number of a list; `null`
    says what null means; `traced` numbers select no compiled program; `test` with its wording `allowed` is for what
    these cannot say.
    """
    bounds = {"above": above, "least": least, "below": below, "most": most}
    bounds = {name: bound for name, bound in bounds.items() if bound is not None}
    metadata = {_MEANING: meaning, "choices": choices, "bounds": bounds, "null": null, "traced": traced}
    metadata |= {"allowed": allowed, "test": test}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """A setting of an object: its field, its type and the value it has there."""

    name: str
    kind: Any
    value: Any
    metadata: Mapping[str, Any]

    @property
    def meaning(self) -> str:
        """One line."""
        return self.metadata[_MEANING]

    @property
    def whole(self) -> bool:
        """Whether the setting holds integers, alone or in a list."""
        return int in (self.kind, *get_args(self.kind))

    @property
    def allowed(self) -> str:
        """What is allowed, in words; empty where every value of the type is."""
        meta = self.metadata
        if meta["allowed"]:
            return meta["allowed"]
        null = f", or null{' ' * bool(meta['null'])}{meta['null']}" if type(None) in get_args(self.kind) else ""
        if meta["choices"]:
            return ", ".join(meta["choices"]) + null
        if not meta["bounds"]:
            return f"null {meta['null']}" if meta["null"] else ""
        noun = "integer" if self.whole else "number"
        many = self._kinds[0] is list
        return (f"a list of {noun}s" if many else f"{'an' if self.whole else 'a'} {noun}") + self._range() + null

    @property
    def expected(self) -> str:
        """What is allowed, the type where every value of it is."""
        if self.metadata["bounds"] or self.metadata["choices"] or self.metadata["allowed"]:
            return self.allowed
        base, inside = self._kinds
        if base is bool:
            return "true or false"
        many = f"a list of {_NOUNS[inside]}s" if inside in _NOUNS else "a list"
        words = many if base is list else f"{'an' if base is int else 'a'} {_NOUNS.get(base, 'value')}"
        return words + (f", or {self.allowed or 'null'}" if type(None) in get_args(self.kind) else "")

    @property
    def _kinds(self) -> tuple[Any, Any]:
        """The type without None, and that of its entries where it is a list."""
        base = next((kind for kind in get_args(self.kind) if kind is not type(None)), self.kind)
        base = self.kind if get_origin(self.kind) is list else base
        return (list, get_args(base)[0]) if get_origin(base) is list else (base, None)

    def _range(self) -> str:
        bounds = {name: _number(bound) for name, bound in self.metadata["bounds"].items()}
        if bounds.keys() == {"least", "most"}:
            return f" from {bounds['least']} to {bounds['most']}"
        words = {"above": "above", "least": "of at least", "below": "below", "most": "at most"}
        return " " + ", ".join(f"{words[name]} {bound}" for name, bound in bounds.items())

    def refusal(self, key: str, value: Any) -> UserError:
        """The error for a value of another type."""
        given = value if isinstance(value, str) else json.dumps(value)
        return UserError(f"{key}={given} is not possible; allowed: {self.expected}")

    def check(self, key: str, value: Any) -> None:
        """Raise `UserError` that names the key, what came and what is allowed."""
        if not _is_finite(value):
            raise UserError(f"{key}={value} is not finite; allowed: finite numbers")
        if isinstance(value, list) and self._kinds[1] in _NOUNS and any(isinstance(entry, list) for entry in value):
            raise self.refusal(key, value)  # OmegaConf lets it pass
        if value is None:
            return
        if self.metadata["choices"]:
            for word in value if isinstance(value, list) else [value]:
                choose(dict.fromkeys(self.metadata["choices"]), key, str(word))
        values: list[Any] = value if isinstance(value, list) else [value]
        if not all(self._within(entry) for entry in values) or (
            self.metadata["test"] and not self.metadata["test"](value)
        ):
            raise UserError(f"{key}={value} is out of range; allowed: {self.allowed}")

    def _within(self, value: Any) -> bool:
        bounds = self.metadata["bounds"]
        return (
            value > bounds.get("above", -math.inf)
            and value >= bounds.get("least", -math.inf)
            and value < bounds.get("below", math.inf)
            and value <= bounds.get("most", math.inf)
            if bounds
            else True
        )


def settings(choice: Any) -> dict[str, Setting]:
    """The settings of an object, or of a class (with its defaults), by name."""
    kinds = _kinds(choice if isinstance(choice, type) else type(choice))
    found = {}
    for entry in dataclasses.fields(choice):
        if _MEANING in entry.metadata:
            value = _default(entry) if isinstance(choice, type) else getattr(choice, entry.name)
            found[entry.name] = Setting(entry.name, kinds[entry.name], value, entry.metadata)
    return found


_kinds = cache(get_type_hints)  # every job of a sweep asks for all of them many times


def _default(entry: Any) -> Any:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def without_traced(choice: Row) -> Row:
    """The object with its traced settings at their defaults: what selects a compiled program."""
    traced = {name: found for name, found in settings(type(choice)).items() if found.metadata["traced"]}
    return dataclasses.replace(choice, **{name: found.value for name, found in traced.items()})  # pyright: ignore


def choose(table: Mapping[str, Row], key: str, name: str) -> Row:
    """The table's row of that name. Raises `UserError` that lists the known names, the nearest one first."""
    if name not in table:
        near = get_close_matches(str(name), list(table), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"{key}={name} is unknown; allowed: {', '.join(table)}{hint}")
    return table[name]


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _number(bound: int | float) -> str:
    powers = {2**exponent: f"2^{exponent}" for exponent in (31, 32, 62)} | {2**32 - 1: "2^32 - 1"}
    return powers.get(int(bound), f"{bound:,}" if isinstance(bound, int) else f"{bound:g}")
