"""What needs Hydra's private modules, and nothing else: if Hydra moves them, this file changes alone."""

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
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
    """Hydra composes everything once more to read `hydra.mode`, which only its own words or other folders can set."""
    asks = Hydra.get_mode
    if not any(word.lstrip("+~").startswith(("hydra.", "hydra/", "hydra@", "--config", "-c")) for word in words):
        Hydra.get_mode = lambda *_, **__: None
    try:
        yield
    finally:
        Hydra.get_mode = asks
