"""Figures of `geometry.parquet`: which margin each step rule maximizes, how fast, and where an absolute eps takes over.

What is known of the largest margin is in the records once `wnexp verify` has looked at a run with a linear model.
"""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportIndexIssue=false

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wnexp.figures.seeds import over_seeds, seeds_note
from wnexp.figures.series import Series
from wnexp.figures.style import PALETTE, label_rows, legend, panels, title, wrapped

_LATE = 10**0.5  # of the deepest log loss: cells are medians over the last half decade, in which chatter averages out
_CELL_INCHES, _NAMES_INCHES, _ROW_INCHES = 0.62, 1.5, 0.21


def _with_depth(one: Series) -> pd.DataFrame:
    """The rows in geometries, with the depth `tau` (nats) of their record."""
    steps = one.table("steps")[["seed", "step", "log_loss"]]
    return one.table("geometry").merge(steps, on=["seed", "step"]).assign(depth=lambda rows: -rows["log_loss"])


def _shown(series: Sequence[Series]) -> tuple[str, str]:
    """The column of the cells and what it is: the share of the largest margin where every run knows it."""
    if all(one.table("geometry")["share_of_largest"].notna().any() for one in series):
        return "share_of_largest", "share of the largest margin"
    return "alignment", "generalized alignment"


def _cells(one: Series, column: str) -> pd.DataFrame:
    """Geometry -> mean and deviation over the seeds."""
    rows = _with_depth(one)
    late = rows[rows["depth"] >= rows.groupby("seed")["depth"].transform(lambda depth: depth.max() / _LATE)]
    by_seed = late.groupby(["geometry", "seed"], sort=False)[column].median()
    return by_seed.groupby("geometry", sort=False).agg(["mean", "std"]).fillna({"std": 0.0})


def atlas(series: Sequence[Series]) -> Figure | None:
    """Rows the step rules, columns the geometries, one panel a normalization; the rule's own geometry is framed."""
    series = [one for one in series if len(one.table("geometry"))]
    rules = list(dict.fromkeys(one.label_without("norm.name") for one in series))
    if len(rules) < 2:
        return None
    norms = list(dict.fromkeys(one.norm for one in series))
    geometries = list(dict.fromkeys(series[0].table("geometry")["geometry"]))
    column, what = _shown(series)
    width = (_NAMES_INCHES + _CELL_INCHES * len(geometries) * len(norms)) / len(norms)
    figure, axes = panels(1, len(norms), width=width, height=1.2 + _ROW_INCHES * len(rules), sharey=True)
    image = None
    for panel, norm in zip(axes[0], norms, strict=True):
        values = np.full((len(rules), len(geometries)), np.nan)
        for one in (one for one in series if one.norm == norm):
            row, cells = rules.index(one.label_without("norm.name")), _cells(one, column)
            for place, geometry in enumerate(geometries):
                mean, spread = cells.loc[geometry]
                values[row, place] = mean
                text = f"{mean:.3f}" if spread < 5e-4 else f"{mean:.2f}±{spread:.2f}"
                panel.text(place, row, text, ha="center", va="center", fontsize=6, color="w" if mean < 0.6 else "k")
                if one.rule.get("geometry") == geometry:
                    panel.add_patch(_frame(place, row))
        image = panel.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        panel.grid(visible=False)
        panel.set_xticks(range(len(geometries)), geometries, rotation=30)
        panel.set_yticks(range(len(rules)), [rule.removeprefix("optimizer=") for rule in rules])
        title(panel, f"norm={norm}")
    figure.colorbar(image, ax=list(axes[0]), label=what, fraction=0.03)
    most = max(one.seeds for one in series)
    over = f", mean ± standard deviation over {most} seeds" if most > 1 else ""
    legend(figure, f"Median over the last half decade of -log L{over}; framed: the geometry of the rule.")
    return figure


def _frame(place: int, row: int) -> Rectangle:
    return Rectangle((place - 0.47, row - 0.45), 0.94, 0.9, fill=False, edgecolor=PALETTE[1], linewidth=1.6)


def _knows_largest(one: Series) -> bool:
    rows = one.table("geometry")
    return bool(len(rows) and rows["share_of_largest"].notna().any())


def margin_gap(series: Sequence[Series]) -> Figure | None:
    """The gap to the largest margin in each rule's own geometry against the updates, with the slopes of theorems."""
    series = [one for one in series if one.rule.get("geometry") and _knows_largest(one)]
    if not series:
        return None
    own = list(dict.fromkeys(one.rule["geometry"] for one in series))
    figure, axes = wrapped(len(own), sharey=True)
    for one in series:
        panel, rows = axes[own.index(one.rule["geometry"])], one.table("geometry")
        rows = rows[(rows["geometry"] == one.rule["geometry"]) & (rows["step"] > 0)]
        rows = rows.assign(gap=1 - rows["share_of_largest"])
        rows = rows[rows["gap"] > 0]
        over_seeds(panel, rows, "step", "gap", one.label, one.look)
        of_theorem = not (one.law and one.law["normalizes"])  # they are of models that are not normalized
        if (power := one.rule.get("gap_power")) and len(rows) and of_theorem:
            _slope(panel, rows, power)
    for panel, geometry in zip(axes, own, strict=True):
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("updates")
        title(panel, geometry)
    label_rows(axes, "1 - share of the largest margin")
    legend(figure, "Thin: the slopes that theorems give. " + seeds_note(series))
    return figure


def _slope(panel, rows: pd.DataFrame, power: float) -> None:
    """A line of the theorem's slope above the curve's end, times `log t` for steps of decay 1/2."""
    last = rows[rows["seed"] == rows["seed"].min()].sort_values("step").iloc[-1]
    updates = np.geomspace(max(last["step"] / 30, 2), last["step"], 20)
    log_factor = np.log(updates) / np.log(last["step"]) if power == 0.5 else 1.0
    line = 1.6 * last["gap"] * (updates / last["step"]) ** -power * log_factor
    panel.plot(updates, line, color="#8C8C8C", linewidth=0.8)


def crossover(series: Sequence[Series]) -> Figure | None:
    """Distance from the largest margins in l2 and linf against depth, for rules with an absolute eps."""
    series = [one for one in series if "optimizer.log_eps" in one.config and _knows_largest(one)]
    if not any(one.config["optimizer.log_eps"] is not None for one in series):
        return None
    figure, axes = panels(1, 2, sharey=True)
    for panel, geometry in zip(axes[0], ("l2", "linf"), strict=True):
        for one in series:
            rows = _with_depth(one)
            rows = rows[(rows["geometry"] == geometry) & (rows["depth"] > 1)]
            over_seeds(panel, rows.assign(gap=1 - rows["share_of_largest"]), "depth", "gap", one.label, one.look)
            if (eps := one.config["optimizer.log_eps"]) is not None:
                panel.axvline(-eps, linewidth=0.8, **one.look | {"linestyle": ":"})
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("-log training loss (nats)")
        title(panel, geometry)
    axes[0, 0].set_ylabel("1 - share of the largest margin")
    legend(figure, "Dotted: -log eps. " + seeds_note(series))
    return figure
