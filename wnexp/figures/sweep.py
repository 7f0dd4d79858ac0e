"""The figure of a swept number: what runs end with against it."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wnexp.figures.seeds import NOTES, deviation
from wnexp.figures.series import ACTIVE_RATIO, Series
from wnexp.figures.style import law_colour, legend, look, wrapped
from wnexp.runs.snapshots import FINAL, INITIAL

_FEWEST = 4  # values of the number; of fewer the curves say more
_REMOVED = 90  # % of the hidden neurons, where pruning tells nets apart
_FEWEST_NATS = 0.3  # between norms, for a slope

Values = dict[int, float]  # seed -> what it ends with


def _margins(one: Series) -> Values:
    steps = _last(one.table("steps"))
    return steps.loc[steps["normalized_margin"] > 0, "normalized_margin"].to_dict()


def _test_accuracies(one: Series) -> Values:
    return _last(one.table("steps"))["test_accuracy"].dropna().to_dict()


def _test_losses(one: Series) -> Values:
    """Where labels are no classes."""
    steps = _last(one.table("steps"))
    return steps.loc[steps["train_accuracy"].isna(), "log_test_loss"].dropna().to_dict()


def _weight_norms(one: Series) -> Values:
    """Where the loss is no function of margins, so that weights end somewhere."""
    steps = _last(one.table("steps"))
    return steps.loc[steps["margin"].isna(), "weight_norm"].dropna().to_dict()


def _effective(one: Series) -> Values:
    """`(sum n_u)^2 / sum n_u^2` of the first layer."""
    rows = _last_neurons(one)
    norms = rows[rows["layer"] == rows["layer"].min()].groupby("seed")["weight_norm"]
    return {seed: own.sum() ** 2 / (own**2).sum() for seed, own in norms if len(own) > 1}


def _start_cosines(one: Series) -> Values:
    """Of the first trained layer's weights in the end with those at the start."""
    found = {}
    for run in one.sources:
        layer = int(run.frame("neurons")["layer"].min())
        for seed in run.seeds:
            first, last = run.weights(seed, INITIAL), run.weights(seed, FINAL)
            if first and last:
                start, end = (np.ravel(arrays[f"layers.{layer}.weight"]).astype(float) for arrays in (first, last))
                found[seed] = float(start @ end / (np.linalg.norm(start) * np.linalg.norm(end)))
    return found


def _slopes(one: Series) -> Values:
    """Of `log ||grad_u L||` against `log ||w_u||` over the active neurons of a layer, all layers together."""
    rows = _last_neurons(one).dropna(subset=["log_gradient_norm"]).query(f"norm_ratio >= {ACTIVE_RATIO}")
    rows = rows.iloc[:0] if _weight_norms(one) else rows  # of the limit of losses of margins
    found = {}
    for seed, own in rows.assign(log_norm=np.log(rows["weight_norm"])).groupby("seed"):
        x, y = (own[name] - own.groupby("layer")[name].transform("mean") for name in ("log_norm", "log_gradient_norm"))
        if np.ptp(x) > _FEWEST_NATS:
            found[seed] = float((x * y).sum() / (x**2).sum())
    return found


def _pruned(one: Series) -> Values:
    """Best test accuracy over the scores after pruning, at the deepest level."""
    rows = one.table("pruning")
    if not len(rows):
        return {}
    rows = rows[(rows["log_loss"] == rows["log_loss"].min()) & (rows["percent"] == _REMOVED)]
    return rows.groupby("seed")["test_accuracy"].max().dropna().to_dict()


def _last(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("step").groupby("seed").last()


def _last_neurons(one: Series) -> pd.DataFrame:
    rows = one.table("neurons")
    return rows[rows["step"] == rows.groupby("seed")["step"].transform("max")]


PANELS: dict[str, Callable[[Series], Values]] = {
    r"normalized margin $q/\|w\|^L$": _margins,
    "log test loss (nats)": _test_losses,
    r"weight norm $\|w\|$": _weight_norms,
    "effective neurons, first layer": _effective,
    "cosine of the first layer with its start": _start_cosines,
    r"slope of $\log\|\nabla_u \mathcal{L}\|$ against $\log\|w_u\|$": _slopes,
    "test accuracy": _test_accuracies,
    f"test accuracy, {_REMOVED} % of the hidden neurons removed": _pruned,
}


def sweep(series: Sequence[Series]) -> Figure | None:
    """What runs end with against the number that they were swept over, mean and deviation over seeds.

    The number is the setting of most values, at least four; a line is of runs that differ in it alone. Dashed: the
    slope that the law of the norm predicts.
    """
    key = _swept(series)
    found = {label: [values_of(one) for one in series] for label, values_of in PANELS.items()} if key else {}
    found = {label: values for label, values in found.items() if sum(map(bool, values)) >= _FEWEST}
    if key is None or not found:
        return None
    figure, axes = wrapped(len(found), height=2.9)
    places = {value: place for place, value in enumerate(sorted({one.settings[key] for one in series}, key=float))}
    lines = list(dict.fromkeys(one.label_without(key) for one in series))
    laws = [{str(one.law) for one in series if one.label_without(key) == line} for line in lines]
    distinct = len({min(own) for own in laws}) == len(lines) and all(len(own) == 1 for own in laws)
    for panel, (label, values) in zip(axes, found.items(), strict=True):
        for order, line in enumerate(lines):
            members = sorted(
                (
                    (places[one.settings[key]], own)
                    for one, own in zip(series, values, strict=True)
                    if one.label_without(key) == line and own
                ),
                key=lambda member: member[0],
            )
            of_line = [one for one in series if one.label_without(key) == line]
            colour = law_colour(of_line[0].law) if distinct else None
            style = {"color": colour, "linestyle": "-"} if colour else look(order)
            bands = [deviation(np.array(list(own.values()))[:, None]) for _, own in members]
            low, middle, high = np.array(bands)[:, :, 0].T if bands else np.empty((3, 0))
            x = [place for place, _ in members]
            panel.plot(x, middle, marker="o", markersize=3, label=line, **style)
            panel.fill_between(x, low, high, color=style["color"], alpha=0.2, linewidth=0)
        if values is found.get(_slope_label()):
            _predicted(panel, series, key, places)
        panel.set_xticks(range(len(places)), [f"{float(value):g}" for value in places])
        panel.set_xlabel(key)
        panel.set_ylabel(label)
    depths = [one.table("steps").groupby("seed")["log_loss"].min().median() for one in series]
    where = f"at the end of each run, log loss {max(depths):.4g} to {min(depths):.4g} (medians)"
    legend(figure, "; ".join([where] + [NOTES[deviation]] * (max(one.seeds for one in series) > 1)))
    return figure


def _slope_label() -> str:
    return next(label for label, values_of in PANELS.items() if values_of is _slopes)


def _predicted(panel, series: Sequence[Series], key: str, places: dict[str, int]) -> None:
    """The slope of the law, where it depends on the number."""
    laws = {one.settings[key]: one.law["slope"] for one in series if one.law and one.law["normalizes"]}
    if len(set(laws.values())) > 1:
        ordered = sorted(laws, key=float)
        predicted = [laws[value] for value in ordered]
        panel.plot([places[value] for value in ordered], predicted, "--", color="0.4", label="predicted by the law")


def _swept(series: Sequence[Series]) -> str | None:
    """The setting with most values, all of them numbers; None where none has enough."""
    counts = {}
    for key in series[0].settings:
        with suppress(ValueError):
            counts[key] = len({float(one.settings[key]) for one in series})
    best = max(counts, key=counts.__getitem__, default=None)
    return best if best is not None and counts[best] >= _FEWEST else None
