"""Figures of whole-network curves: loss, margin, loss shares."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from wnexp.figures.series import PALETTE, Series, mean_and_spread, panels, step_axis

_SHORTEST_LOG_TIME = 3.0  # nats; before that log log t means nothing


def loss(series: Sequence[Series]) -> Figure:
    """Log training loss against accepted steps and against log time."""
    figure, axes = panels(1, 2)
    for one in series:
        steps = one.table("steps")
        mean_and_spread(axes[0, 0], steps, "step", "log_loss", one.colour, one.label)
        mean_and_spread(axes[0, 1], steps, "log_time", "log_loss", one.colour, one.label)
    step_axis(axes[0, 0])
    axes[0, 0].set_ylabel("log training loss (nats)")
    axes[0, 1].set_xlabel("log time (nats)")
    axes[0, 0].legend()
    return figure


def loss_by_norm(series: Sequence[Series]) -> Figure | None:
    """Log training loss against accepted steps, one panel a normalization, where each has several runs."""
    norms = list(dict.fromkeys(one.norm for one in series))
    groups = [[one for one in series if one.norm == norm] for norm in norms]
    if len(norms) < 2 or max(map(len, groups)) < 2:
        return None
    figure, axes = panels(1, len(norms), sharey=True)
    for panel, norm, group in zip(axes[0], norms, groups, strict=True):
        for order, one in enumerate(group):
            label = one.label.replace(f"norm={norm}", "").strip(", ")
            colour = PALETTE[order % len(PALETTE)]
            mean_and_spread(panel, one.table("steps"), "step", "log_loss", colour, label)
        panel.set_title(f"norm={norm}")
        panel.set_xlabel("accepted steps")
        panel.legend()
    axes[0, 0].set_ylabel("log training loss (nats)")
    return figure


def rates(series: Sequence[Series]) -> Figure | None:
    """`-log L - log t` and `log ||w||` against `log log t`: straight lines of slopes `p` and `1/L` in the limit.

    The loss decays as `L = Theta(1/(t (log t)^p))`, the norm grows as `||w|| = Theta((log t)^(1/L))`, with `p = 2` for
    EWN at any depth and `p = 2 - 2/L` otherwise.
    """
    figure, axes = panels(1, 2)
    deep = False
    for one in series:
        steps = one.table("steps")
        steps = steps[steps["log_time"] > _SHORTEST_LOG_TIME]
        deep |= bool(len(steps))
        steps = steps.assign(
            log_log_time=np.log(steps["log_time"]),
            excess=-steps["log_loss"] - steps["log_time"],
            log_norm=np.log(steps["weight_norm"]),
        )
        mean_and_spread(axes[0, 0], steps, "log_log_time", "excess", one.colour, one.label)
        mean_and_spread(axes[0, 1], steps, "log_log_time", "log_norm", one.colour, one.label)
    if not deep:
        return None
    for panel, label in zip(axes[0], (r"$-\log \mathcal{L} - \log t$ (nats)", r"$\log \|w\|$"), strict=True):
        panel.set_xlabel(r"$\log \log t$")
        panel.set_ylabel(label)
    axes[0, 0].legend()
    return figure


def limit_cosine(series: Sequence[Series]) -> Figure | None:
    """`cos(grad L, gtilde)` against accepted steps; -1 where the gradient points along its limit direction."""
    if not any(one.table("steps")["limit_cosine"].notna().any() for one in series):
        return None
    figure, axes = panels(1, 1)
    for one in series:
        mean_and_spread(axes[0, 0], one.table("steps"), "step", "limit_cosine", one.colour, one.label)
    step_axis(axes[0, 0])
    axes[0, 0].set_ylabel(r"$\cos(\nabla \mathcal{L}, \tilde g)$")
    axes[0, 0].legend()
    return figure


def margin(series: Sequence[Series]) -> Figure | None:
    """Normalized margin against accepted steps and against the depth of the loss."""
    if not any((one.table("steps")["normalized_margin"] > 0).any() for one in series):
        return None
    figure, axes = panels(1, 2, sharey=True)
    for one in series:
        steps = one.table("steps")
        steps = steps[steps["normalized_margin"] > 0].assign(depth=lambda rows: -rows["log_loss"])
        mean_and_spread(axes[0, 0], steps, "step", "normalized_margin", one.colour, one.label)
        mean_and_spread(axes[0, 1], steps, "depth", "normalized_margin", one.colour, one.label)
    step_axis(axes[0, 0])
    axes[0, 0].set_ylabel(r"normalized margin $q/\|w\|^L$")
    axes[0, 1].set_xlabel("$-$log training loss (nats)")
    axes[0, 0].legend()
    return figure


def loss_shares(series: Sequence[Series]) -> Figure | None:
    """The loss-share vector of the first seed, one line a sample, one panel a series."""
    shown = [one for one in series if len(one.table("samples"))]
    if not shown:
        return None
    figure, axes = panels(1, len(shown), sharey=True)
    for panel, one in zip(axes[0], shown, strict=True):
        samples = one.of_first_seed("samples")
        many = samples["sample"].nunique() > len(PALETTE)
        for sample, rows in samples.groupby("sample"):
            colour = PALETTE[int(sample) % len(PALETTE)]
            panel.plot(
                rows["step"], rows["loss_share"], color=colour, alpha=0.6 if many else 1, label=f"sample {sample}"
            )
        panel.set_title(f"{one.label}, seed {one.first_seed}")
        step_axis(panel)
        if not many:
            panel.legend()
    axes[0, 0].set_ylabel(r"loss share $\ell_i / \|\ell\|_2$")
    return figure
