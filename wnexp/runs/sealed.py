"""Arrays in a safetensors file that carries a checksum of them: a flipped bit is noticed, other tools read on."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_DIGEST = "sha256"
_TYPES = "float16, float32, float64"


def pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The file's content."""
    from safetensors.numpy import save

    ordered = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    return save(ordered, metadata=dict(metadata) | {_DIGEST: _digest(ordered, metadata)})


def unpack(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata. Raises `ValueError` for a file that is not as it was written (if it says how)."""
    from safetensors import safe_open

    try:
        with safe_open(path, "numpy") as stored:
            arrays = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
            metadata = dict(stored.metadata() or {})
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except AttributeError as error:  # of numpy, which lacks the type
        raise ValueError(f"numbers of type {error.name}, which numpy does not have; allowed: {_TYPES}") from None
    except Exception as error:  # whatever is wrong with it, it is the file
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None
    if metadata.pop(_DIGEST, None) not in (None, _digest(arrays, metadata)):
        raise ValueError("checksum mismatch")
    return arrays, metadata


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    total = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for key in sorted(arrays):
        total.update(repr((key, arrays[key].dtype.str, arrays[key].shape)).encode())
        total.update(arrays[key].tobytes())
    return total.hexdigest()
