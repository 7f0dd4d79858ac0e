"""Weights of a run for PyTorch."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from wnexp.errors import UserError
from wnexp.nn import torch_layout
from wnexp.runner import reopen
from wnexp.runs import snapshots
from wnexp.runs.files import shown, write_asked
from wnexp.runs.reader import Run


class Exported(NamedTuple):
    """A file of weights, and the Python that makes the module which takes them."""

    file: Path
    module: str


def export(run: Run, seed: int, name: str, file: Path | None = None) -> Exported:
    """Write a snapshot as the state of an `nn.Sequential`: `.pt`, which needs PyTorch, or `.safetensors`.

    By default beside the snapshot, as `NAME.pt`. Raises `UserError` where there is no such snapshot.
    """
    arrays = run.weights(seed, name)
    if arrays is None:
        known = sorted(path.stem for path in (run.directory / snapshots.FOLDER).glob(f"seed={seed}/*.safetensors"))
        held = ", ".join(known) or "none"
        raise UserError(f"{shown(run.directory)}: no snapshot {name} of seed {seed}; it has {held}")
    state, module = torch_layout.to_torch(arrays, reopen(run).network)
    if file is None:
        file = snapshots.path(run.directory, seed, name).with_suffix(".pt")
    if file.suffix == ".safetensors":
        from safetensors.numpy import save

        content = save(state)
        write_asked(file, lambda temporary: temporary.write_bytes(content))
        return Exported(file, module)
    if file.suffix not in snapshots.TORCH_SUFFIXES:
        raise UserError(f"{file}: allowed: {', '.join(snapshots.TORCH_SUFFIXES)}, .safetensors")
    torch = snapshots.torch_for(str(file))
    tensors = {key: torch.from_numpy(np.array(array)) for key, array in state.items()}
    write_asked(file, lambda temporary: torch.save(tensors, temporary))
    return Exported(file, module)
