"""The figure that is asked for by its axes: any last figure, or one at a log loss, against any setting."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wnexp.errors import UserError
from wnexp.figures.looks import natural, number
from wnexp.figures.seeds import NOTES, deviation
from wnexp.figures.series import Series
from wnexp.figures.style import asked, legend, look, wrapped
from wnexp.runs import differences
from wnexp.runs.listing import listing

_DEFAULT = ("normalized_margin", "test_accuracy", "weight_norm", "step")
_LOGARITHMIC = 30  # a factor between the least and the largest value


def final(series: Sequence[Series]) -> Figure | None:
    """What runs end with against a setting: mean and deviation over seeds, a line for runs that differ in it alone.

    `Options.x` is the setting, by default the one with most values; `Options.y` are columns of `wnexp runs`. Raises
    `UserError` for names that there are not.
    """
    runs = [run for one in series for run in one.sources]
    x = asked().x or _most_varied(series)
    if x is None:
        raise UserError("final: these runs differ in no setting; give one (--x)")
    names = differences.telling_apart([differences.what_made(run) for run in runs])
    key = differences.named(x, differences.what_made(runs[0])) or x
    others = [name for name in names if name != key]
    ys = asked().y or _DEFAULT
    rows = _rows(series, [x, *others, *ys])
    ys = [y for y in ys if any(isinstance(row[y], (int, float)) for row in rows)]
    if not ys:
        return None
    values = sorted({differences.text(row[x]) for row in rows}, key=natural)
    places = _places(values)
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        label = ", ".join(f"{name.removesuffix('.name')}={differences.text(row[name])}" for name in others)
        lines.setdefault(label, []).append(row)
    figure, axes = wrapped(len(ys), height=2.9)
    for panel, y in zip(axes, ys, strict=True):
        for order, (label, members) in enumerate(lines.items()):
            found = {value: [row[y] for row in members if differences.text(row[x]) == value] for value in values}
            found = {value: [number for number in own if number is not None] for value, own in found.items()}
            at = [value for value in values if found[value]]
            if not at:
                continue
            bands = [deviation(np.array(found[value], float)[:, None]) for value in at]
            low, middle, high = np.array(bands)[:, :, 0].T
            style = look(order)
            where = [places[value] for value in at]
            panel.plot(where, middle, marker="o", markersize=3, label=label or None, **style)
            panel.fill_between(where, low, high, color=style["color"], alpha=0.2, linewidth=0)
            panel.errorbar(
                where, middle, [middle - low, high - middle], fmt="none", ecolor=style["color"], elinewidth=0.8
            )
        _axis(panel, x, places)
        panel.set_ylabel(y.replace("_", " ").replace("@", " at log loss "))
    seeds = max(len(own) for own in _seeds(rows, x, others).values())
    legend(figure, f"{seeds} seeds: {NOTES[deviation]}" if seeds > 1 else "")
    return figure


def _rows(series: Sequence[Series], columns: Sequence[str]) -> list[dict[str, Any]]:
    """A row a seed; of runs of one series that share seeds the first one's."""
    found = []
    for one in series:
        seen: dict[Any, dict[str, Any]] = {}
        for row in listing(one.sources, columns, mean_over=None).rows:
            seen.setdefault(row["seed"], row)
        found += seen.values()
    return found


def _most_varied(series: Sequence[Series]) -> str | None:
    counts = {key: len({one.settings[key] for one in series}) for key in series[0].settings}
    best = max(counts, key=counts.__getitem__, default=None)
    return best if best is None else best.removesuffix(".name")


def _seeds(rows: Sequence[dict[str, Any]], x: str, others: Sequence[str]) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for row in rows:
        group = differences.text([row[name] for name in (x, *others)])
        found.setdefault(group, set()).add((row["_run"].directory, row["seed"]))
    return found


def _places(values: Sequence[str]) -> dict[str, float]:
    """Numbers at their values, words side by side."""
    numbers = {value: place for value in values if (place := number(value)) is not None}
    return numbers if len(numbers) == len(values) else {value: float(place) for place, value in enumerate(values)}


def _axis(panel: Any, x: str, places: dict[str, float]) -> None:
    numbers = list(places.values())
    if any(number(value) is None for value in places):
        panel.set_xticks(numbers, list(places))
        panel.margins(x=0.1)
    elif min(numbers) > 0 and max(numbers) > _LOGARITHMIC * min(numbers):
        panel.set_xscale("log")
    panel.set_xlabel(x)
