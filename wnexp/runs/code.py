"""Which code has made a run: a fingerprint of the package's source, and the commit that it was checked out from."""

import hashlib
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
_CHANGES_NO_NUMBER = {"cli", "figures", "collection.py", "loggers.py", "report"}  # what trains is not made of them


@cache
def fingerprint(package: Path = PACKAGE) -> str:
    """Twelve hexadecimal digits of the source of whatever can change a number, whether it is committed or not."""
    total = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package)
        if place.parts[0] not in _CHANGES_NO_NUMBER:
            total.update(f"{place.as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def commit(checkout: Path = PACKAGE.parent) -> str | None:
    """The commit of a checkout, with `-dirty` behind it where its files are others; None for an installed package."""
    if not (checkout / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        words = ["git", "-C", checkout, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=5)
        return done.stdout.strip() if done.returncode == 0 else None
    return None
