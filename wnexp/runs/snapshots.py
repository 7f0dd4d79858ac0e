"""Snapshots: the effective weights of a seed at a moment of its run, as safetensors.

`snapshots/seed=3/NAME.safetensors` with NAME `initial`, `final`, `log_loss=-100`, or what was made of one.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wnexp.errors import UserError
from wnexp.runs import sealed
from wnexp.runs.files import write_atomically

FOLDER = "snapshots"
INITIAL, FINAL = "initial", "final"
_LEVEL = re.compile(r"log_loss=(-?[\d.]+(?:e[+-]?\d+)?)")


def at(log_loss: int | float) -> str:
    """The name of the snapshot taken where the log loss was first at most that."""
    return f"log_loss={log_loss:.12g}"


def path(directory: Path, seed: int, name: str) -> Path:
    """Where a snapshot of a run is."""
    return directory / FOLDER / f"seed={seed}" / f"{name}.safetensors"


def write(directory: Path, seed: int, name: str, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write a snapshot of a run; returns its path."""
    file = path(directory, seed, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda temporary: temporary.write_bytes(sealed.pack(arrays, {})))
    return file


def read(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a weights file by key. Raises `UserError` if it is missing, damaged or not a safetensors file."""
    if not file.is_file():
        raise UserError(f"{file}: {'a folder, not a weights file' if file.is_dir() else 'no such file'}")
    try:
        return sealed.unpack(file)[0]
    except ValueError as error:
        raise UserError(f"{file}: not a readable weights file ({error})") from None


def log_losses(directory: Path) -> list[float]:
    """The log losses at which any seed of a run has a snapshot, in the order they were reached."""
    names = {file.stem for file in (directory / FOLDER).glob("seed=*/log_loss=*.safetensors")}
    return sorted((float(match[1]) for name in names if (match := _LEVEL.fullmatch(name))), reverse=True)
