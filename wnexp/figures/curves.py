"""Figures of whole-network curves: loss, margin, rates, loss shares."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from wnexp.errors import UserError
from wnexp.figures.looks import natural, setting_of
from wnexp.figures.seeds import over_seeds, seeds_note
from wnexp.figures.series import Series
from wnexp.figures.style import AXES, asked, label_rows, legend, look, panels, step_axis, title, wrapped

_SHORTEST_LOG_TIME = 3.0  # nats; before that log log t means nothing
_MOST_NAMED = 8  # samples; more are told apart by nothing but their curves


def curves_of(
    series: Sequence[Series], y: str, label: str, xs: Sequence[str] = ("step", "log_time"), **options
) -> tuple[Figure, np.ndarray]:
    """A column of steps.parquet against what `AXES` names, a panel each; with a facet a row for each of its values."""
    ask, rows = asked(), facets(series)
    xs = (ask.x,) if ask.x is not None else xs
    if ask.x not in (None, *AXES):
        raise UserError(f"x={ask.x}: of curves {', '.join(AXES)}")
    apart = setting_of(series, ask.facet_by) if ask.facet_by else ""
    figure, axes = panels(len(rows), len(xs), **options)
    for row, (value, members) in zip(axes, rows.items(), strict=True):
        for x, panel in zip(xs, row, strict=True):
            for one in members:
                steps = one.table("steps")
                steps = steps.assign(log_loss_depth=-steps["log_loss"])
                name = one.label_without(apart)
                over_seeds(panel, steps, "log_loss_depth" if x == "log_loss" else x, y, name, one.look)
            if x == "step":
                step_axis(panel)
            panel.set_xlabel(AXES[x])
            if value:
                title(panel, value)
        label_rows(list(row), label)
    legend(figure, seeds_note(series))
    return figure, axes


def facets(series: Sequence[Series]) -> dict[str, list[Series]]:
    """The series by the value of the setting that makes facets, all of them under no name without one."""
    asked_for = asked().facet_by
    if asked_for is None:
        return {"": list(series)}
    key, found = setting_of(series, asked_for), {}
    for one in sorted(series, key=lambda one: natural(one.value(key))) if key != "norm.name" else series:
        found.setdefault(f"{key.removesuffix('.name')}={one.value(key)}", []).append(one)
    return found


def of_column(name: str) -> Callable[[Sequence[Series]], Figure | None]:
    """The figure of a column of steps.parquet that has none of its own."""

    def draw(series: Sequence[Series]) -> Figure | None:
        shown = [one for one in series if one.table("steps").reindex(columns=[name]).notna().to_numpy().any()]
        return curves_of(shown, name, name.replace("_", " "), ("step", "log_loss"), sharey=True)[0] if shown else None

    return draw


def loss(series: Sequence[Series]) -> Figure:
    """Log training loss against accepted steps and against log time."""
    return curves_of(series, "log_loss", "log training loss (nats)")[0]


def loss_by_norm(series: Sequence[Series]) -> Figure | None:
    """Log training loss against accepted steps, one panel per normalization, where each has several runs."""
    norms = list(dict.fromkeys(one.norm for one in series))
    groups = [[one for one in series if one.norm == norm] for norm in norms]
    if len(norms) < 2 or max(map(len, groups)) < 2:
        return None
    figure, axes = panels(1, len(norms), sharey=True)
    labels = list(dict.fromkeys(one.label_without("norm.name") for one in series))
    for panel, norm, group in zip(axes[0], norms, groups, strict=True):
        for one in group:
            label = one.label_without("norm.name")
            over_seeds(panel, one.table("steps"), "step", "log_loss", label, look(labels.index(label)))
        title(panel, f"norm={norm}")
        panel.set_xlabel("accepted steps")
    axes[0, 0].set_ylabel("log training loss (nats)")
    legend(figure, seeds_note(series))
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
        over_seeds(axes[0, 0], steps, "log_log_time", "excess", one.label, one.look)
        over_seeds(axes[0, 1], steps, "log_log_time", "log_norm", one.label, one.look)
    if not deep:
        return None
    for panel, label in zip(axes[0], (r"$-\log \mathcal{L} - \log t$ (nats)", r"$\log \|w\|$"), strict=True):
        panel.set_xlabel(r"$\log \log t$")
        panel.set_ylabel(label)
    legend(figure, seeds_note(series))
    return figure


def limit_cosine(series: Sequence[Series]) -> Figure | None:
    """`cos(grad L, gtilde)` against accepted steps; -1 where the gradient points along its limit direction."""
    if not any(one.table("steps")["limit_cosine"].notna().any() for one in series):
        return None
    return curves_of(series, "limit_cosine", r"$\cos(\nabla \mathcal{L}, \tilde g)$", ("step",), width=4.6)[0]


def margin(series: Sequence[Series]) -> Figure | None:
    """Normalized margin against accepted steps and against the depth of the loss, from where the data are separated."""
    largest = max(one.table("steps")["normalized_margin"].max() for one in series)
    if not largest > 0:
        return None
    label = r"normalized margin $q/\|w\|^L$"
    figure, axes = curves_of(series, "normalized_margin", label, ("step", "log_loss"), sharey=True)
    for panel in axes.flat:
        panel.set_ylim(-0.03 * largest, 1.05 * largest)
    return figure


def sharpness(series: Sequence[Series]) -> Figure | None:
    """The largest Hessian eigenvalue over the loss, and its product with the step, beside the 2 of stable descent."""
    shown = [one for one in series if one.table("steps").reindex(columns=["log_sharpness"]).notna().to_numpy().any()]
    if not shown:
        return None
    figure, axes = panels(1, 2)
    for one in shown:
        steps = one.table("steps").assign(
            relative=lambda rows: rows["log_sharpness"] - rows["log_loss"], depth=lambda rows: -rows["log_loss"]
        )
        over_seeds(axes[0, 0], steps, "depth", "relative", one.label, one.look)
        over_seeds(axes[0, 1], steps, "step", "step_sharpness", one.label, one.look)
    axes[0, 0].set_xlabel("$-$log training loss (nats)")
    axes[0, 0].set_ylabel(r"$\log \lambda_{\max}(\nabla^2 \mathcal{L}) - \log \mathcal{L}$")
    step_axis(axes[0, 1])
    axes[0, 1].set_yscale("log")
    axes[0, 1].axhline(2, color="0.4", linewidth=0.8, linestyle="--", zorder=1)
    axes[0, 1].set_ylabel(r"$\eta\, \lambda_{\max}(\nabla^2 \mathcal{L})$ (dashed: 2)")
    legend(figure, seeds_note(shown))
    return figure


def loss_shares(series: Sequence[Series]) -> Figure | None:
    """The loss-share vector of the first seed, one line per sample, one panel per series; not of a single sample."""
    shown = [one for one in series if one.table("samples")["sample"].nunique() > 1]
    if not shown:
        return None
    figure, axes = wrapped(len(shown), sharey=True)
    for panel, one in zip(axes, shown, strict=True):
        table = one.of_first_seed("samples").pivot_table(index="step", columns="sample", values="loss_share")
        many = len(table.columns) > _MOST_NAMED
        for sample in table:
            label = None if many else f"sample {sample}"
            panel.plot(table.index, table[sample], **look(int(sample)), alpha=0.6 if many else 1, label=label)
        title(panel, one.panel_title)
        step_axis(panel)
    label_rows(axes, r"loss share $\ell_i / \|\ell\|_2$")
    legend(figure)
    return figure
