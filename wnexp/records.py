"""The run directory: finding runs, their status, what makes a run this run; writing files. No jax.

Every file is written beside its place, synced and renamed, so a reader never sees half a file and a full disk
costs no file that was there.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wnexp import memory, sealed
from wnexp.config import Config, UserError, as_dict
from wnexp.images import SOURCES
from wnexp.tables import schema as schema


def previous(path: Path) -> Path:
    """Where the version before the last one is kept."""
    return path.with_name(f".{path.name}.previous")


def write_atomically(path: Path, write, keep_previous: bool = False) -> None:
    """Call `write(temporary path)`, sync, then rename it to `path`. Raises `OSError` of `path`, which is as it was.

    What was there before is kept as `previous(path)` if asked for, where the file system has links.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        if keep_previous and path.exists():
            with suppress(OSError):
                previous(path).unlink(missing_ok=True)
                os.link(path, previous(path))
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
        raise


def write_status(directory: Path, content: Mapping[str, Any], keep_previous: bool = False) -> None:
    """`run.json`, atomically, with a checksum of everything else in it."""
    plain = json.loads(json.dumps(content, default=str, allow_nan=False))
    text = json.dumps(plain | {_CHECKSUM: _checksum(plain)}, indent=1) + "\n"
    write_atomically(directory / "run.json", lambda temporary: temporary.write_text(text), keep_previous)


def _checksum(status: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in status.items() if key != _CHECKSUM}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_table(path: Path, table: pa.Table, keep_previous: bool = False) -> None:
    """A parquet file, atomically, with a checksum on every page."""
    write_atomically(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True), keep_previous)


def read_table(path: Path) -> pa.Table:
    """A parquet file, its checksums verified.

    Raises `UserError` if it says that it holds more than the memory, `OSError` or `ValueError` if it is damaged.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as stored:
        memory.check(8 * stored.metadata.num_rows * stored.metadata.num_columns, f"{path} as it says")
        return stored.read()


def save_weights(path: Path, weights: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Effective weights of all layers as safetensors: keys `layers.0.weight`, `layers.0.bias`, ..."""
    arrays = {f"layers.{index}.{name}": array for index, layer in enumerate(weights) for name, array in layer.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: temporary.write_bytes(sealed.pack(arrays, {})))


def load_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a weights file by key. Raises `UserError` if it is missing, damaged or not a safetensors file."""
    try:
        return sealed.unpack(path)[0]
    except ValueError as error:
        raise UserError(f"{path}: not a readable weights file ({error})") from None


# What readers of run.json rely on, and what may be missing but must be of its kind.
_STATUS = {"status": str, "config": dict, "seeds": list}
_SEED_FIGURES = {"seed": int, "outcome": str, "log_loss": int | float | None}
_CHECKSUM = "sha256"
_PERHAPS = {"wall_seconds": int | float, "loop_seconds": int | float, "versions": dict, "error": str}


def _check_kinds(place: str, content: Any, kinds: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless these are the JSON object's entries."""
    if not isinstance(content, dict):
        raise ValueError(f"{place.rstrip('.') or 'it'} is no object")
    if missing := sorted(kinds.keys() - content.keys()):
        raise ValueError(f"{place}{missing[0]} is missing")
    for key, kind in (_PERHAPS | dict(kinds)).items():
        if key in content and not isinstance(content[key], kind):
            raise ValueError(f"{place}{key} is of another kind")


def read_status(directory: Path) -> dict[str, Any] | None:
    """`run.json`, or None if there is none; of a run that goes on, the version before it where it is damaged.

    Raises `UserError` if neither can be read.
    """
    path = directory / "run.json"
    try:
        return _read_status(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            return _read_status(previous(path))
        raise UserError(f"{path} cannot be read ({error}); overwrite=true runs this again from the start") from None


def _read_status(path: Path) -> dict[str, Any]:
    status = json.loads(path.read_text())
    _check_kinds("", status, _STATUS)
    _check_kinds("config.", status["config"], {"seed": int, "norm.name": str})
    for figures in status["seeds"]:
        _check_kinds("seeds.", figures, _SEED_FIGURES)
    if status.pop(_CHECKSUM, None) not in (None, _checksum(status)):
        raise ValueError("its checksum differs: it is damaged, or was edited")
    return status


def runs_at(paths: Sequence[Path]) -> list[Path]:
    """The run directories at or below the paths, or of the experiments of those names; the newest run without a path.

    Raises `UserError` where there is none.
    """
    found = [run for path in paths for run in _runs_at(path)] if paths else [_newest(Path("outputs"))]
    return list(dict.fromkeys(run.resolve() for run in found))


def _runs_at(path: Path) -> list[Path]:
    for place in (path, Path("outputs") / path):
        if place.exists():
            runs = find_runs(place)
            if runs:
                return runs
            raise UserError(f"{place} holds no run (a run is a folder with run.json)")
    raise UserError(f"{path}: no such run directory, folder of runs, or experiment under outputs/")


def _newest(root: Path) -> Path:
    runs = find_runs(root)
    if not runs:
        raise UserError(f"no runs under {root}/ here; `wnexp train +norm=ewn` makes one")
    return max(runs, key=lambda run: (run / "run.json").stat().st_mtime_ns)


def find_runs(path: Path) -> list[Path]:
    """Every run directory at or below `path`, in the order of their names."""
    if (path / "run.json").is_file():
        return [path]
    return sorted(found.parent for found in path.rglob("run.json"))


_FILES = ("data.path", "data.dir", "model.initial_weights")
_DIGEST = "(sha256)"


def identity(config: Config) -> dict[str, Any]:
    """The configuration, its paths absolute, and the contents of the files it names: what makes a run this run."""
    flat = as_dict(config)
    for key in _FILES:
        if flat[key] is not None:
            path = Path(flat[key]).expanduser().resolve()
            flat[key] = str(path)
            files = _data_files(config, path) if key == "data.dir" else [path]
            if files and all(file.is_file() for file in files):
                flat[f"{key} {_DIGEST}"] = _digest(files)
    return flat


def _data_files(config: Config, folder: Path) -> list[Path]:
    """The files in the user's folder that the data set is read from."""
    source = SOURCES.get(config.data.name)
    names = [] if source is None else list(source.files)
    places = [(folder / name, folder / name.removesuffix(".gz")) for name in names]
    return [place for pair in places for place in pair if place.is_file()]


def _digest(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()[:16]


def differing_keys(stored: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, as `key (stored -> now)`; a file with the same contents is the same anywhere."""
    now = json.loads(json.dumps(config, default=str))
    keys = [key for key in sorted({*stored, *now}) if stored.get(key) != now.get(key)]
    moved = [key for key in _FILES if (digest := f"{key} {_DIGEST}") in stored and digest in now and digest not in keys]
    return [f"{key} ({stored.get(key)} -> {now.get(key)})" for key in keys if key not in moved]


def schema_changes(stored: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The settings that a version of wnexp has and the other has not: added since `stored`, gone since."""
    old, new = ({key for key in keys if _DIGEST not in key} for keys in (stored, config))
    return sorted(new - old), sorted(old - new)


def with_new_defaults(stored: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with the settings added since, as far as `config` has them at their defaults."""
    defaults = as_dict(Config())
    added, _ = schema_changes(stored, config)
    return dict(stored) | {key: config[key] for key in added if config[key] == defaults[key]}
