"""The words of `wnexp train`, as Hydra takes them, and the mistakes in them that Hydra would explain badly."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString

from wnexp import records
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


_BESIDE_CONFIG_FROM = ("outputs", "overwrite", "device", "hydra.run.dir")


def expanded(words: Sequence[str]) -> list[str]:
    """The words with `--config-from RUN` replaced by the configuration in RUN's run.json. Raises `UserError`.

    The repeated run gets the name of the first one under `outputs`.
    """
    words = list(words)
    if "--config-from" not in words:
        return words
    position = words.index("--config-from")
    if position + 1 == len(words):
        raise UsageError("--config-from needs a run directory (wnexp train --help)")
    run = Path(words[position + 1])
    rest = words[:position] + words[position + 2 :]
    for word in rest:
        if word.split("=")[0] not in _BESIDE_CONFIG_FROM:
            raise UserError(
                f"{word}: --config-from repeats a run as it was; beside it: {', '.join(_BESIDE_CONFIG_FROM)}"
            )
    status = records.read_status(run)
    if status is None:
        raise UserError(f"--config-from {run}: no run there (a run is a folder with run.json)")
    settings = {key: value for key, value in status["config"].items() if "(sha256)" not in key}
    if unknown := sorted(key for key in settings if not has_key(key)):
        raise UserError(f"{run}: this version of wnexp has no {', '.join(unknown)}")
    place = run.resolve()
    name = _hydra_text(f"{place.parent.name}/{place.name}")
    chosen = [f"{key.removesuffix('.name')}={value}" for key, value in settings.items() if key in _NAMED]
    values = [f"++{key}={_hydra_text(value)}" for key, value in settings.items() if key not in (*_NAMED, "device")]
    return [*chosen, *values, f"hydra.run.dir='${{outputs_folder:${{outputs}}}}/{name[1:-1]}'", *rest]


def _hydra_text(value: Any) -> str:
    """A value of run.json in Hydra's grammar, taken literally."""
    if isinstance(value, list):
        return f"[{','.join(map(_hydra_text, value))}]"
    if isinstance(value, str):
        return QuotedString(value.replace("${", "\\${"), Quote.single).with_quotes()
    return "null" if value is None else str(value).lower()


class UsageError(Exception):
    """Unknown options: shown as its message alone, exit code 2."""


def check(words: Sequence[str]) -> None:
    """Raise `UsageError` for options that Hydra does not have and `UserError` for overrides that cannot be meant."""

    def refuse(message: str):
        raise UsageError(f"{message} (wnexp train --help)")

    parser = get_args_parser()
    parser.error = refuse
    parsed = parser.parse_args(words)
    overrides = OverridesParser.create().parse_overrides(parsed.overrides)
    for folder in (parsed.config_dir, parsed.config_path, *_searched(overrides)):
        for path in sorted(Path(folder).rglob("*.yaml")) if folder else ():
            _check_yaml(path)
    for override in overrides:
        _check(override)


def _searched(overrides: Sequence[Override]) -> list[str]:
    """The folders of `hydra.searchpath=[file://FOLDER,...]`."""
    paths = [override.value() for override in overrides if override.key_or_group == "hydra.searchpath"]
    entries = [entry for path in paths if isinstance(path, list) for entry in path]
    return [str(getattr(entry, "text", entry)).removeprefix("file://") for entry in entries]


_DEEPEST = 50


def _check_yaml(path: Path) -> None:
    """Raise `UserError` for a file whose reading has no bound: a few aliases of aliases take minutes and gigabytes."""
    depth = 0
    try:
        for event in yaml.parse(path.read_text("utf-8"), Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise UserError(
                    f"{path}: aliases like *{event.anchor} are not read; ${{key}} refers to another setting"
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise UserError(f"{path}: lists in lists, more than {_DEEPEST} deep")
    except UnicodeDecodeError:
        raise UserError(f"{path}: no text in UTF-8") from None


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
