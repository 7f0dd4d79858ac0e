"""The words of `wnexp train`, as Hydra takes them, and the mistakes in them that Hydra would explain badly."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString

from wnexp.config import GROUPS, SECTIONS, UserError, has_key, option_names

_NAMED = tuple(f"{group}.name" for group in GROUPS)


def prepared(words: Sequence[str]) -> list[str]:
    """The words for Hydra: `+norm=ewn` without its plus, values that are existing paths quoted, `-m` first."""
    groups = tuple(f"+{group}=" for group in GROUPS)
    plain = [word[1:] if word.startswith(groups) else word for word in words]
    plain.sort(key=lambda word: word not in ("-m", "--multirun"))  # wherever it was typed
    return [_with_quoted_path(word) for word in plain]


def _with_quoted_path(word: str) -> str:
    """Quote a value that is an existing path: run directories' names hold `=` and `,`, which Hydra would parse."""
    key, _, value = word.partition("=")
    if not key or re.fullmatch(r"[\w./~+-]*", value) or not _exists(value):
        return word
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}"


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


class UsageError(Exception):
    """Unknown options: shown as its message alone, exit code 2."""


def check(words: Sequence[str]) -> None:
    """Raise `UsageError` for options that Hydra does not have and `UserError` for overrides that cannot be meant."""

    def refuse(message: str):
        raise UsageError(f"{message} (wnexp train --help)")

    parser = get_args_parser()
    parser.error = refuse
    for override in OverridesParser.create().parse_overrides(parser.parse_args(words).overrides):
        _check(override)


def _check(override: Override) -> None:
    key, text = override.key_or_group, override.input_line
    if not key:
        raise UserError(f"'{text}' is no setting; GROUP=OPTION or KEY=VALUE is expected")
    if override.is_delete():
        if has_key(key):
            raise UserError(f"{text}: settings cannot be removed; without an override {key} has its default")
        return
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    options = (str, type(None), Glob) if key == "experiment" else (str, Glob)
    if key in GROUPS and not all(isinstance(value, options) for value in values):
        raise UserError(f"{text} is no option; allowed: {', '.join(option_names(key))}")
    if key in _NAMED:
        raise UserError(f"{text}: choose with {key.removesuffix('.name')}={override.get_value_element_as_str()}")
    if key in SECTIONS and not all(isinstance(value, dict) for value in values):
        raise UserError(f"{text}: {key} has the settings {', '.join(SECTIONS[key])}")
