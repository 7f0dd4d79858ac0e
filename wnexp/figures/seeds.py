"""Several seeds as one curve with a band."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from wnexp.figures.series import Series

_MOST_LINES = 16  # seeds drawn one by one
_MOST_POINTS = 400
# A seed that has finished stays where it is along these; it never got further along others, such as the loss,
# but for the little that another's last step may have reached beyond the target.
_CARRIED_FORWARD = ("step", "log_time")
_LITTLE = 0.01  # of the axis

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # low, middle, high


def quantiles(values: np.ndarray) -> Band:
    """Median over the seeds (rows), and the 10 and 90 % quantiles. numpy's own takes a column with NaN at a time."""
    ordered, last = np.sort(values, axis=0), np.count_nonzero(~np.isnan(values), axis=0) - 1

    def quantile(share: float) -> np.ndarray:
        below = np.floor(share * last).astype(int)
        low, high = (np.take_along_axis(ordered, at[None], 0)[0] for at in (below, np.minimum(below + 1, last)))
        return low + (share * last - below) * (high - low)

    return quantile(0.1), quantile(0.5), quantile(0.9)


def deviation(values: np.ndarray) -> Band:
    """Mean over the seeds (rows) and one standard deviation, within the values there are."""
    mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return np.maximum(mean - spread, np.nanmin(values, axis=0)), mean, np.minimum(mean + spread, np.nanmax(values, 0))


NOTES = {
    quantiles: "median, band from the 10 % to the 90 % quantile",
    deviation: "mean, band of one standard deviation within the seeds' range",
}


def seeds_note(series: Sequence[Series], summary: Callable[[np.ndarray], Band] = quantiles) -> str:
    """Of how many seeds the lines and bands are what, where a series has several."""
    counts = [one.seeds for one in series]
    fewest, most = min(counts), max(counts)
    number = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{number} seeds: {NOTES[summary]}" if most > 1 else ""


def over_seeds(
    panel: Axes,
    frame: pd.DataFrame,
    x: str,
    y: str,
    label: str,
    look: dict[str, Any],
    summary: Callable[[np.ndarray], Band] = quantiles,
    lines: bool = True,
) -> None:
    """One line for one seed; for several thin lines (if wanted), and their summary where at least half have values.

    Along steps and time a seed that has finished keeps its last value.
    """
    curves = []
    for _, rows in frame.dropna(subset=[x, y]).sort_values(x).groupby("seed"):
        curves.append((rows[x].to_numpy(float), rows[y].to_numpy(float)))
    if len(curves) <= 1:
        for xs, ys in curves:
            panel.plot(xs, ys, label=label, **look)
        return
    for xs, ys in curves[:_MOST_LINES] if lines else ():
        panel.plot(xs, ys, color=look["color"], alpha=0.25, linewidth=0.6)
    grid = np.unique(np.concatenate([xs for xs, _ in curves]))
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, _MOST_POINTS).astype(int))]
    beyond = np.inf if x in _CARRIED_FORWARD else _LITTLE * (grid[-1] - grid[0])
    values = np.stack([_on_grid(grid, xs, ys, beyond) for xs, ys in curves])
    common = np.isfinite(values).sum(axis=0) >= len(curves) / 2
    low, middle, high = summary(values[:, common])
    panel.plot(grid[common], middle, label=label, **look)
    panel.fill_between(grid[common], low, high, color=look["color"], alpha=0.2, linewidth=0)


def _on_grid(grid: np.ndarray, xs: np.ndarray, ys: np.ndarray, beyond: float) -> np.ndarray:
    """A curve on the grid: nothing before its first value, its last one up to `beyond` its end."""
    return np.where(grid <= xs[-1] + beyond, np.interp(grid, xs, ys, left=np.nan), np.nan)
