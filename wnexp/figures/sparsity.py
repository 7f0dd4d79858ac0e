"""Figures of sparsity: effective number of neurons, distribution of their norms, accuracy after pruning."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wnexp.figures.series import PALETTE, Series, mean_and_spread, panels

_MOST_LAYERS = 4
_MOST_LEVELS = 4


def _wide_layers(series: Sequence[Series]) -> list[int]:
    """The first trained layers that have more than two neurons in some series."""
    layers = pd.concat([one.table("neurons").groupby("layer")["neuron"].max() for one in series])
    return sorted(set(layers[layers >= 2].index))[:_MOST_LAYERS]


def effective_neurons(series: Sequence[Series]) -> Figure | None:
    """Effective number of neurons `(sum n_u)^2 / sum n_u^2`, `n_u = ||w_u||`, against the depth of the loss."""
    layers = _wide_layers(series)
    if not layers:
        return None
    figure, axes = panels(1, len(layers))
    for panel, layer in zip(axes[0], layers, strict=True):
        for one in series:
            neurons = one.table("neurons")
            neurons = neurons[neurons["layer"] == layer]
            norms = neurons.assign(square=neurons["weight_norm"] ** 2).groupby(["seed", "step"])
            sums = norms[["weight_norm", "square"]].sum().reset_index()
            sums["effective"] = sums["weight_norm"] ** 2 / sums["square"]
            sums = sums.merge(one.table("steps")[["seed", "step", "log_loss"]], on=["seed", "step"])
            sums["depth"] = -sums["log_loss"]
            mean_and_spread(panel, sums, "depth", "effective", one.colour, one.label)
        panel.set_ylim(bottom=0)
        panel.set_title(f"layer {layer}")
        panel.set_xlabel("$-$log training loss (nats)")
    axes[0, 0].set_ylabel(r"$(\sum_u \|w_u\|)^2 / \sum_u \|w_u\|^2$")
    axes[0, 0].legend()
    return figure


def _levels(series: Sequence[Series]) -> list[float]:
    """The snapshots' log losses as far as reached; without any a third, two thirds and the whole of the way down."""
    last = [float(one.table("steps").groupby("seed")["log_loss"].min().max()) for one in series]
    asked = {float(level) for one in series for level in one.config["snapshots"] or [] if level >= min(last)}
    return sorted(asked, reverse=True)[-_MOST_LEVELS:] or [max(last) * share for share in (1 / 3, 2 / 3, 1)]


def norm_distribution(series: Sequence[Series]) -> Figure | None:
    """Sorted neuron norms over the largest of the layer, where a seed first is below each level; rows are layers."""
    layers, levels = _wide_layers(series), _levels(series)
    if not layers or not np.isfinite(levels).all():
        return None
    figure, axes = panels(len(layers), len(levels), height=2.5, sharex=True, sharey=True)
    for row, layer in zip(axes, layers, strict=True):
        for panel, level in zip(row, levels, strict=True):
            for one in series:
                _sorted_norms(panel, one, layer, level)
            panel.set_title(f"layer {layer}, log loss {level:.4g}")
        row[0].set_ylabel(r"$\|w_u\|$ / largest of the layer")
    for panel in axes[-1]:
        panel.set_xlabel("neurons, largest first (%)")
    next((panel for panel in axes.flat if panel.lines), axes[0, 0]).legend()
    return figure


def _sorted_norms(panel: Axes, one: Series, layer: int, level: float) -> None:
    steps, neurons = one.table("steps"), one.table("neurons")
    first = steps[steps["log_loss"] <= level].groupby("seed")["step"].min()
    rows = neurons[neurons["layer"] == layer].merge(first.reset_index(), on=["seed", "step"])
    rows = rows.sort_values("norm_ratio", ascending=False)
    rank = rows.groupby("seed").cumcount()
    count = rows.groupby("seed")["neuron"].transform("size")
    rows = rows.assign(percent=100 * (rank + 0.5) / count)
    mean_and_spread(panel, rows, "percent", "norm_ratio", one.colour, one.label)


def _accuracy(table: pd.DataFrame) -> tuple[str, str]:
    """The column to show and its label: test accuracy, or training accuracy where there is no test set."""
    tested = table["test_accuracy"].notna().any()
    return ("test_accuracy", "test accuracy") if tested else ("train_accuracy", "training accuracy")


def pruning(series: Sequence[Series]) -> Figure | None:
    """Best accuracy over the scores against percent of hidden neurons removed, one panel a log loss."""
    shown = [(one, table) for one in series if len(table := one.table("pruning"))]
    if not shown:
        return None
    column, label = _accuracy(shown[0][1])
    levels = sorted({level for _, table in shown for level in table["log_loss"]}, reverse=True)
    figure, axes = panels(1, len(levels), sharey=True)
    for panel, level in zip(axes[0], levels, strict=True):
        for one, table in shown:
            table = table[table["log_loss"] == level]
            best = table.groupby(["seed", "percent"])[column].max().reset_index()
            mean_and_spread(panel, best, "percent", column, one.colour, one.label)
        panel.set_title(f"log loss {level:g}")
        panel.set_xlabel("hidden neurons removed (%)")
    axes[0, 0].set_ylabel(f"best {label}")
    axes[0, 0].legend(loc="lower left")
    return figure


def pruning_scores(series: Sequence[Series]) -> Figure | None:
    """Accuracy by each score by itself, mean over seeds: one row a series, one panel a log loss."""
    shown = [(one, table) for one in series if len(table := one.table("pruning"))]
    if not shown:
        return None
    column, label = _accuracy(shown[0][1])
    levels = sorted({level for _, table in shown for level in table["log_loss"]}, reverse=True)
    names = list(dict.fromkeys(score for _, table in shown for score in table["score"]))
    figure, axes = panels(len(shown), len(levels), height=2.5, sharex=True, sharey=True)
    for row, (one, table) in zip(axes, shown, strict=True):
        for panel, level in zip(row, levels, strict=True):
            at_level = table[table["log_loss"] == level]
            for order, score in enumerate(names):
                rows = at_level[at_level["score"] == score]
                if len(rows):
                    colour = PALETTE[order % len(PALETTE)]
                    mean_and_spread(panel, rows, "percent", column, colour, score.replace("_", " "), lines=False)
            panel.set_title(f"{one.label}, log loss {level:g}")
        row[0].set_ylabel(label)
        row[-1].legend(fontsize=7, loc="lower left")
    for panel in axes[-1]:
        panel.set_xlabel("hidden neurons removed (%)")
    return figure
