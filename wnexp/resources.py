"""How many cores, how much memory and what place for caches there are.

What cannot fit is refused before the system kills the process without a word.
"""

import os
from contextlib import suppress
from pathlib import Path

from wnexp.errors import UserError


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path | None:
    """The user's folder for what can be made or fetched again, which may not exist yet; None if there is no home."""
    from platformdirs import user_cache_path

    with suppress(OSError, RuntimeError):
        folder = user_cache_path("wnexp")
        return folder if folder.is_absolute() else None  # ~ is left as it is where nobody says what it stands for
    return None


def available() -> int:
    """Bytes that may still be taken here: of the machine, or of the container if that is given less."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, StopIteration):  # free memory alone does not count what the system would give back
        lines = Path("/proc/meminfo").read_text().splitlines()
        pages = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):  # no control group, or "max"
        pages = min(pages, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return pages


def check(size: int, what: str) -> None:
    """Raise `UserError` if `size` bytes for `what` are more than there are."""
    if size > (most := available()):
        raise UserError(f"{what} takes about {size / 2**30:,.1f} GiB of memory, {most / 2**30:,.1f} GiB are available")
