"""What makes a run this run: its settings, its paths absolute, and the contents of the files that they name."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wnexp.config.schema import Config, flat

_DIGEST = "(sha256)"


def identity(config: Config) -> dict[str, Any]:
    """The flat settings of a run, with the digests of the files that it reads."""
    settings = flat(config)
    seeds = range(config.seed, config.seed + config.seeds)
    for group, found in (("data", config.data.files()), ("model", config.model.files(seeds))):
        for name, files in found.items():
            key = f"{group}.{name}"
            settings[key] = str(Path(settings[key]).expanduser().resolve())
            if files and all(file.is_file() for file in files):
                settings[f"{key} {_DIGEST}"] = _digest(files)
    return settings


def _digest(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()[:16]


def is_digest(key: str) -> bool:
    """Whether that is the digest of a file and no setting."""
    return _DIGEST in key


def digested(key: str) -> str:
    """The setting whose file that is the digest of."""
    return key.removesuffix(f" {_DIGEST}")


def settings_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without the digests."""
    return {key: value for key, value in identity.items() if not is_digest(key)}


def differing_keys(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, as `key (stored -> now)`; a file with the same contents is the same anywhere."""
    now = json.loads(json.dumps(now, default=str))
    keys = [key for key in sorted({*stored, *now}) if stored.get(key) != now.get(key)]
    digests = [key for key in stored if is_digest(key) and key in now and key not in keys]
    moved = {digested(key) for key in digests}
    return [f"{key} ({stored.get(key)} -> {now.get(key)})" for key in keys if key not in moved]


def schema_changes(stored: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The settings that a version of wnexp has and the other has not: added since `stored`, gone since."""
    old, new = settings_of(stored).keys(), settings_of(now).keys()
    return sorted(new - old), sorted(old - new)


def with_new_defaults(stored: Mapping[str, Any], now: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with the settings added since, as far as `now` has them at their defaults."""
    added, _ = schema_changes(stored, now)
    return dict(stored) | {key: now[key] for key in added if now[key] == defaults[key]}
