"""Writing and reading files of a run directory.

Every file is written beside its place, synced and renamed, so a reader never sees half a file and a full disk
costs no file that was there.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wnexp import resources
from wnexp.errors import UserError


def shown(path: Path) -> str:
    """A path as the user would type it."""
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


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


def write_asked(path: Path, write) -> None:
    """Call `write(path)` for a file that the user names: atomically, through links, and directly into what is no file.

    Raises `UserError` for a folder, `OSError` where it cannot be written.
    """
    place = path.resolve()
    if place.is_dir():
        raise UserError(f"{path}: a folder; the name of a file is needed")
    if place.exists() and not place.is_file():  # a device, a pipe
        write(place)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, write)


def write_table(path: Path, table: pa.Table, keep_previous: bool = False) -> None:
    """A parquet file, atomically, with a checksum on every page."""
    write_atomically(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True), keep_previous)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file, or those of the columns that it has, its checksums verified.

    Raises `UserError` if it says that it holds more than the memory, `OSError` or `ValueError` if it is damaged.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as stored:
        resources.check(8 * stored.metadata.num_rows * stored.metadata.num_columns, f"{path}, by its own header,")
        return stored.read(columns and [name for name in stored.schema_arrow.names if name in columns])
