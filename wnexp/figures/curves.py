"""Figures of whole-network curves: loss, margin, loss shares."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

from matplotlib.figure import Figure

from wnexp.figures.series import PALETTE, Series, mean_and_spread, panels, step_axis


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
