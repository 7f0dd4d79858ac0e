"""Snapshots: the effective weights of a seed at a moment of its run, as safetensors.

`snapshots/seed=3/NAME.safetensors` with NAME `initial`, `final`, `log_loss=-100`, or what was made of one.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wnexp.errors import UserError
from wnexp.runs import sealed
from wnexp.runs.files import write_atomically

FOLDER = "snapshots"
INITIAL, FINAL = "initial", "final"
TORCH_SUFFIXES = (".pt", ".pth", ".bin")
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
    if file.suffix in TORCH_SUFFIXES:
        return _read_torch(file)
    try:
        arrays = sealed.unpack(file)[0]
        return {key: arrays[key] for key in sorted(arrays, key=_natural)}
    except ValueError as error:
        raise UserError(f"{file}: not a readable weights file ({error})") from None


def torch_for(what: str) -> Any:
    """PyTorch. Raises `UserError` where it is not installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(f"{what} needs PyTorch (pip install torch); .safetensors does not") from None
    return torch


def _natural(name: str) -> list[tuple[int, str]]:
    """`10.weight` behind `2.weight`: a safetensors file has lost the order of the modules."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_torch(file: Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch checkpoint by name, those of its `state_dict` or `model` if that is where they are."""
    torch = torch_for(str(file))
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever is wrong with it, it is the file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{file}: not a checkpoint of tensors alone ({reason})") from None
    for name in ("state_dict", "model_state_dict", "model"):
        content = content[name] if isinstance(content, dict) and isinstance(content.get(name), dict) else content
    if not isinstance(content, dict) or not all(torch.is_tensor(value) for value in content.values()):
        raise UserError(f"{file}: not a state of tensors by name")
    tensors = {name: value.float() if value.dtype is torch.bfloat16 else value for name, value in content.items()}
    return {name: value.numpy() for name, value in tensors.items()}


def log_losses(directory: Path) -> list[float]:
    """The log losses at which any seed of a run has a snapshot, in the order they were reached."""
    names = {file.stem for file in (directory / FOLDER).glob("seed=*/log_loss=*.safetensors")}
    return sorted((float(match[1]) for name in names if (match := _LEVEL.fullmatch(name))), reverse=True)
