"""The one reader of run directories: finding runs, their status, settings, tables and snapshots. No jax."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wnexp.errors import UserError
from wnexp.runs import further, lock, snapshots, status
from wnexp.runs.files import read_table
from wnexp.runs.identity import settings_of
from wnexp.runs.status import Status

if TYPE_CHECKING:
    import pandas as pd

STOPPED = "stopped"  # by a signal, or killed, so that it says that it runs; the same command resumes it


@dataclass(frozen=True)
class Run:
    """A run directory, read when asked, also while the run goes on.

    `Run(path).frame("steps")` is the table as a pandas frame, `.weights(seed, -100)` a snapshot. With `only` it is
    these of its seeds.
    """

    directory: Path
    only: tuple[int, ...] | None = None

    @cached_property
    def status(self) -> Status:
        """`run.json`. Raises `UserError` where there is none or it cannot be read."""
        found = status.read(self.directory)
        if found is None:
            raise UserError(f"{self.directory}: no run there (a run is a folder with run.json)")
        return found

    @property
    def config(self) -> dict[str, Any]:
        """The flat settings, `section.name -> value`, and the digests of the files that they name."""
        return self.status.config

    @property
    def settings(self) -> dict[str, Any]:
        """The flat settings alone."""
        return settings_of(self.config)

    @property
    def state(self) -> str:
        """running, finished, failed, or `STOPPED`."""
        found = self.status
        killed = found.status == status.RUNNING and not lock.is_held(self.directory)
        return STOPPED if killed or found.error in (status.INTERRUPTED, status.TERMINATED) else found.status

    @property
    def seeds(self) -> list[int]:
        """The seeds that have records."""
        return [figures["seed"] for figures in self.figures]

    @property
    def figures(self) -> list[dict[str, Any]]:
        """Per seed its outcome and last figures, as `run.json` has them."""
        return [own for own in self.status.seeds if self.only is None or own["seed"] in self.only]

    @property
    def tables(self) -> list[str]:
        """The tables that the run has, by name."""
        return sorted(file.stem for file in self.directory.glob("*.parquet") if not file.stem.startswith("."))

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """A table, or those of the columns that it has; None if the run has none of that name.

        Raises `UserError` for a file that cannot be read.
        """
        path = self.directory / f"{name}.parquet"
        try:
            found = read_table(path, columns) if path.exists() else None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable parquet file ({str(error).splitlines()[0]})") from None
        if found is None or self.only is None or "seed" not in found.column_names:
            return found
        return found.filter(pc.field("seed").isin(self.only))

    def columns(self, name: str) -> list[str]:
        """The columns of a table; none if the run has no such table. Raises `UserError`."""
        path = self.directory / f"{name}.parquet"
        try:
            return pq.read_schema(path).names if path.exists() else []
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable parquet file ({str(error).splitlines()[0]})") from None

    def frame(self, name: str) -> "pd.DataFrame":
        """A table as a pandas frame; an empty one if the run has none of that name. Raises `UserError`."""
        import pandas as pd

        table = self.table(name)
        return pd.DataFrame() if table is None else table.to_pandas()

    @property
    def snapshot_losses(self) -> list[float]:
        """The log losses at which any seed has a snapshot, in the order they were reached."""
        return snapshots.log_losses(self.directory)

    def weights(self, seed: int, name: str | int | float) -> dict[str, np.ndarray] | None:
        """A snapshot's arrays, by the keys of a weights file; None if there is none. Raises `UserError`.

        `name` is `initial`, `final`, `pruned=...`, or the log loss of one of `snapshots`.
        """
        file = snapshots.path(self.directory, seed, name if isinstance(name, str) else snapshots.at(name))
        return snapshots.read(file) if file.exists() else None


def load(paths: Sequence[Path]) -> list[Run]:
    """The runs at or below the paths; the newest one without a path. Raises `UserError` where there is none."""
    return [Run(directory) for directory in runs_at(paths)]


def runs_at(paths: Sequence[Path]) -> list[Path]:
    """The run directories at or below the paths, or of the experiments of those names; the newest run without a path.

    Raises `UserError` where there is none.
    """
    found = [run for path in paths for run in _runs_at(path)] if paths else [_newest(Path("outputs"))]
    return list(dict.fromkeys(run.resolve() for run in found))


def _runs_at(path: Path) -> list[Path]:
    for place in (path, Path("outputs") / path):
        if place.exists():
            runs = find_runs(place)
            if runs:
                return runs
            raise UserError(f"{place} holds no run (a run is a folder with run.json)")
    for pattern in (str(path), str(Path("outputs") / path)):  # a glob that the shell was kept from
        matches = sorted(glob(pattern))  # noqa: PTH207
        if runs := [run for match in matches for run in find_runs(Path(match))]:
            return runs
    raise UserError(f"{path}: no such run directory, folder of runs, or experiment under outputs/")


def _newest(root: Path) -> Path:
    runs = find_runs(root)
    if not runs:
        raise UserError(f"no runs under {root}/ here; `wnexp train +norm=ewn` makes one")
    return max(runs, key=lambda run: (run / status.NAME).stat().st_mtime_ns)


def find_runs(path: Path) -> list[Path]:
    """Every run directory at or below `path`, in the order of their names."""
    if (path / status.NAME).is_file():
        return [path]
    found = (file.parent for file in path.rglob(status.NAME))
    return sorted(run for run in found if run.name != further.AGAIN)
