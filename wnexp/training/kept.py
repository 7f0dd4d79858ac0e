"""Compiled programs kept on disk whole: a run of a kind that has been compiled before traces and lowers nothing.

JAX keeps what XLA compiles too, but looks it up by the lowered program, which takes several times as long to make as
the compiled one to load. Here the key is all that a program is made from: the `Program`, the shapes of its arguments,
the source code, the versions, the machine. What cannot be kept, or read, is compiled each time.
"""

import functools
import hashlib
import importlib.metadata
import os
import pickle
import platform
import re
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

from wnexp.resources import cores
from wnexp.training import loop
from wnexp.training.program import Program

_KNOWN_CALLS = ("lapack_", "Sharding", "SPMD")
_DIGEST = hashlib.sha256().digest_size


def folder() -> Path | None:
    """Where JAX keeps compiled programs; None if it keeps none, or if this process is another than the command's own.

    A script or a notebook may have changed what it imports, which no fingerprint of the source shows.
    """
    kept = jax.config.values["jax_compilation_cache_dir"]
    return Path(kept) if kept and jax.config.values["jax_enable_compilation_cache"] and _is_the_command() else None


def _is_the_command() -> bool:
    main = sys.modules["__main__"]
    module = getattr(main, "__spec__", None)  # of `python -m`
    file = Path(getattr(main, "__file__", None) or "")
    return module.name == "wnexp.__main__" if module else file.stem == "wnexp" and file.suffix in ("", ".exe")


@functools.lru_cache(maxsize=32)
def kept_train(program: Program, mesh: Mesh | None, device: Any, code: str, folder: Path) -> loop.Train:
    """`loop.make_train`, whose functions are loaded from the folder or left there.

    `device` is the first one; `code` says which source the program is made of. A program with parts from elsewhere,
    rows that a user has added, is not kept: nothing says when their source changes.
    """
    train, used = loop.make_train(program, mesh), program.samples if mesh is None else mesh
    parts = (program.network.activation, *program.norms, *program.metrics, program.loss, program.rule)
    if {type(part).__module__.partition(".")[0] for part in (*parts, *program.measures)} != {"wnexp"}:
        return train
    try:
        spread = None if used is None else (used.axis_names, used.devices.shape)
        made_from = pickle.dumps((replace(program, samples=None), spread, code, *_surroundings(device)))
    except (pickle.PicklingError, AttributeError, TypeError):
        return train
    devices = [device] if used is None else list(used.devices.flat)
    functions = {
        name: _loaded_at_first_use(getattr(train, name), made_from + name.encode(), devices, folder)
        for name in ("start", "chunk", "weights", "limit", "outputs")
    }
    return train._replace(**functions)


def _surroundings(device: Any) -> tuple[str, ...]:
    """What a compiled program is for, beside the program."""
    flags = (os.environ.get(name, "") for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS"))
    here = (jax.__version__, importlib.metadata.version("jaxlib"), device.client.platform_version, device.device_kind)
    return (*here, *flags, str(cores()), str(jax.config.values["jax_enable_x64"]), _processor())


@functools.cache
def _processor() -> str:
    """The processor with what it can do: a folder of programs may be shared by machines that differ."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return "".join(line for line in lines if line.split("\t")[0] in ("model name", "flags", "Features"))
    return platform.processor()


def _loaded_at_first_use(function: Any, key: bytes, devices: list[Any], folder: Path) -> Callable:
    programs: dict[Hashable, Any] = {}

    def call(*arguments: Any) -> Any:
        leaves = jax.tree.leaves(arguments)  # their structure is the program's
        shapes = tuple((getattr(a, "shape", None), str(getattr(a, "dtype", type(a)))) for a in leaves)
        if shapes not in programs:
            file = folder / f"wnexp-{hashlib.sha256(key + repr(shapes).encode()).hexdigest()}"
            programs[shapes] = _read(file, devices) or _made(function, arguments, file)
        return programs[shapes](*arguments)

    return call


def _read(file: Path, devices: list[Any]) -> Any:
    """The program in the file; None if there is none that is whole."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # another's folder
        os.utime(file)  # what was not used for longest goes first
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return None
    with suppress(Exception):  # whatever XLA finds wrong with it: it is compiled again
        calls, *program = pickle.loads(content[_DIGEST:])
        if any(name.startswith("lapack_") for name in calls):
            _set_up_lapack()
        return serialize_executable.deserialize_and_load(*program, execution_devices=devices)
    return None


@functools.cache
def _set_up_lapack() -> None:
    """JAX finds the functions that XLA calls when it lowers a program with them, which a program from a file is not."""
    jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), "float32"))


def _made(function: Any, arguments: tuple, file: Path) -> Any:
    lowered = function.lower(*arguments)
    calls = set(re.findall(r"custom_call @(\w+)", lowered.as_text()))
    if not all(name.startswith(_KNOWN_CALLS) for name in calls):
        return function  # nothing says that what it calls is there in another process
    with _compiled_here():
        compiled = lowered.compile()
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    with suppress(Exception):  # some programs cannot be kept, some folders not written: the next run compiles again
        file.parent.mkdir(parents=True, exist_ok=True)
        content = pickle.dumps((calls, *serialize_executable.serialize(compiled)))
        beside.write_bytes(hashlib.sha256(content).digest() + content)
        beside.replace(file)
    with suppress(OSError):
        beside.unlink(missing_ok=True)
    return compiled


@contextmanager
def _compiled_here() -> Iterator[None]:
    """Without JAX's cache: what XLA has loaded it does not write again as a whole."""
    enabled = jax.config.values["jax_enable_compilation_cache"]
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        compilation_cache.reset_cache()
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()
