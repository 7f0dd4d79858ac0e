"""From overrides to a checked `Config`, by way of Hydra; and back to flat settings.

Hydra composes `conf/`; the settings of each option and their defaults come from the option's class, as nodes of
Hydra's store that the option's file refers to. An option without a file in `conf/`, a row that a user has added to a
table, is stored as an option of its own.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wnexp.config.hydra_errors import explain_hydra
from wnexp.config.naming import run_directory
from wnexp.config.overrides import check, prepared
from wnexp.config.schema import Config, Options, Record, Stop, configs_folder
from wnexp.errors import UserError
from wnexp.settings import Setting, choose, settings


def store(options: Options) -> None:
    """Tell Hydra the settings of the run and of every option."""
    hydra = ConfigStore.instance()
    sections = options.sections()
    run = {name: one.value for name, one in sections.pop("").items()}
    run |= {section: {name: one.value for name, one in own.items()} for section, own in sections.items()}
    hydra.store(group="settings", name="run", node=run)
    for group, table in options.groups.items():
        files = {path.stem for path in (configs_folder() / group).glob("*.yaml")}
        for name, prototype in table.items():
            node = {"name": name} | {key: one.value for key, one in settings(prototype).items()}
            hydra.store(group=f"settings/{group}", name=name, node=node)
            if name not in files:
                hydra.store(group=group, name=name, node=node)


class Composed(NamedTuple):
    """What Hydra makes of a command, and its record of it."""

    content: DictConfig
    hydra: DictConfig

    @property
    def name(self) -> str:
        """Of the run directory, under `outputs`."""
        hydra, outputs = self.hydra.runtime, str(self.content.get("outputs"))
        return run_directory(hydra.choices, self.hydra.overrides.task, hydra.config_sources, outputs)

    def config(self, options: Options) -> Config:
        """The checked configuration. Raises `UserError`, also for a word about what the option chosen has not.

        What an experiment sets for another option than the one chosen is left out; a word of the command is meant.
        """
        config = typed(self.content, options)
        for word in self.hydra.overrides.task:
            key = word.partition("=")[0].lstrip("+")
            group, _, name = key.partition(".")
            if group in options.groups and name and name not in settings(getattr(config, group)):
                raise options.unknown_key(key, config.names[group])
        return config

    def save(self, directory: Path) -> None:
        """Write `.hydra/` into a run directory."""
        folder = directory / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.content, folder / "config.yaml")
        OmegaConf.save(OmegaConf.create({"hydra": self.hydra}), folder / "hydra.yaml")
        OmegaConf.save(self.hydra.overrides.task, folder / "overrides.yaml")


def compose(words: Sequence[str], options: Options) -> Composed:
    """What Hydra composes from the words of `wnexp train`, without options of Hydra's own. Raises `UserError`."""
    store(options)
    try:
        overrides = prepared(words)
        check(overrides, options)
        with initialize_config_dir(str(configs_folder()), version_base="1.3"):
            composed = hydra_compose("config", overrides=overrides, return_hydra_config=True)
    except HydraException as error:
        raise UserError(explain_hydra(error, options)) from None
    OmegaConf.set_struct(composed, False)
    return Composed(hydra=composed.pop("hydra"), content=composed)


def typed(composed: DictConfig, options: Options) -> Config:
    """The checked configuration. Raises `UserError` that names the key, what came and what is allowed."""
    try:
        content: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise _explained(error, options) from None
    names, objects = {}, {}
    for group, table in options.groups.items():
        given = content.pop(group, None)
        if given is not None and not isinstance(given, dict):
            raise UserError(
                f"{group}: {given} in a file gives {group} a value; a file chooses an option by its defaults list, "
                f"- override /{group}: {given}"
            )
        own = given if isinstance(given, dict) else {}
        names[group] = str(own.pop("name", None))
        prototype = choose(table, group, names[group])
        of_group = {key for row in table.values() for key in settings(row)}
        # An experiment may set what another option of the group has.
        own = {key: value for key, value in own.items() if key in settings(prototype) or key not in of_group}
        objects[group] = dataclasses.replace(prototype, **_checked(group, own, settings(prototype), options))
    sections = options.sections()
    values: dict[str, dict[str, Any]] = {}
    for section in ("stop", "record"):
        given = content.pop(section, {})
        if not isinstance(given, dict):
            raise UserError(f"{section}={given}: {section} has the settings {', '.join(sections[section])}")
        values[section] = _checked(section, given, sections[section], options)
    top = _checked("", content, sections[""], options)
    own = {name: values["record"].pop(name) for name in settings(Record)}
    config = Config(
        names=names,
        **objects,
        measures=options.measures,
        stop=Stop(**values["stop"]),
        record=Record(**own, of_measures=values["record"]),
        **top,
    )
    if config.seed + config.seeds > 2**32:
        raise UserError(f"seed={config.seed} seeds={config.seeds}: the last seed must be below 2^32")
    return config


