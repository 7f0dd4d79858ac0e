"""Figures of sparsity: effective number of neurons, distribution of their norms, accuracy after pruning."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wnexp.figures.neurons import spread_layers
from wnexp.figures.seeds import deviation, over_seeds, seeds_note
from wnexp.figures.series import Series
from wnexp.figures.style import MOST_COLUMNS, label_rows, legend, look, panels, title, wrapped

_MOST_LEVELS = 4


def _wide_layers(series: Sequence[Series]) -> tuple[list[int], str]:
    """Some trained layers that have more than two neurons in some series, and a note where there are more."""
    largest = pd.concat([one.table("neurons").groupby("layer")["neuron"].max() for one in series])
    layers = sorted(set(largest[largest >= 2].index.tolist()))
    shown = spread_layers(layers)
    return shown, f"{len(shown)} of {len(layers)} layers shown" if len(shown) < len(layers) else ""


def effective_neurons(series: Sequence[Series]) -> Figure | None:
    """Effective number of neurons `(sum n_u)^2 / sum n_u^2`, `n_u = ||w_u||`, against the depth of the loss."""
    layers, part = _wide_layers(series)
    if not layers:
        return None
    figure, axes = panels(1, len(layers), width=4.6 if len(layers) == 1 else 3.4)
    for panel, layer in zip(axes[0], layers, strict=True):
        for one in series:
            neurons = one.table("neurons")
            neurons = neurons[neurons["layer"] == layer]
            norms = neurons.assign(square=neurons["weight_norm"] ** 2).groupby(["seed", "step"])
            sums = norms[["weight_norm", "square"]].sum().reset_index()
            sums["effective"] = sums["weight_norm"] ** 2 / sums["square"]
            sums = sums.merge(one.table("steps")[["seed", "step", "log_loss"]], on=["seed", "step"])
            sums["depth"] = -sums["log_loss"]
            over_seeds(panel, sums, "depth", "effective", one.label, one.look)
        panel.set_ylim(bottom=0)
        panel.set_title(f"layer {layer}")
        panel.set_xlabel("$-$log training loss (nats)")
    axes[0, 0].set_ylabel(r"effective neurons $(\sum_u\,\|w_u\|)^2 /\, \sum_u\,\|w_u\|^2$")
    legend(figure, "\n".join(filter(None, (part, seeds_note(series)))))
    return figure


def _levels(series: Sequence[Series]) -> list[float]:
    """The levels of the series of which half the seeds got deepest; none if the loss did not fall."""
    reached = [float(one.table("steps").groupby("seed")["log_loss"].min().median()) for one in series]
    deepest = min(range(len(series)), key=lambda index: reached[index])
    return series[deepest].levels(reached[deepest], _MOST_LEVELS)


def norm_distribution(series: Sequence[Series]) -> Figure | None:
    """Sorted neuron norms over the largest of the layer, where a seed first is below each level; rows are layers."""
    (layers, part), levels = _wide_layers(series), _levels(series)
    if not layers or not levels:
        return None
    figure, axes = panels(len(layers), len(levels), height=2.5, sharex=True, sharey=True)
    for row, layer in zip(axes, layers, strict=True):
        for panel, level in zip(row, levels, strict=True):
            for one in series:
                _sorted_norms(panel, one, layer, level)
            title(panel, f"layer {layer}, log loss {level:.4g}")
        row[0].set_ylabel(r"$\|w_u\|$ / largest of the layer")
    for panel in axes[-1]:
        panel.set_xlabel("neurons, largest first (%)")
    legend(figure, "\n".join(filter(None, (part, seeds_note(series)))))
    return figure


def _sorted_norms(panel: Axes, one: Series, layer: int, level: float) -> None:
    steps, neurons = one.table("steps"), one.table("neurons")
    first = steps[steps["log_loss"] <= level].groupby("seed")["step"].min()
    rows = neurons[neurons["layer"] == layer].merge(first.reset_index(), on=["seed", "step"])
    rows = rows.sort_values("norm_ratio", ascending=False)
    rank = rows.groupby("seed").cumcount()
    count = rows.groupby("seed")["neuron"].transform("size")
    rows = rows.assign(percent=100 * (rank + 0.5) / count)
    over_seeds(panel, rows, "percent", "norm_ratio", one.label, one.look)


def _accuracy(table: pd.DataFrame) -> tuple[str, str]:
    """The column to show and its label: test accuracy, or training accuracy where there is no test set."""
    tested = table["test_accuracy"].notna().any()
    return ("test_accuracy", "test accuracy") if tested else ("train_accuracy", "training accuracy")


def pruning(series: Sequence[Series]) -> Figure | None:
    """Best accuracy over the scores against percent of hidden neurons removed, one panel per log loss."""
    shown = [(one, table) for one in series if len(table := one.table("pruning"))]
    if not shown:
        return None
    column, label = _accuracy(shown[0][1])
    levels = sorted({level for _, table in shown for level in table["log_loss"]}, reverse=True)
    figure, axes = wrapped(len(levels), sharey=True)
    for panel, level in zip(axes, levels, strict=True):
        for one, table in shown:
            table = table[table["log_loss"] == level]
            best = table.groupby(["seed", "percent"])[column].max().reset_index()
            over_seeds(panel, best, "percent", column, one.label, one.look, deviation)
        panel.set_title(f"log loss {level:g}")
        panel.set_xlabel("hidden neurons removed (%)")
    label_rows(axes, f"best {label}")
    legend(figure, seeds_note([one for one, _ in shown], deviation))
    return figure


def pruning_scores(series: Sequence[Series]) -> Figure | None:
    """Accuracy by each score by itself, mean over seeds: one row per series, one panel per log loss.

    More than `MOST_COLUMNS` series have one panel each, the deepest level.
    """
    shown = [(one, table) for one in series if len(table := one.table("pruning"))]
    if not shown:
        return None
    column, label = _accuracy(shown[0][1])
    names = list(dict.fromkeys(score for _, table in shown for score in table["score"]))
    places = []
    for one, table in shown:
        levels = sorted(table["log_loss"].unique(), reverse=True)
        places += [(one, table, level) for level in levels[-1 if len(shown) > MOST_COLUMNS else 0 :]]
    columns = max(sum(1 for other, _, _ in places if other is one) for one, _ in shown)
    figure, axes = wrapped(len(places), columns=columns if columns > 1 else MOST_COLUMNS, height=2.5, sharey=True)
    for panel, (one, table, level) in zip(axes, places, strict=True):
        at_level = table[table["log_loss"] == level]
        for order, score in enumerate(names):
            rows = at_level[at_level["score"] == score]
            if len(rows):
                name = score.replace("_", " ")
                over_seeds(panel, rows, "percent", column, name, look(order), deviation, lines=False)
        title(panel, f"{one.label}, log loss {level:g}")
        panel.set_xlabel("hidden neurons removed (%)")
    label_rows(axes, label)
    legend(figure, seeds_note([one for one, _ in shown], deviation))
    return figure
