"""Figures of things in the plane: data with the decision boundary, paths of two weights."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wnexp.figures.series import Series
from wnexp.figures.style import PALETTE, label_rows, legend, panels, title, wrapped


def boundary(series: Sequence[Series]) -> Figure | None:
    """Training and test points of several classes with the final decision regions of the first seed, by series."""
    shown = [(one, table) for one in series if (table := one.table("plane"))["label"].nunique() > 1]
    if not shown:
        return None
    figure, axes = wrapped(len(shown), height=3.2, sharey=True)
    for panel, (one, table) in zip(axes, shown, strict=True):
        grid = table[table["part"] == "grid"]
        surface = grid.pivot_table(index="y", columns="x", values="output")
        labels = sorted(table["label"].dropna().unique())
        levels = [-np.inf, 0, np.inf] if labels[0] < 0 else np.arange(len(labels) + 1) - 0.5
        values = np.clip(surface.to_numpy(), -1e300, 1e300)
        colours = [PALETTE[index % len(PALETTE)] for index in range(len(levels) - 1)]
        if len(levels) == 3:
            panel.contourf(surface.columns, surface.index, np.sign(values), [-2, 0, 2], colors=colours, alpha=0.15)
            panel.contour(surface.columns, surface.index, values, [0], colors="0.3", linewidths=1)
        else:
            panel.contourf(surface.columns, surface.index, values, levels, colors=colours, alpha=0.15)
        classes = [-1, 1] if len(levels) == 3 else labels
        for part, size, face in (("test", 10, False), ("train", 42, True)):
            rows = table[table["part"] == part]
            for colour, label in zip(colours, classes, strict=True):
                points = rows[rows["label"] == label]
                panel.scatter(
                    points["x"],
                    points["y"],
                    s=size,
                    facecolors=colour if face else "none",
                    edgecolors=colour,
                    linewidths=0.7,
                    label=f"{part}, label {label:+g}" if len(points) else None,
                )
        title(panel, one.panel_title)
        panel.set_xlabel("first input")
        panel.set_aspect("equal")
    label_rows(axes, "second input")
    legend(figure)
    return figure


def paths(series: Sequence[Series]) -> Figure | None:
    """Paths of the two weights of a diagonal network in the (w1, w2) plane, one line per start."""
    shown = []
    for one in series:
        neurons = one.table("neurons")
        is_scalar = neurons["direction"].str.len() == 1
        if len(neurons) and is_scalar.all() and set(neurons["neuron"]) == {0, 1} and neurons["layer"].nunique() == 1:
            shown.append((one, neurons))
    if not shown:
        return None
    figure, axes = panels(1, 1, width=4.2, height=3.6)
    panel = axes[0, 0]
    for one, neurons in shown:
        weights = neurons.assign(weight=neurons["weight_norm"] * neurons["direction"].str[0])
        for order, (_, rows) in enumerate(weights.groupby("seed")):
            path: pd.DataFrame = rows.pivot_table(index="step", columns="neuron", values="weight")
            panel.plot(path[0], path[1], label=one.label if order == 0 else None, **one.look)
            panel.plot(path[0].iloc[0], path[1].iloc[0], "o", color="0.3", markersize=4)
    panel.set_xlabel("$w_1$")
    panel.set_ylabel("$w_2$")
    legend(figure)
    return figure
