"""`run.json`: what a run is and how far it is, as a typed record with a checksum."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wnexp.errors import UserError
from wnexp.runs.files import previous, write_atomically

SCHEMA = 2  # 1: before settings belonged to options
RUNNING, FINISHED, FAILED = "running", "finished", "failed"
INTERRUPTED, TERMINATED = "interrupted", "terminated"  # errors of a run that has failed by nothing but a signal
NAME = "run.json"


@dataclass
class Status:
    """The content of `run.json`. Keys of other origin, such as a user's `note`, are kept in `extra`."""

    status: str
    config: dict[str, Any]  # flat settings, and the digests of the files they name
    seeds: list[dict[str, Any]]  # per seed: seed, outcome, log_loss, step, attempts, step_size
    steps: int = 0
    attempts: int = 0
    wall_seconds: float = 0.0
    compile_seconds: float = 0.0
    loop_seconds: float = 0.0
    versions: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    precision: str = ""
    code: str = ""  # fingerprint of the source; empty in runs that did not say
    git_commit: str | None = None
    command: str = ""
    earlier_seconds: float = 0.0  # of the processes before this one
    law: dict[str, Any] | None = None  # of the norm: whether it normalizes, slope of gradient against norm
    labels: dict[str, int] | None = None  # word -> label, where labels of classes came as words
    rule: dict[str, Any] = field(default_factory=dict)  # of the step rule: geometry, power of its gap in the updates
    error: str | None = None
    schema: int = SCHEMA
    extra: dict[str, Any] = field(default_factory=dict)


_CHECKSUM = "sha256"
_FIRST_LAWS = {"none": (False, 1.0), "swn": (True, 1.0), "ewn": (True, -1.0)}  # of runs that did not say
_KNOWN = {entry.name for entry in dataclasses.fields(Status)} - {"extra"}
_KINDS: dict[str, Any] = {"status": str, "config": dict, "seeds": list}
_SEED_KINDS: dict[str, Any] = {"seed": int, "outcome": str, "log_loss": int | float | None}
_LAW_KINDS: dict[str, Any] = {"normalizes": bool, "slope": int | float}
_PERHAPS: dict[str, Any] = {"steps": int, "attempts": int, "versions": dict, "device": str, "precision": str}
_PERHAPS |= dict.fromkeys(("wall_seconds", "compile_seconds", "loop_seconds", "earlier_seconds"), int | float)
_PERHAPS |= {
    "git_commit": str | None,
    "command": str,
    "code": str,
    "error": str | None,
    "law": dict | None,
    "labels": dict | None,
    "rule": dict,
    "schema": int,
}


def write(directory: Path, status: Status, keep_previous: bool = False) -> None:
    """`run.json`, atomically, with a checksum of everything in it that is ours."""
    own = {name: getattr(status, name) for name in _KNOWN if name != "error" or status.error is not None}
    order = [entry.name for entry in dataclasses.fields(Status) if entry.name in own]
    plain = json.loads(json.dumps({name: own[name] for name in order}, default=str, allow_nan=False))
    text = json.dumps(plain | {_CHECKSUM: _checksum(plain)} | status.extra, indent=1) + "\n"
    write_atomically(directory / NAME, lambda temporary: temporary.write_text(text), keep_previous)


def _checksum(content: Mapping[str, Any]) -> str:
    own = {key: value for key, value in content.items() if key in _KNOWN}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def read(directory: Path) -> Status | None:
    """`run.json`, or None if there is none; of a run that goes on, the version before it where it is damaged.

    Raises `UserError` if neither can be read.
    """
    path = directory / NAME
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            return _read(previous(path))
        raise UserError(f"{path} cannot be read ({error}); overwrite=true runs this again from the start") from None


def _read(path: Path) -> Status:
    content = json.loads(path.read_text())
    _check_kinds("", content, _KINDS)
    _check_kinds("config.", content["config"], {"seed": int, "norm.name": str})
    for figures in content["seeds"]:
        _check_kinds("seeds.", figures, _SEED_KINDS)
    if content.get("law") is not None:
        _check_kinds("law.", content["law"], _LAW_KINDS)
    if content.pop(_CHECKSUM, None) not in (None, _checksum(content)):
        raise ValueError("its checksum differs: it is damaged, or was edited")
    known: dict[str, Any] = {key: value for key, value in content.items() if key in _KNOWN}
    extra = {key: value for key, value in content.items() if key not in _KNOWN}
    known.setdefault("schema", 1)
    found = Status(**known, extra=extra)
    if found.schema == 1 and (first := _FIRST_LAWS.get(found.config["norm.name"])):
        found.law = {"normalizes": first[0], "slope": first[1]}
    return found


def _check_kinds(place: str, content: Any, kinds: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless these are the JSON object's entries."""
    if not isinstance(content, dict):
        raise ValueError(f"{place.rstrip('.') or 'it'} is not an object")
    if missing := sorted(kinds.keys() - content.keys()):
        raise ValueError(f"{place}{missing[0]} is missing")
    for key, kind in (_PERHAPS | dict(kinds)).items():
        if key in content and not isinstance(content[key], kind):
            raise ValueError(f"{place}{key} has the wrong type")
