"""The files that a run was trained on: whether they are what they were, and where they are now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wnexp.config.compose import from_flat
from wnexp.config.schema import Config, Options
from wnexp.errors import UserError
from wnexp.runs import identity
from wnexp.runs.files import shown
from wnexp.runs.reader import Run


def changed_files(run: Run, config: Config) -> dict[str, str]:
    """The settings whose files are no longer those that a run was trained on -> `PATH (what is wrong)`."""
    now, found = identity.identity(config), {}
    for key, digest in run.config.items():
        if identity.is_digest(key) and now.get(key) != digest:
            name = identity.digested(key)
            found[name] = f"{now[name]} ({'other contents' if key in now else 'not there'})"
    return found


def found_again(
    run: Run, settings: Mapping[str, Any], elsewhere: Mapping[str, str], options: Options
) -> dict[str, Any]:
    """The flat settings of a run with its files at other places, `elsewhere`: key -> path.

    Raises `UserError` unless the contents there are, byte by byte, those that the run was trained on.
    """
    if not elsewhere:
        return dict(settings)
    had = {identity.digested(key) for key in run.config if identity.is_digest(key)}
    for key, path in elsewhere.items():
        if key not in had:
            value = settings.get(key)
            reason = f"no {key}" if key not in settings else f"{key}={'null' if value is None else value}"
            raise UserError(
                f"{key}={path}: {shown(run.directory)} was trained with {reason}, on no file to compare with"
            )
    moved = dict(settings) | {key: str(Path(path).expanduser().absolute()) for key, path in elsewhere.items()}
    changed = changed_files(run, from_flat(moved, options))
    for key, path in elsewhere.items():
        if key in changed:
            told = "other contents than" if "other contents" in changed[key] else "not there, so not"
            raise UserError(f"{key}={path}: {told} the files that {shown(run.directory)} was trained on")
    return moved
