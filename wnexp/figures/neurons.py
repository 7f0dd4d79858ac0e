"""Figures of single neurons against steps: norms, alignment, directions. They show the first seed."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wnexp.figures.series import ACTIVE_RATIO, Series
from wnexp.figures.style import DASHES, PALETTE, label_rows, legend, step_axis, title, wrapped

MOST_LAYERS = 4
_MOST_LINES = 24  # neurons of a layer drawn one by one
_MOST_LINES_BESIDE_BANDS = 8
_MOST_COMPONENTS = 3  # of a direction
_FAINT = "faint: neurons that end below a quarter of the largest norm of their layer"
_BANDS = "bands, of layers with many neurons: median, 80 % of the neurons, all of them"


def spread_layers(layers: Sequence[int]) -> list[int]:
    """At most `MOST_LAYERS` of the layers, from the first to the last."""
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_LAYERS)).round().astype(int)
    return [layers[place] for place in places]


def norms(series: Sequence[Series]) -> Figure:
    """`||w_u||` of every neuron against accepted steps, one panel per series."""
    shown = [(one, one.of_first_seed("neurons")) for one in series]
    return _by_series(shown, "weight_norm", r"weight norm $\|w_u\|$")


def alignment(series: Sequence[Series]) -> Figure | None:
    """`cos(w_u, -grad_u L)` of every neuron against accepted steps; not of neurons with one weight, where it is ±1."""
    shown = []
    for one in series:
        neurons = one.of_first_seed("neurons")
        constant = (neurons["alignment"].abs() > 1 - 1e-12).groupby(neurons["layer"]).transform("all")
        if not constant.all():
            shown.append((one, neurons[~constant]))
    return _by_series(shown, "alignment", r"alignment $\cos(w_u, -\nabla_u \mathcal{L})$") if shown else None


def _by_series(shown: Sequence[tuple[Series, pd.DataFrame]], column: str, label: str) -> Figure:
    figure, axes = wrapped(len(shown), sharey=True)
    notes = []
    for panel, (one, neurons) in zip(axes, shown, strict=True):
        title(panel, one.panel_title + _neuron_lines(panel, neurons, column, notes))
        step_axis(panel)
    label_rows(axes, label)
    legend(figure, "\n".join(dict.fromkeys(notes)))
    return figure


def _neuron_lines(panel: Axes, neurons: pd.DataFrame, column: str, notes: list[str]) -> str:
    """The neurons of each layer, one by one or as bands; returns what the title says of them, adds to the notes."""
    layers = sorted(neurons["layer"].unique().tolist())
    counts = []
    widest = neurons.groupby("layer")["neuron"].nunique().max()
    most = _MOST_LINES if widest <= _MOST_LINES else _MOST_LINES_BESIDE_BANDS
    for order, layer in enumerate(spread_layers(layers)):
        rows = neurons[neurons["layer"] == layer]
        last = rows[rows["step"] == rows["step"].max()].set_index("neuron")["norm_ratio"]
        active = last >= ACTIVE_RATIO
        counts.append(f"{active.sum()} of {len(last)}")
        table = rows.pivot(index="step", columns="neuron", values=column)
        style = {"color": PALETTE[order], "linestyle": DASHES[order]}
        panel.plot([], [], label=f"layer {layer}", **style)
        if len(last) > most:
            notes.append(_BANDS)
            low, tenth, middle, ninetieth, high = np.nanquantile(table.to_numpy(), (0, 0.1, 0.5, 0.9, 1), axis=1)
            panel.plot(table.index, middle, **style)
            panel.fill_between(table.index, tenth, ninetieth, color=PALETTE[order], alpha=0.25, linewidth=0)
            panel.fill_between(table.index, low, high, color=PALETTE[order], alpha=0.12, linewidth=0)
            continue
        if not active.all():
            notes.append(_FAINT)
        for faint in (True, False):
            chosen = table[[neuron for neuron in table if active.get(neuron, False) != faint]]
            if len(chosen.columns):
                width, alpha = (0.7, 0.3) if faint else (1.1, 0.9)
                panel.plot(chosen.index, chosen.to_numpy(), **style, linewidth=width, alpha=alpha)
    part = f" ({MOST_LAYERS} of {len(layers)} layers shown)" if len(layers) > MOST_LAYERS else ""
    return f"\nactive: {', '.join(counts)}{part}"


def directions(series: Sequence[Series]) -> Figure | None:
    """The direction of the neurons active at the end against accepted steps; first trained layer, one panel per series.

    Of neurons with at most three weights the components of `w_u / ||w_u||`, of others the cosine with their last one.
    """
    shown = []
    for one in series:
        neurons = one.of_first_seed("neurons").dropna(subset=["direction"])
        neurons = neurons[neurons["layer"] == neurons["layer"].min()]
        if len(neurons) and len(neurons["direction"].iloc[0]) > 1:
            shown.append((one, neurons, _active_at_end(neurons)))
    if not shown:
        return None
    by_rank = [neuron for rank in zip_longest(*(active for _, _, active in shown)) for neuron in rank]
    chosen = [neuron for neuron in dict.fromkeys(by_rank) if neuron is not None][: len(PALETTE)]
    colours = dict(zip(sorted(chosen), PALETTE, strict=False))
    figure, axes = wrapped(len(shown), sharey=True)
    names = []
    for panel, (one, neurons, active) in zip(axes, shown, strict=True):
        drawn = [neuron for neuron in active if neuron in colours]
        for neuron in drawn:
            names = _direction_lines(panel, neurons[neurons["neuron"] == neuron], colours[neuron])
        cut = f"\n{len(drawn)} of {len(active)} active neurons shown" if len(drawn) < len(active) else ""
        title(panel, one.panel_title + cut)
        step_axis(panel)
    for neuron, colour in colours.items():
        axes[0].plot([], [], color=colour, label=f"neuron {neuron}")
    for component, name in enumerate(names if len(names) > 1 else ()):
        axes[0].plot([], [], color="0.4", linestyle=DASHES[component], label=name)
    label_rows(axes, r"components of $w_u/\|w_u\|$" if len(names) > 1 else names[0])
    legend(figure)
    return figure


def _active_at_end(neurons: pd.DataFrame) -> list[int]:
    """The active neurons of the last record, the largest first."""
    last = neurons[neurons["step"] == neurons["step"].max()].set_index("neuron")["norm_ratio"]
    return last[last >= ACTIVE_RATIO].sort_values(ascending=False).index.tolist()


def _direction_lines(panel: Axes, rows: pd.DataFrame, colour: str) -> list[str]:
    """Draw one neuron; returns what its lines are."""
    components = np.stack(rows["direction"].to_numpy())
    if components.shape[1] > _MOST_COMPONENTS:
        panel.plot(rows["step"], components @ components[-1], color=colour)
        return [r"cosine of $w_u$ with the last $w_u$"]
    for component in range(components.shape[1]):
        panel.plot(rows["step"], components[:, component], color=colour, linestyle=DASHES[component])
    return [f"component {component + 1}" for component in range(components.shape[1])]
