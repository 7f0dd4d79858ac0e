"""The words of `wnexp train`, as Hydra takes them, and the mistakes in them that Hydra would explain badly."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString

from wnexp.config.hydra_private import parsed_arguments
from wnexp.config.naming import renamed
from wnexp.config.schema import GROUPS, Options
from wnexp.errors import UsageError, UserError
from wnexp.settings import settings as settings_of

_NAMED = tuple(f"{group}.name" for group in GROUPS)


def prepared(words: Sequence[str]) -> list[str]:
    """The words for Hydra: `+norm=ewn` without its plus, values that are existing paths quoted, `-m` first.

    Before a sweep over `optimizer=adam,lion` Hydra looks whether `optimizer.b2` is a setting of the rule that would be
    chosen without it; as `++optimizer.b2` it is left to every job (`Composed.config`).
    """
    groups = tuple(f"+{group}=" for group in (*GROUPS, "logger"))
    plain = [word[1:] if word.startswith(groups) else word for word in words]
    plain = [word for word in plain if word != "experiment=null"]  # the default, which Hydra does not take as a word
    swept = tuple(f"{group}." for group in GROUPS for word in plain if word.startswith(f"{group}=") and "," in word)
    plain = [f"++{word}" if swept and word.startswith(swept) else word for word in plain]
    plain.sort(key=lambda word: word not in ("-m", "--multirun"))  # wherever it was typed
    return [_with_quoted_path(word) for word in plain]


def jobs(words: Sequence[str]) -> list[list[str]]:
    """The words of every job of a sweep over these words, in the order of `wnexp train -m`."""
    plain = prepared(words)
    parsed = OverridesParser.create().parse_overrides(plain)
    each = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [word]
        for word, one in zip(plain, parsed, strict=True)
    ]
    return [list(combination) for combination in product(*each)]


def _with_quoted_path(word: str) -> str:
    """Quote a value that is an existing path: run directories' names hold `=` and `,`, which Hydra would parse. And one
    that can only be meant as a path: Hydra's words have no `~`, no letters beyond ASCII and no `{seed}`."""
    key, _, value = word.partition("=")
    if not key or re.fullmatch(r"[A-Za-z0-9_./+-]*", value):
        return word
    if not _exists(value) and not re.fullmatch(r"[\w./~+-]+(\{seed\}[\w./~+-]*)*", value):
        return word
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}"


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


# Settings that are paths of files whose contents a run was trained on.
MOVABLE = ("data.path", "data.test_path", "data.dir", "model.initial_weights")
_BESIDE_CONFIG_FROM = ("outputs", "overwrite", "device", "hydra.run.dir", *MOVABLE)
_FURTHER = ("stop.log_loss", "stop.max_steps", "seeds", "snapshots", "record.up_to")


