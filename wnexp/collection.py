"""What `wnexp.train`, `sweep` and `load` give: a run, and runs as tables, frames and figures."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from wnexp.errors import UserError
from wnexp.runs import differences, reader
from wnexp.runs.listing import Listing, listing, matching

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Run(reader.Run):
    """A run directory: `.status`, `.config`, `.seeds`, `.frame("steps")`, `.weights(seed, -100)`, `.plot("margin")`."""

    def plot(self, name: str, **options: Any) -> "Figure":
        """A figure of this run alone; see `Runs.plot`."""
        return Runs([self]).plot(name, **options)

    def _repr_html_(self) -> str:
        return Runs([self])._repr_html_()


class Runs(Sequence[Run]):
    """Runs side by side: a sequence of `Run`, and all of them as one table.

    Frames have a column for every setting that tells the runs apart, named as `wnexp runs` names it (`norm`,
    `norm.power`), before the columns of the records.
    """

    def __init__(self, runs: Iterable[reader.Run]):
        self._runs = [run if isinstance(run, Run) else Run(run.directory, run.only) for run in runs]

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> "Runs": ...
    def __getitem__(self, place: int | slice) -> "Run | Runs":
        return Runs(self._runs[place]) if isinstance(place, slice) else self._runs[place]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __add__(self, others: "Runs") -> "Runs":
        return Runs([*self, *others])

    def where(self, condition: str) -> "Runs":
        """The runs, of each the seeds, that a condition holds for: `norm=ewn,swn and seed<3`. Raises `UserError`."""
        return Runs(matching(self._runs, condition))

    def table(
        self, *columns: str, where: str = "", mean_over: Sequence[str] | str | None = None, sort: str = ""
    ) -> "pd.DataFrame":
        """A row a seed; with `mean_over="seed"` a row for runs that differ in their seeds alone, or with `()` a run.

        Without `columns` what `wnexp runs` shows; any of its columns can be asked for: `"norm.power"`,
        `"normalized_margin"` (the last record), `"normalized_margin@-100"`. Raises `UserError`.
        """
        over = [mean_over] if isinstance(mean_over, str) else mean_over
        return _frame(listing(self._runs, columns, where, over, sort))

    def frame(self, name: str) -> "pd.DataFrame":
        """A table of all runs, one below the other, such as `"pruning"`; empty if none has it."""
        return self._joined({run: run.frame(name) for run in self})

    def _joined(self, frames: "Mapping[Run, pd.DataFrame]") -> "pd.DataFrame":
        import pandas as pd

        names = differences.telling_apart([differences.what_made(run) for run in self._runs])
        for run, own in frames.items():
            made = differences.what_made(run)
            for place, key in enumerate(names):
                value = made.get(key)
                value = differences.text(value) if isinstance(value, (list, dict)) else value
                if (column := key.removesuffix(".name")) not in own:
                    own.insert(place, column, pd.Series([value] * len(own), index=own.index))
        kept = [own for own in frames.values() if len(own)]
        return pd.concat(kept or list(frames.values()) or [pd.DataFrame()], ignore_index=True)

    @property
    def steps(self) -> "pd.DataFrame":
        """steps.parquet of all runs."""
        return self.frame("steps")

    @property
    def neurons(self) -> "pd.DataFrame":
        """neurons.parquet of all runs."""
        return self.frame("neurons")

    @property
    def samples(self) -> "pd.DataFrame":
        """samples.parquet of all runs."""
        return self.frame("samples")

    def at(self, log_loss: int | float, name: str = "steps") -> "pd.DataFrame":
        """The records of every seed where its log loss was first at most that; none of a seed that never was."""
        return self._joined({run: _first_at(run.frame("steps"), run.frame(name), log_loss) for run in self})

    def weights(self, seed: int, name: str | int | float) -> list[dict[str, np.ndarray] | None]:
        """Of every run a seed's snapshot `initial`, `final`, or of a log loss, as arrays by key; None without one."""
        return [run.weights(seed, name) for run in self]

    def plot(self, name: str, **options: Any) -> "Figure":
        """A figure of `wnexp plot`, such as `"margin"`, as a matplotlib figure that is registered nowhere.

        `options` are those of `wnexp plot`: `width` (inches), `style`, `x`, `y`, `color_by`, `facet_by`, `where`.
        Raises `UserError` for a name that does not exist, and where the records do not hold what it shows.
        """
        from wnexp import figures

        if where := options.pop("where", ""):
            return self.where(where).plot(name, **options)
        if not self._runs:
            raise UserError("no runs to draw")
        if isinstance(y := options.get("y", ()), str) or not isinstance(y, tuple):
            options["y"] = (y,) if isinstance(y, str) else tuple(y)
        drawn = figures.draw(name, self._runs, figures.Options(**options))
        if drawn is None:
            raise UserError(f"the records of {len(self)} runs do not hold what the figure {name} shows")
        return drawn

    def __repr__(self) -> str:
        return self.table(mean_over=()).to_string(index=False)

    def _repr_html_(self) -> str:
        return self.table(mean_over=()).to_html(index=False)


def _frame(found: Listing) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame([{name: row.get(name) for name in found.columns} for row in found.rows], columns=found.columns)


def _first_at(steps: "pd.DataFrame", records: "pd.DataFrame", log_loss: int | float) -> "pd.DataFrame":
    if not len(records):
        return records
    if not {"seed", "step"} <= {*records.columns}:
        raise UserError("a table without seeds and steps has no records at a log loss")
    reached = steps[steps["log_loss"] <= log_loss].groupby("seed")["step"].min()
    return records[records["step"] == records["seed"].map(reached)].copy()
