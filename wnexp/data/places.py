"""Where the files of a published data set are: in a folder of the user's, as tools leave them there, or downloaded."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from wnexp import resources
from wnexp.errors import UserError


class Published(NamedTuple):
    """Where a data set's files are and how they are read."""

    files: dict[str, str]  # file name -> md5
    mirrors: tuple[str, ...]
    read: Callable[[list[Path]], Any]
    folders: tuple[str, ...] = ()  # where tools put the files below the folder that they are given
    unpacked: tuple[str, ...] = ()  # the files that are read as well in place of `files`

    @property
    def needed(self) -> str:
        """The files, in words."""
        return ", ".join(self.files) + (" (or what is in it)" if self.unpacked else "")


def locate(name: str, source: Published, directory: str | None) -> list[Path]:
    """The files to read, from `directory`, which is downloaded into if it is empty, or from the user's cache folder.

    Raises `UserError` for missing files, a folder with other contents and a download that fails.
    """
    if directory is None:
        if (cache := resources.cache_folder()) is None:
            raise UserError(
                f"data={name}: no cache folder to look in, since there is no HOME; "
                f"data.dir=DIR names a folder with {source.needed}"
            )
        return [_download(name, source, file, cache / name) for file in source.files]
    folder = Path(directory).expanduser()
    if not folder.is_dir():
        raise UserError(f"data.dir={directory}: {'not a folder' if folder.exists() else 'no such folder'}")
    present = found(source, directory)
    missing = [file for file, path in present.items() if path is None]
    if missing:
        raise UserError(f"data.dir={directory}: {', '.join(missing)} missing (plain or .gz)")
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others and not present:
        shown = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
        raise UserError(
            f"data.dir={directory}: {source.needed} needed, {shown} found;\n"
            "give the folder that holds them, or an empty one to download into"
        )
    return [path for path in present.values() if path] or [
        _download(name, source, file, folder) for file in source.files
    ]


def found(source: Published, directory: str) -> dict[str, Path | None]:
    """File -> where it is, None if only others of the data set are there; empty if none is there."""
    folder = Path(directory).expanduser()
    for place in (folder, *(folder / below for below in source.folders)):
        for files in (tuple(source.files), source.unpacked):
            paths = {file: _in_folder(place, file) for file in files}
            if any(paths.values()):
                return paths
    return {}


def _in_folder(folder: Path, file: str) -> Path | None:
    """The file as published, decompressed, with Kaggle's dot (`images.idx3-ubyte`), or as `.tgz`."""
    plain = file.removesuffix(".gz")
    dotted = plain.replace("-idx", ".idx")
    names = (file, plain, f"{dotted}.gz", dotted, plain.removesuffix(".tar") + ".tgz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _download(name: str, source: Published, file: str, folder: Path) -> Path:
    """The file in `folder`, downloaded if it is not there whole. A broken download leaves what was there."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    fetch: Any = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)
    tried = []
    for mirror in source.mirrors:
        try:
            checksum = f"md5:{source.files[file]}"
            return Path(pooch.retrieve(mirror + file, checksum, fname=file, path=folder, downloader=fetch))
        except requests.RequestException as error:
            status = None if error.response is None else f"HTTP {error.response.status_code}"
            tried.append(f"{mirror} ({status or type(error).__name__})")
        except ValueError:
            tried.append(f"{mirror} (wrong checksum)")
        except OSError as error:
            reason = (error.strerror or str(error)).splitlines()[0]
            raise UserError(f"data={name}: {folder} cannot be written ({reason}); give data.dir=FOLDER") from None
    raise UserError(
        f"data={name}: {file} could not be downloaded; tried {', '.join(tried)};\n"
        f"offline: put {source.needed} in a folder and give data.dir=FOLDER "
        "(an empty folder is downloaded into)"
    )