def elsewhere(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words without those that say where a run's files are now, `data.path=NEW`; and these, setting -> path."""
    given = {word: word.partition("=") for word in words if word.startswith(tuple(f"{key}=" for key in MOVABLE))}
    return [word for word in words if word not in given], {key: path for key, _, path in given.values()}


def config_from(words: Sequence[str]) -> tuple[list[str], Path | None]:
    """The words without `--config-from RUN`, and RUN.

    Raises `UsageError` where RUN is missing, `UserError` for what cannot stand beside it.
    """
    words = [
        part for word in words for part in ([*word.split("=", 1)] if word.startswith("--config-from=") else [word])
    ]
    if "--config-from" not in words:
        return words, None
    position = words.index("--config-from")
    if position + 1 == len(words):
        raise UsageError("--config-from needs a run directory (wnexp train --help)")
    rest = words[:position] + words[position + 2 :]
    for word in rest:
        if "=" not in word or word.startswith(("-", "experiment=", "+experiment=")):
            raise UserError(
                f"{word}: --config-from repeats one run; beside it: {', '.join(_BESIDE_CONFIG_FROM)};\n"
                f"{', '.join(_FURTHER)} to train it further; other settings, KEY=VALUE, for a copy with these changes"
            )
    return rest, Path(words[position + 1])


def _changes(words: Sequence[str]) -> list[str]:
    """The words beside `--config-from` that make another run of it."""
    return [word for word in words if word.partition("=")[0].lstrip("+") not in (*_BESIDE_CONFIG_FROM, *_FURTHER)]


def repeating(settings: Mapping[str, Any], run: Path, options: Options, beside: Sequence[str] = ()) -> list[str]:
    """The words that repeat a run with these flat settings. Raises `UserError`.

    Under `outputs` by the name it has; in its own directory, where the words `beside` train it further and name no
    other place; by its name and theirs, where they change other settings. Of a group that is chosen anew the settings
    are kept that were set and that the new option has as well.
    """
    known = {*options.keys(), *_NAMED}
    if unknown := sorted(settings.keys() - known):
        raise UserError(f"{run}: of another version or a script of yours; unknown here: {', '.join(unknown)}")
    place = run.resolve()
    keys = {word.partition("=")[0].lstrip("+") for word in beside}
    changes = _changes(beside)
    chosen = {key.removesuffix(".name"): str(value) for key, value in settings.items() if key in _NAMED}
    anew = {key: word.partition("=")[2] for word in changes if (key := word.partition("=")[0].lstrip("+")) in chosen}
    chosen |= anew
    gone = [key for key in settings if not _kept(options, settings, anew, key)]
    here = bool(keys & {*_FURTHER}) and not changes and not keys & {"outputs", "hydra.run.dir"}
    name = f"{place.parent.name}/{place.name}"
    if changes:
        grown = [f"{key}={_hydra_text(settings[key])}" for key in _FURTHER if f",{key}=" in f",{place.name}"]
        name = f"{place.parent.name}/{renamed(place.name, chosen['norm'], [*grown, *changes, *_further(beside)])}"
    elsewhere = f"'${{outputs_folder:${{outputs}}}}/{_hydra_text(name)[1:-1]}'"
    left_out = {*_NAMED, *gone, *keys, *(() if here else ("device",))}
    values = [f"++{key}={_hydra_text(value)}" for key, value in settings.items() if key not in left_out]
    own = [] if "hydra.run.dir" in keys else [f"hydra.run.dir={_hydra_text(str(place)) if here else elsewhere}"]
    return [*(f"{group}={option}" for group, option in chosen.items() if group not in anew), *values, *own]


def _further(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.partition("=")[0] in _FURTHER]


def _kept(options: Options, settings: Mapping[str, Any], anew: Mapping[str, str], key: str) -> bool:
    """Whether a copy has a setting of a run: of a group chosen anew what was set there and the new option has too."""
    group, _, name = key.partition(".")
    if group not in anew:
        return True
    before, after = (options.groups[group].get(option) for option in (settings[f"{group}.name"], anew[group]))
    if before is None or after is None or name not in settings_of(after):
        return False
    return name in settings_of(before) and settings[key] != settings_of(before)[name].value


def _hydra_text(value: Any) -> str:
    """A value of run.json in Hydra's grammar, taken literally."""
    if isinstance(value, list):
        return f"[{','.join(map(_hydra_text, value))}]"
    if isinstance(value, str):
        return QuotedString(value.replace("${", "\\${"), Quote.single).with_quotes()
    return "null" if value is None else str(value).lower()


def check(words: Sequence[str], options: Options) -> None:
    """Raise `UsageError` for options that Hydra does not have and `UserError` for overrides that cannot be meant."""
    parsed = parsed_arguments(words)
    overrides = OverridesParser.create().parse_overrides(parsed.overrides)
    for folder in (parsed.config_dir, parsed.config_path, *_searched(overrides)):
        for path in sorted(Path(folder).rglob("*.yaml")) if folder else ():
            _check_yaml(path)
    for override in overrides:
        _check(override, options)


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
        raise UserError(f"{path}: not a text in UTF-8") from None


def _check(override: Override, options: Options) -> None:
    key, text = override.key_or_group, override.input_line
    if not key:
        raise UserError(f"'{text}' is not a setting; GROUP=OPTION or KEY=VALUE is expected")
    if override.is_delete():
        if options.has_key(key):
            raise UserError(f"{text}: settings cannot be removed; without an override {key} has its default")
        return
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    kinds = (str, type(None), Glob) if key == "experiment" else (str, Glob)
    if key in GROUPS and not all(isinstance(value, kinds) for value in values):
        raise UserError(f"{text} is not an option; allowed: {', '.join(options.names(key))}")
    if key in _NAMED:
        raise UserError(f"{text}: choose with {key.removesuffix('.name')}={override.get_value_element_as_str()}")
    sections = {section: own for section, own in options.sections().items() if section}
    if key in sections and not all(isinstance(value, dict) for value in values):
        raise UserError(f"{text}: {key} has the settings {', '.join(f'{key}.{name}' for name in sections[key])}")
