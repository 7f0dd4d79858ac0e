"""The name of a run directory: one run, however its command is spelled and ordered, has one name.

`norm=ewn,optimizer.step_size=0.001`: overrides in one folder rather than a folder each (`norm=ewn/seed=0`): a run would
stand inside another one, and an override more would move it. The names hold nothing that shells and globs read.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wnexp.config.hydra_private import composed
from wnexp.config.schema import GROUPS
from wnexp.errors import UserError

_DEFAULT_DATA = "lin_sep"  # whose experiment is the default run, snapshots apart
_SILENT = {"distributed", "overwrite", "outputs", "experiment", "logger", "objective"}


def run_directory(
    choices: Mapping[str, Any], overrides: Sequence[str], sources: Sequence[Any] = (), outputs: Any = None
) -> str:
    """`<experiment or data name>/<norm and overrides, readable>`, from the overrides; of a key given twice the last.

    Overrides that change nothing are left out, as far as the folders of option files, `sources`, tell; the norm is
    named always. Adding an override to a command renames no other run. Characters that a file name cannot hold are
    replaced and a digest of the exact text appended. A run that is under `outputs` by the name that an earlier version
    gave it keeps that.
    """
    parent = str(choices.get("experiment") or choices["data"])
    both = _is_experiment(parent, sources)  # a data set and an experiment have that name
    silent = _SILENT | (set() if choices.get("experiment") or (both and parent != _DEFAULT_DATA) else {"data"})
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    given = {}  # key -> (as typed, parsed)
    for text, override in zip(overrides, parsed, strict=True):
        if override.key_or_group not in silent:
            given[override.get_key_element().lstrip("+~")] = (text, override)
    idle = _idle({key: (text, one) for key, (text, one) in given.items() if key != "norm"}, overrides, sources)
    named = {key: _named(key, text, one, _text) for key, (text, one) in given.items() if key not in idle}
    named["norm"] = f"norm={choices['norm']}"
    name = f"{parent}/{_safe(','.join(sorted(named.values())), '')}"
    experiment = choices.get("experiment")
    before = {key: typed for key, typed in given.items() if experiment or key != "data"}
    earlier = ",".join(sorted(_named(key, text, one, _earlier_text) for key, (text, one) in before.items()))
    earlier = f"{parent}/{_safe(earlier, '[]{}():~') or 'default'}"
    place = None if outputs is None else str(outputs)
    if place is None or _command(place, name) is not None or (command := _command(place, earlier)) is None:
        return name
    return name if "data" in named and not experiment and "experiment=" in command else earlier


def _is_experiment(name: str, sources: Sequence[Any]) -> bool:
    folders = [Path(source["path"]) for source in sources if source["path"]]
    return any((folder / "experiment" / f"{name}.yaml").is_file() for folder in folders)


def renamed(name: str, norm: str, changes: Sequence[str]) -> str:
    """The name of a copy of the run of that name, with these words changed."""
    named = dict(part.split("=", 1) for part in name.split(",") if "=" in part)
    rest = [part for part in name.split(",") if "=" not in part and part != "default"]
    for text, override in zip(changes, OverridesParser.create().parse_overrides(list(changes)), strict=True):
        key = override.get_key_element().lstrip("+~")
        named[key] = _named(key, text, override, _text).partition("=")[2]
    named["norm"] = norm
    return _safe(",".join([*rest, *sorted(f"{key}={value}" for key, value in named.items())]), "[]{}():~")


def _command(outputs: str, name: str) -> str | None:
    """The command of the run that is there by that name, None without one."""
    file = Path(outputs).expanduser() / name / "run.json"
    try:
        return str(json.loads(file.read_text("utf-8")).get("command", ""))
    except (OSError, RuntimeError):
        return None
    except (ValueError, AttributeError):  # damaged, but a run
        return ""


def _safe(exact: str, allowed: str) -> str:
    """The text as a file name can hold it, of 160 bytes at most and a digest of what is not in it."""
    replaced = re.sub(rf"[^\w.,=+\-{re.escape(allowed)}]", "_", exact)
    name = replaced.encode()[:160].decode(errors="ignore")  # file systems count bytes
    return name if name == exact else f"{name}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def _named(key: str, typed: str, override: Any, text_of: Any) -> str:
    return typed if override.is_delete() else f"{key}={text_of(override.value(), typed.split('=', 1)[1])}"


def _idle(given: Mapping[str, tuple[str, Any]], overrides: Sequence[str], sources: Sequence[Any]) -> set[str]:
    """The keys whose overrides change nothing: what Hydra composes without all of them is the same."""
    if not given or not sources:
        return set()
    places = json.dumps([dict(source) for source in sources])
    experiments = [word for word in overrides if word.startswith(("experiment=", "+experiment="))]
    groups = [word for word in overrides if word.partition("=")[0].lstrip("+") in GROUPS and word not in experiments]
    with suppress(HydraException, OmegaConfBaseException, UserError):  # whoever runs it says what is wrong
        default, choices = composed((*experiments, *groups), places), composed((*experiments,), places).hydra
        idle = {
            key
            for key, (_, override) in given.items()
            if not override.is_delete()
            and override.value()
            == (choices.runtime.choices.get(key) if key in GROUPS else _plain(OmegaConf.select(default, key)))
        }
        rest = [word for word in overrides if not any(word == given[key][0] for key in idle)]
        if idle and _content(composed((*rest,), places)) == _content(composed((*overrides,), places)):
            return idle
    return set()


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _content(config: Any) -> Any:
    return {key: _plain(config[key]) for key in config if key not in ("hydra", *_SILENT)}


def _text(value: Any, typed: str) -> str:
    """A value as text: numbers in one form wherever they stand, lists as `8+8`, everything else as it was typed."""
    if isinstance(value, list) and not any(isinstance(entry, list) for entry in value):
        return "+".join(_earlier_text(entry, str(entry)) for entry in value) or "none"
    return _earlier_text(value, typed)


def _earlier_text(value: Any, typed: str) -> str:
    """As `_text`, with brackets around lists."""
    if isinstance(value, list):
        return f"[{','.join(_earlier_text(entry, str(entry)) for entry in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
            return str(int(value))
        return re.sub(r"e\+?(-?)0*", r"e\1", repr(value))
    return str(int(typed)) if re.fullmatch(r"[+-]?[0-9]+", typed) else typed  # 01 is a text to Hydra, a number to us
