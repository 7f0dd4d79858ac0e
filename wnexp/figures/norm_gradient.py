"""The figure of norms against gradients, where the normalizations leave their mark."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wnexp.figures.neurons import spread_layers
from wnexp.figures.series import ACTIVE_RATIO, Series
from wnexp.figures.style import MOST_COLUMNS, PALETTE, label_rows, legend, title, wrapped

_MOST_LEVELS = 3


def norm_gradient(series: Sequence[Series]) -> Figure | None:
    """`log ||w_u||` against `log ||grad_u L||` where the first seed is first below each level, with predicted slopes.

    The product of the two becomes equal over active neurons under EWN (slope -1), their ratio under SWN (slope +1).
    A line of that slope goes through the mean of the active neurons of every layer that has several. One row a
    series; more than `MOST_COLUMNS` series have one panel each, the deepest.
    """
    places = []
    for one in series:
        reached = float(one.of_first_seed("steps")["log_loss"].min())
        levels = one.levels(reached, _MOST_LEVELS)[-1 if len(series) > MOST_COLUMNS else 0 :]
        places += [(one, level) for level in levels if len(one.table("neurons"))]
    if not places:
        return None
    columns = max(sum(1 for other, _ in places if other is one) for one in series)
    figure, axes = wrapped(len(places), columns=columns if columns > 1 else MOST_COLUMNS)
    for panel, (one, level) in zip(axes, places, strict=True):
        steps, neurons = one.of_first_seed("steps"), one.of_first_seed("neurons")
        record = steps[steps["log_loss"] <= level].sort_values("step").iloc[0]
        _panel(panel, neurons[neurons["step"] == record["step"]], _slope(one))
        title(panel, f"{one.panel_title}\nlog loss {record['log_loss']:.4g}")
        panel.set_xlabel(r"$\log \|w_u\|$")
    label_rows(axes, r"$\log \|\nabla_u \mathcal{L}\|$ (nats)")
    legend(figure, "small and faint: neurons below a quarter of the largest norm of their layer")
    return figure


def _slope(one: Series) -> float | None:
    """What the theory predicts under a normalization."""
    return one.law["slope"] if one.law and one.law["normalizes"] else None


def _panel(panel: Axes, neurons: pd.DataFrame, slope: float | None) -> None:
    neurons = neurons.dropna(subset=["log_gradient_norm"]).query("weight_norm > 0")
    neurons = neurons.assign(log_norm=lambda rows: np.log(rows["weight_norm"]))
    is_active = neurons["norm_ratio"] >= ACTIVE_RATIO
    active: pd.DataFrame = neurons.loc[is_active]
    if not len(active):
        return
    # Neurons on their way out are far below: the active ones set the frame, never narrower than one nat.
    x, y = active["log_norm"], active["log_gradient_norm"]
    reach = max(float(np.ptp(x)), float(np.ptp(y)), 1.0)
    center_x, center_y = (x.max() + x.min()) / 2, (y.max() + y.min()) / 2
    panel.set_xlim(center_x - 1.1 * reach, center_x + 0.7 * reach)
    panel.set_ylim(center_y - 0.9 * reach, center_y + 0.9 * reach)
    panel.ticklabel_format(useOffset=False)
    for order, layer in enumerate(spread_layers(sorted(neurons["layer"].unique().tolist()))):
        points, style = active[active["layer"] == layer], {"color": PALETTE[order]}
        others = neurons[(neurons["layer"] == layer) & ~is_active]
        panel.plot(others["log_norm"], others["log_gradient_norm"], "o", **style, markersize=3, alpha=0.25)
        marker, label = "os^D"[order], f"layer {layer}, active"
        panel.plot(points["log_norm"], points["log_gradient_norm"], marker, **style, markersize=5, label=label)
        if slope is not None and len(points) > 1:
            middle_x, middle_y = points["log_norm"].mean(), points["log_gradient_norm"].mean()
            ends = np.array([-2 * reach, 2 * reach])
            panel.plot(middle_x + ends, middle_y + slope * ends, **style, linestyle="--", linewidth=0.9, zorder=1)
    if slope is not None:
        panel.plot([], [], color="0.4", linestyle="--", linewidth=0.9, label=f"slope {slope:+g}, by layer")
