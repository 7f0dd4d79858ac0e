"""Figures of single neurons: norms, alignment, norm against gradient, directions. They show the first seed."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wnexp.figures.series import ACTIVE_RATIO, PALETTE, Series, panels, step_axis

_MOST_LINES = 64  # per layer: the neurons that end up largest
_LINE_STYLES = ("-", "--", ":", "-.")


def norms(series: Sequence[Series]) -> Figure:
    """`||w_u||` of every neuron against accepted steps, one panel a series."""
    figure, axes = panels(1, len(series), sharey=True)
    for panel, one in zip(axes[0], series, strict=True):
        _neuron_lines(panel, one.of_first_seed("neurons"), "weight_norm")
        panel.set_title(f"{one.label}, seed {one.first_seed}")
    axes[0, 0].set_ylabel(r"weight norm $\|w_u\|$")
    return figure


def alignment(series: Sequence[Series]) -> Figure:
    """`cos(w_u, -grad_u L)` of every neuron against accepted steps, one panel a series; active neurons stand out."""
    figure, axes = panels(1, len(series), sharey=True)
    for panel, one in zip(axes[0], series, strict=True):
        _neuron_lines(panel, one.of_first_seed("neurons"), "alignment")
        panel.set_title(f"{one.label}, seed {one.first_seed}")
    axes[0, 0].set_ylabel(r"alignment $\cos(w_u, -\nabla_u \mathcal{L})$")
    return figure


def _neuron_lines(panel: Axes, neurons: pd.DataFrame, column: str) -> None:
    """One line a neuron; the layer gives colour and dash, neurons inactive at the end are faint."""
    for order, (layer, rows) in enumerate(neurons.groupby("layer")):
        last = rows[rows["step"] == rows["step"].max()].set_index("neuron")["norm_ratio"]
        largest = last.sort_values(ascending=False).index[:_MOST_LINES]
        active = int((last >= ACTIVE_RATIO).sum())
        table = rows.pivot_table(index="step", columns="neuron", values=column)
        for neuron in [neuron for neuron in largest if neuron in table]:
            panel.plot(
                table.index,
                table[neuron],
                color=PALETTE[order % len(PALETTE)],
                linestyle=_LINE_STYLES[order % len(_LINE_STYLES)],
                alpha=0.9 if last[neuron] >= ACTIVE_RATIO else 0.3,
                linewidth=1.1 if last[neuron] >= ACTIVE_RATIO else 0.7,
            )
        panel.plot(
            [],
            [],
            color=PALETTE[order % len(PALETTE)],
            linestyle=_LINE_STYLES[order % len(_LINE_STYLES)],
            label=f"layer {layer}: {active} of {len(last)} active (faint: not)",
        )
    step_axis(panel)
    panel.legend(fontsize=7)


def norm_gradient(series: Sequence[Series]) -> Figure | None:
    """`log ||w_u||` against `log ||grad_u L||` at three depths of the loss, with the line the theory predicts.

    The product of the two becomes equal over active neurons under EWN (slope -1), their ratio under SWN (slope +1).
    The line has that slope and goes through the mean of the active neurons.
    """
    shown = [one for one in series if len(one.table("neurons")) and one.table("steps")["log_loss"].min() < 0]
    if not shown:
        return None
    levels = 3
    figure, axes = panels(len(shown), levels)
    for row, one in zip(axes, shown, strict=True):
        steps, neurons = one.of_first_seed("steps"), one.of_first_seed("neurons")
        final = steps["log_loss"].min()
        for panel, level in zip(row, (2 * final / 3, 5 * final / 6, final), strict=True):
            record = steps.loc[(steps["log_loss"] - level).abs().idxmin()]
            _norm_gradient_panel(panel, neurons[neurons["step"] == record["step"]], one.norm)
            panel.set_title(f"{one.label}, seed {one.first_seed}, log loss {record['log_loss']:.0f}")
            panel.set_xlabel(r"$\log \|w_u\|$")
        row[0].set_ylabel(r"$\log \|\nabla_u \mathcal{L}\|$ (nats)")
    return figure


def _norm_gradient_panel(panel: Axes, neurons: pd.DataFrame, norm: str) -> None:
    neurons = neurons.dropna(subset=["log_gradient_norm"])
    neurons = neurons.assign(log_norm=np.log(neurons["weight_norm"]))
    for order, (layer, rows) in enumerate(neurons.groupby("layer")):
        active = rows["norm_ratio"] >= ACTIVE_RATIO
        colour = PALETTE[order % len(PALETTE)]
        points = rows[~active]
        panel.plot(points["log_norm"], points["log_gradient_norm"], "o", color=colour, markersize=3, alpha=0.25)
        points = rows[active]
        marker = "os^D"[order % 4]
        panel.plot(
            points["log_norm"],
            points["log_gradient_norm"],
            marker,
            color=colour,
            markersize=5,
            label=f"layer {layer}, active",
        )
    active = neurons[neurons["norm_ratio"] >= ACTIVE_RATIO]
    slope = {"ewn": -1, "swn": 1}.get(norm)
    if not len(active):
        return
    # Neurons on their way out are far below: the active ones set the frame, never narrower than one nat.
    x, y = active["log_norm"], active["log_gradient_norm"]
    reach = max(float(np.ptp(x)), float(np.ptp(y)), 1.0)
    center_x, center_y = (x.max() + x.min()) / 2, (y.max() + y.min()) / 2
    panel.set_xlim(center_x - 1.1 * reach, center_x + 0.7 * reach)
    panel.set_ylim(center_y - 0.9 * reach, center_y + 0.9 * reach)
    panel.ticklabel_format(useOffset=False)
    if slope is not None:
        xs = x.mean() + np.array([-reach, reach])
        panel.plot(xs, y.mean() + slope * (xs - x.mean()), color="0.4", linestyle="--", label=f"slope {slope:+d}")
    panel.legend(fontsize=7)


def directions(series: Sequence[Series]) -> Figure | None:
    """Components of `w_u / ||w_u||` of the neurons active at the end, against accepted steps; first trained layer."""
    shown = []
    for one in series:
        neurons = one.of_first_seed("neurons").dropna(subset=["direction"])
        neurons = neurons[neurons["layer"] == neurons["layer"].min()]
        if len(neurons) and len(neurons["direction"].iloc[0]) > 1:
            shown.append((one, neurons))
    if not shown:
        return None
    figure, axes = panels(1, len(shown), sharey=True)
    for panel, (one, neurons) in zip(axes[0], shown, strict=True):
        last = neurons[neurons["step"] == neurons["step"].max()].set_index("neuron")["norm_ratio"]
        active = last[last >= ACTIVE_RATIO].sort_values(ascending=False).index[: len(PALETTE)]
        for order, neuron in enumerate(active):
            rows = neurons[neurons["neuron"] == neuron]
            components = np.stack(rows["direction"].to_numpy())
            for component in range(components.shape[1]):
                style = _LINE_STYLES[component % len(_LINE_STYLES)]
                label = f"neuron {neuron}" if component == 0 else None
                panel.plot(rows["step"], components[:, component], color=PALETTE[order], linestyle=style, label=label)
        panel.set_title(f"{one.label}, seed {one.first_seed}")
        step_axis(panel)
        panel.legend(fontsize=7, ncols=2)
    axes[0, 0].set_ylabel(r"components of $w_u/\|w_u\|$ (solid: first)")
    return figure
