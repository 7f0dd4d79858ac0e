"""The house style: colours, grids of panels, axes of steps, and the legend below them."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Okabe and Ito's colours, told apart under every common colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C8C8C")
DASHES = ("-", "--", ":", "-.")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "figure.dpi": 150,
    "pdf.fonttype": 42,
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Whatever is made and saved within looks as `STYLE` says, on matplotlib's defaults, not on the user's files."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


MOST_COLUMNS = 4
_CHARACTER = 0.07  # inches, of the legend and the titles
_LEGEND_LINE = 0.17  # inches


def law_colour(law: Mapping[str, Any] | None) -> str | None:
    """The colour of a normalization with that law: black without one, SWN's and EWN's; None for others."""
    if law is None:
        return None
    return "#000000" if not law["normalizes"] else {1.0: PALETTE[0], -1.0: PALETTE[1]}.get(law["slope"])


def look(index: int) -> dict[str, Any]:
    """Colour and dash of the series, layer or neuron of that index: 32 that differ."""
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": DASHES[index // len(PALETTE) % len(DASHES)]}


def panels(rows: int, columns: int, width: float = 3.4, height: float = 2.7, **options) -> tuple[Figure, np.ndarray]:
    """A figure with a grid of axes `(rows, columns)`, laid out without overlaps and without a display."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def wrapped(
    count: int, width: float = 3.4, height: float = 2.7, columns: int = MOST_COLUMNS, **options
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of at most `columns`."""
    rows = -(-count // columns)
    figure, grid = panels(rows, -(-count // rows), width, height, **options)
    for unused in grid.flat[count:]:
        unused.remove()
    return figure, list(grid.flat[:count])


def label_rows(axes: Sequence[Axes], text: str) -> None:
    """The label of the vertical axis, at the left of every row of panels."""
    for panel in axes:
        place = panel.get_subplotspec()
        if place is None or place.is_first_col():
            panel.set_ylabel(text)


def title(panel: Axes, text: str) -> None:
    """A title no wider than its panel."""
    panel.set_title("\n".join(textwrap.fill(line, 42) for line in text.splitlines()))


def step_axis(panel: Axes) -> None:
    """A logarithmic axis of accepted steps that shows step 0 too."""
    panel.set_xscale("symlog", linthresh=1, linscale=0.3)
    panel.set_xlim(left=0)
    panel.set_xlabel("accepted steps")


def legend(figure: Figure, note: str = "") -> None:
    """One legend for all panels, below them, where it hides no data; the figure grows by its height."""
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(text, handle)
    if not handles and not note:
        return
    width = int(figure.get_figwidth() / _CHARACTER)
    texts = [textwrap.fill(text, width - 8) for text in handles]
    longest = max((len(line) for text in texts for line in text.splitlines()), default=1)
    columns = max(1, min(len(texts), width // (longest + 8)))
    note = textwrap.fill(note, width)
    lines = len(note.splitlines()) + sum(text.count("\n") + 1 for text in texts) / columns + 1
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * lines)
    shown = list(handles.values()) or [Line2D([], [], alpha=0)]
    figure.legend(shown, texts or [""], loc="outside lower center", ncols=columns, title=note or None)
