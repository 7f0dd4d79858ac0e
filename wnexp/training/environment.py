"""JAX as every run needs it, whatever the environment says of it: numbers depend on the command alone.

`pin` is called before a run, or anything else here, computes. It changes JAX for the whole process.
"""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax

from wnexp.errors import UserError
from wnexp.resources import cache_folder, cores

_PINNED: dict[str, Any] = {
    # The bits of every shuffle.
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    # The arithmetic.
    "jax_default_matmul_precision": "highest",
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    # Infinities and NaN are selected away here, results come back to the host: neither is an error.
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_transfer_guard": "allow",
    # What else stops or loses a computation.
    "jax_check_tracer_leaks": False,
    "jax_enable_checks": False,
    "jax_no_execution": False,
    "jax_no_tracing": False,
    "jax_raise_persistent_cache_errors": False,
    # The device is a setting.
    "jax_default_device": None,
    "jax_platform_name": "",
}

_MOST_BYTES = 2**30  # of compiled programs
_PROGRAMS: dict[str, Any] = {
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 0.1,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


def pin() -> None:
    """Set what a run depends on, a device per core, and where compiled programs are kept.

    Raises `UserError` for XLA_FLAGS that XLA would end the process for.
    """
    _check_flags(os.environ.get("XLA_FLAGS", ""))
    # Kept or not, a program is the same.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    for name, value in _PINNED.items():
        with suppress(AttributeError):  # another version of JAX, which has no such setting
            jax.config.update(name, value)
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with suppress(RuntimeError):  # JAX has started already
            jax.config.update("jax_num_cpu_devices", cores())
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") is None:
        _keep_programs()


@contextmanager
def restored() -> Iterator[None]:
    """JAX's settings and the warnings as they were, afterwards: a notebook computes with JAX for itself.

    How many devices the cores are cannot be changed once JAX has started.
    """
    names = [name for name in (*_PINNED, *_PROGRAMS, "jax_enable_x64") if name in jax.config.values]
    before = {name: jax.config.values[name] for name in names}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@cache
def _check_flags(flags: str) -> None:
    """Let a process of its own read the flags, if there are any: XLA calls abort for one that it does not know."""
    if not flags.strip() or not sys.executable:
        return
    probe = "from jaxlib import xla_client; xla_client.CompileOptions()"
    with suppress(OSError):
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
        refusal = re.search(r"^[EF]\d{4} .*?\] (.*)", done.stderr, re.MULTILINE)  # of XLA's log
        if done.returncode and refusal:
            raise UserError(f"XLA_FLAGS={flags}: {refusal[1].strip()}")


def _keep_programs() -> None:
    """Keep compiled programs in the user's cache folder, where there is one."""
    if (own := cache_folder()) is None:
        return
    folder = own / "jax"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        drop_unused(folder, _MOST_BYTES)
        for name, value in (_PROGRAMS | {"jax_compilation_cache_dir": str(folder)}).items():
            jax.config.update(name, value)


def drop_unused(folder: Path, most: int) -> None:
    """Remove the programs that were not used for longest, where all of them are more bytes than `most`.

    JAX's own bound needs another library and a lock for every program that is looked up.
    """
    found = []
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):  # another process removes it too
                kept = entry.stat()
                found.append((max(kept.st_atime, kept.st_mtime), kept.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        with suppress(OSError):
            Path(path).unlink()
        total -= size


def asked_platforms() -> str | None:
    """The kinds of devices that JAX_PLATFORMS keeps to."""
    return jax.config.values["jax_platforms"]


def platforms() -> list[str]:
    """The kinds of devices that may be used. Raises `UserError` where there are none."""
    try:
        return sorted({device.platform for device in jax.devices()})
    except (RuntimeError, AssertionError) as error:
        if asked := asked_platforms():
            message = f"JAX_PLATFORMS={asked} leaves no device of this machine; unset it, or set it to cpu"
            raise UserError(message) from None
        reason = str(error).partition("\n")[0]
        raise UserError(f"JAX finds no device here ({reason}); JAX_PLATFORMS=cpu keeps to the cpu") from None
