"""One process at a time in a run directory: a lock that dies with its owner, however that ends."""

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wnexp.errors import UserError

NAME = ".lock"
_TRIES = 5  # whoever only looks whether a run goes on holds its lock for an instant
_NO_LOCKS_HERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class BusyError(UserError):
    """Another process runs here."""


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Own `directory`, which is made if it is missing. Raises `BusyError` that says who owns it and since when.

    Where files cannot be written or locked there is no lock: nothing can be mixed, or the user has to see to it.
    """
    try:
        descriptor = _acquire(directory)
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
        descriptor = None
    if descriptor is None:
        yield
        return
    try:
        yield
    finally:
        try:
            with suppress(OSError):
                (directory / NAME).unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _acquire(directory: Path) -> int:
    path = directory / NAME
    owner: dict[str, Any] = {}
    for _ in range(_TRIES):
        directory.mkdir(parents=True, exist_ok=True)  # a refused command removes the empty folder that it made
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may be a file that its last owner removed after we had opened it.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                _sign(descriptor)
                return descriptor
        except BlockingIOError:
            owner = _read(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(0.02)
    since = f", for {_age(time.time() - owner['started'])}" if "started" in owner else ""
    raise BusyError(f"it is being run by process {owner.get('pid', '?')} on {owner.get('host', '?')}{since}")


def _sign(descriptor: int) -> None:
    owner = {"pid": os.getpid(), "host": platform.node(), "started": time.time()}
    with suppress(OSError):  # locked all the same on a full disk
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _read(descriptor: int) -> dict[str, Any]:
    with suppress(ValueError):
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return owner if isinstance(owner, dict) else {}
    return {}


def _age(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def is_held(directory: Path) -> bool:
    """Whether a process runs in `directory` now."""
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
