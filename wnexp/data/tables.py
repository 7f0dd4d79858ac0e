"""Data sets with a row a sample: CSV and parquet files, scikit-learn's bundled ones, OpenML's."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wnexp import resources
from wnexp.data.dataset import Dataset, Sampled
from wnexp.errors import UserError
from wnexp.settings import setting


def read_table(
    path: Path, target: str | None, source: str, like: Sequence[str] | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """`train_x (n, d)`, `train_y (n,)`, the column `target`, of a CSV or parquet file; and the names of the inputs.

    These are in the order of `like`, if these are their names. Raises `UserError` that names the columns which are
    missing, doubled, hold text or lack values.
    """
    import pandas as pd

    readers = {".csv": _read_csv, ".parquet": pd.read_parquet}
    try:
        resources.check(4 * path.stat().st_size, source)
        frame = readers[path.suffix.lower()](path)
    except UserError:
        raise
    except Exception as error:  # a stranger's file: whatever is wrong with it, it is the file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{source}: not a readable {path.suffix} file ({reason})") from None
    if target is None or target not in frame:
        given = "data.target=COLUMN is needed" if target is None else f"data.target={target}: no such column"
        raise UserError(f"{source}: {given}; it has {_listed(frame.columns)}")
    if not len(frame):
        raise UserError(f"{source}: it has the columns {_listed(frame.columns)}, and no rows")
    names = [str(name) for name in frame.columns if name != target]
    if like is not None and sorted(names) != sorted(like):
        raise UserError(f"{source}: it has the inputs {_listed(names)}; the training table has {_listed(like)}")
    order = list(like if like is not None else names)
    frame = frame.rename(columns=str)[[*order, str(target)]]
    return split_columns(frame, str(target), source), order


def _read_csv(path: Path) -> Any:
    """A CSV file, of which an empty cell alone lacks a value. Raises `ValueError` for doubled or missing names."""
    import pandas as pd

    names = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several columns are called {', '.join(doubled)}")
    if "" in names:
        raise ValueError("a column has no name; an index is left out by to_csv(index=False)")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def split_columns(frame: Any, target: str, source: str) -> dict[str, np.ndarray]:
    """The numbers of a pandas frame and the column of the labels. Raises `UserError`."""
    inputs = frame.drop(columns=target)
    words = [name for name in inputs if inputs[name].dtype.kind not in "fiub"]
    if words:
        raise UserError(f"{source}: {_listed(words)} hold no numbers; encode these columns or leave them out")
    lacking = [name for name in frame if frame[name].isna().any()]
    if lacking:
        raise UserError(f"{source}: {_listed(lacking)} lack values; fill them or leave these rows out")
    labels = frame[target]
    y = labels.to_numpy() if labels.dtype.kind in "fiub" else labels.astype(str).to_numpy(dtype=str)
    return {"train_x": inputs.to_numpy(np.float64), "train_y": y}


def _listed(names: Any) -> str:
    names = list(map(str, names))
    return ", ".join(names[:8]) + (f", ... ({len(names)} columns)" if len(names) > 8 else "")


@dataclass(frozen=True)
class _Rows(Sampled):
    """A table without a test set of its own."""

    test_share: float = setting(
        0.2, "share of the samples to test on, drawn once, stratified by class", least=0, below=1
    )

    def divided(self, x: np.ndarray, y: np.ndarray, source: str, **own: Any) -> Dataset:
        """The data set, its samples divided by scikit-learn's split of random state 0. Raises `UserError`."""
        from sklearn.model_selection import train_test_split

        if not self.test_share:
            return Dataset(x, y, x[:0], y[:0], None, source, classes=self.classes, **own)
        stratify = None if own.get("real") else y
        try:
            parts: Any = train_test_split(x, y, test_size=self.test_share, stratify=stratify, random_state=0)
        except ValueError as error:
            raise UserError(f"{source}: data.test_share={self.test_share}: {str(error).splitlines()[0]}") from None
        return Dataset(parts[0], parts[2], parts[1], parts[3], None, source, classes=self.classes, **own)


@dataclass(frozen=True)
class Bundled(_Rows):
    """A data set that comes with scikit-learn, in its own units."""

    loader: str = ""

    def read(self):
        from sklearn import datasets

        loaded: Any = getattr(datasets, f"load_{self.loader}")()
        names = tuple(map(str, loaded["target_names"])) if "target_names" in loaded else None
        real = self.labels == "real" or names is None
        y = loaded["target"] if real else np.asarray(names)[loaded["target"]]
        return self.divided(loaded["data"], y, f"data={self.loader}", real=real)


@dataclass(frozen=True)
class OpenML(_Rows):
    """A data set of openml.org, by scikit-learn's fetcher, kept in the user's cache folder."""

    dataset: str | None = setting(None, "its number, or its name, at openml.org")
    version: int = setting(1, "of a name", least=1)
    target: str | None = setting(None, "the column of the labels", null="for the one that is published as such")

    def read(self):
        from sklearn.datasets import fetch_openml

        source = f"data.dataset={self.dataset}"
        if not self.dataset:
            raise UserError(
                "data=openml needs data.dataset=NUMBER or a name, like data.dataset=61 or data.dataset=iris"
            )
        which: dict[str, Any] = {"name": self.dataset, "version": self.version}
        which = {"data_id": int(self.dataset)} if self.dataset.isdigit() else which
        folder = resources.cache_folder()
        home = None if folder is None else str(folder / "openml")
        target = "default-target" if self.target is None else self.target
        try:
            with warnings.catch_warnings(action="ignore"):  # that it tries again
                found: Any = fetch_openml(
                    **which, data_home=home, as_frame=True, parser="auto", target_column=target, n_retries=1
                )
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(f"{source}: openml.org cannot be reached, and it is not in {home} yet ({reason})") from None
        except (ValueError, KeyError) as error:
            raise UserError(f"{source}: {str(error).splitlines()[0]}") from None
        if found.target is None:
            raise UserError(f"{source}: no column is published as its labels; data.target=COLUMN says which")
        name = "target" if found.target.name is None else found.target.name
        arrays = split_columns(found.data.assign(**{name: found.target}), name, source)
        return self.divided(arrays["train_x"], arrays["train_y"], source, real=self.labels == "real")