def _checked(section: str, given: Mapping[str, Any], known: Mapping[str, Setting], options: Options) -> dict[str, Any]:
    """The values of a section, each of its type and within its range, defaults where none is given."""
    prefix = f"{section}." if section else ""
    for key in given:
        if key not in known:
            raise options.unknown_key(prefix + key)
    schema = _schema(known)
    values = {key: _whole(value, known[key]) for key, value in given.items()}
    try:
        merged: Any = OmegaConf.to_container(OmegaConf.merge(schema, values), throw_on_missing=True)
    except OmegaConfBaseException as error:
        name = re.split(r"[.\[]", str(error.full_key))[0]
        raise known[name].refusal(prefix + name, given[name]) if name in given else _explained(error, options) from None
    for key, one in known.items():
        one.check(prefix + key, merged[key])
    return merged


_SCHEMAS: dict[str, Any] = {}  # a sweep and a verification check the same sections hundreds of times


def _schema(known: Mapping[str, Setting]) -> Any:
    """The settings with their types and defaults as OmegaConf checks them; not to be changed."""
    key = repr([(name, one.kind, one.value) for name, one in known.items()])
    if key not in _SCHEMAS:
        kinds = [
            (name, one.kind, dataclasses.field(default_factory=lambda one=one: one.value))
            for name, one in known.items()
        ]
        _SCHEMAS[key] = OmegaConf.structured(dataclasses.make_dataclass("Section", kinds))
    return _SCHEMAS[key]


def _whole(value: Any, one: Setting) -> Any:
    """1e2 as 100 where integers are asked for: YAML and Hydra read it as a real number.

    Infinity, which JSON has not, as a word where words are possible; one word for a list of it.
    """
    if isinstance(value, str) and one.kind == list[str]:
        return [value]
    infinite = "inf" in re.findall(r"\w+", one.allowed)
    if (one.whole or infinite) and isinstance(value, list):
        return [_whole(entry, one) for entry in value]
    if infinite and value == math.inf:
        return "inf"
    return int(value) if one.whole and isinstance(value, float) and value.is_integer() else value


def _explained(error: OmegaConfBaseException, options: Options) -> UserError:
    """The error of a value that refers to another."""
    return UserError(f"{error.full_key or 'configuration'}: {explain_hydra(error, options)}")


def from_flat(values: Mapping[str, Any], options: Options) -> Config:
    """The configuration that `flat` made flat. Raises `UserError` for keys of another version."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return typed(OmegaConf.create(nested), options)


def upgraded(values: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """The settings that an early version stored, all those of a group whatever the option, as they are stored now."""
    kept = {}
    for key, value in values.items():
        group, _, name = key.partition(".")
        row = options.groups.get(group, {}).get(values.get(f"{group}.name", ""))
        if row is None or name == "name" or name in settings(row):
            kept[key] = value
    return kept


def _by(key: str, table: Mapping[str, Any]) -> Any:
    """`${by:${norm.name},{swn: 15, ewn: 5, else: 1}}`: the value for the key, for defaults that depend on a choice.

    Raises `UserError` where the table has neither the key nor `else`.
    """
    if key not in table and "else" not in table:
        raise UserError(f"the default has a value for {', '.join(map(str, table))}, none for {key}; give one")
    return table.get(key, table.get("else"))


def _outputs_folder(outputs: Any) -> str:
    """The folder of all runs, looked at before Hydra makes a directory in it."""
    if outputs is None or isinstance(outputs, (ListConfig, DictConfig)) or not str(outputs).strip():
        raise UserError(f"outputs={'null' if outputs is None else outputs} is not a folder; allowed: a path")
    try:
        return str(Path(str(outputs)).expanduser())
    except RuntimeError:
        raise UserError(f"outputs={outputs}: ~ stands for no folder here") from None


OmegaConf.register_new_resolver("by", _by, replace=True)
OmegaConf.register_new_resolver("outputs_folder", _outputs_folder, replace=True)
OmegaConf.register_new_resolver("run_directory", run_directory, replace=True)
