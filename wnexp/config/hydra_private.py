"""What needs Hydra's private modules, and nothing else: if Hydra moves them, this file changes alone."""

import json
from argparse import Namespace
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from wnexp.errors import UsageError


def parsed_arguments(words: Sequence[str]) -> Namespace:
    """The command line as Hydra reads it. Raises `UsageError` for an option that it does not have."""

    def refuse(message: str):
        raise UsageError(f"{message} (wnexp train --help)")

    parser = get_args_parser()
    parser.error = refuse
    return parser.parse_args(list(words))


@lru_cache(maxsize=64)  # a sweep asks for the same of every job
def composed(words: tuple[str, ...], sources: str) -> DictConfig:
    """What Hydra composes from these overrides and `sources`, the JSON of `hydra.runtime.config_sources`.

    While a job is being composed, when the public functions cannot be called. Not to be changed. Raises Hydra's errors.
    """
    path = ConfigSearchPathImpl()
    for source in json.loads(sources):
        path.append(source["provider"], f"{source['schema']}://{source['path']}")
    return ConfigLoaderImpl(path).load_configuration("config", list(words), RunMode.RUN)


@contextmanager
def composed_once(words: Sequence[str]) -> Iterator[None]:
    """While a command runs, Hydra reads and merges the options of a choice once, and sets values in copies of that.

    A sweep's jobs, which Hydra composes twice each, differ in values above all; the name of a run is found by composing
    without them. Nor is everything composed once more to read `hydra.mode`. Where Hydra's own words or other folders
    are given, which may set that or bring other options, all is as Hydra does it.
    """
    asks, loads = Hydra.get_mode, ConfigLoaderImpl.load_configuration
    if not any(word.lstrip("+~").startswith(("hydra.", "hydra/", "hydra@", "--config", "-c")) for word in words):
        Hydra.get_mode = lambda *_, **__: None
        ConfigLoaderImpl.load_configuration = _from_choices(loads)
    try:
        yield
    finally:
        Hydra.get_mode, ConfigLoaderImpl.load_configuration = asks, loads


def _from_choices(loads: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """`ConfigLoaderImpl.load_configuration` with a memory of what it makes of choices alone."""
    made: dict[Hashable, DictConfig] = {}

    def load(self: Any, config_name: str, overrides: list[str], run_mode: RunMode, *more: Any, **others: Any):
        parsed = OverridesParser.create().parse_overrides(overrides)
        if any(one.is_sweep_override() for one in parsed):
            return loads(self, config_name, overrides, run_mode, *more, **others)
        values = [one for one in parsed if _sets_a_value(one, self.repository)]
        choices = [word for word, one in zip(overrides, parsed, strict=True) if one not in values]
        places = [(place.provider, place.path) for place in self.config_search_path.get_path()]
        key = (*places, config_name, *choices, run_mode)
        if key not in made:
            made[key] = loads(self, config_name, choices, run_mode, *more, **others)
        composed, of_task = deepcopy(made[key]), [one for one in parsed if not one.is_hydra_override()]
        self._apply_overrides_to_config(values, composed)
        composed.hydra.overrides.task = [one.input_line for one in of_task]
        how = composed.hydra.job.config.override_dirname
        composed.hydra.job.override_dirname = get_overrides_dirname(of_task, how.exclude_keys, how.item_sep, how.kv_sep)
        return composed

    return load


def _sets_a_value(override: Override, repository: Any) -> bool:
    if override.is_hydra_override():
        return False
    return isinstance(override.value(), dict) or not repository.group_exists(override.key_or_group)
