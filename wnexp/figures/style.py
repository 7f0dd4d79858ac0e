"""The house style and what a user asks of it: colours, grids of panels, axes of steps, and the legend below them."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wnexp.errors import UserError

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


@dataclass(frozen=True)
class Options:
    """What is asked of figures: how wide they are, in inches, in which style, and what is drawn against what."""

    width: int | float | None = None
    style: str | None = None  # FILE.mplstyle, or the name of one of matplotlib's
    x: str | None = None  # of curves: step, log_time or log_loss; of `final`: a setting
    y: tuple[str, ...] = ()  # of `final`: figures of `wnexp runs`
    color_by: str | None = None  # a setting
    facet_by: str | None = None  # a setting

    def __post_init__(self):
        if self.width is not None and not 1 <= self.width <= 100:
            raise UserError(f"width={self.width} is not possible; allowed: inches from 1 to 100")


@dataclass(frozen=True)
class Scale:
    """Colours that stand for the values of a setting, from blue to yellow."""

    key: str
    values: tuple[float, ...]

    def mappable(self) -> ScalarMappable:
        """Colour against value, logarithmic over more than a factor of 30."""
        low, high = min(self.values), max(self.values)
        norm = LogNorm(low, high) if low > 0 and high > 30 * low else Normalize(low, high)
        return ScalarMappable(norm, "viridis")


PLAIN = Options()
_OPTIONS: ContextVar[Options] = ContextVar("options", default=PLAIN)
_SCALE: ContextVar[Scale | None] = ContextVar("scale", default=None)


def asked() -> Options:
    """The options of the figure that is being drawn."""
    return _OPTIONS.get()


@contextmanager
def house_style(options: Options = PLAIN, scale: Scale | None = None) -> Iterator[None]:
    """Whatever is made and saved within looks as `STYLE` and the options say, on matplotlib's defaults.

    The user's own rcParams are neither used nor changed. Raises `UserError` for a style that cannot be read.
    """
    before = _OPTIONS.set(options), _SCALE.set(scale)
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            if options.style is not None:
                _use(options.style)
            yield
    finally:
        _OPTIONS.reset(before[0])
        _SCALE.reset(before[1])


def _use(name: str) -> None:
    from matplotlib import style

    try:
        style.use(name)
    except (OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if name.endswith(".mplstyle") else "no style of matplotlib's"
        raise UserError(f"style {name}: {reason}; allowed: FILE.mplstyle, {', '.join(style.available)}") from None


MOST_COLUMNS = 4
_NARROWEST = 2.4  # inches, of a panel
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
    """A figure with a grid of axes `(rows, columns)`, laid out without overlaps and without a display.

    On a page of a width that is asked for the panels stand below one another where they do not fit side by side.
    """
    page, wide = asked().width, columns
    if page is not None:
        wide = max(1, min(columns, int(page // _NARROWEST)))
        height *= min(max(page / wide / width, 0.8), 1.3)
        width = page / wide
    tall = rows if wide == columns else -(-rows * columns // wide)
    figure = Figure(figsize=(width * wide, height * tall), layout="constrained")
    grid = figure.subplots(tall, wide, squeeze=False, **options)
    for unused in grid.flat[rows * columns :]:
        unused.remove()
    return figure, grid.ravel()[: rows * columns].reshape(rows, columns)


def wrapped(
    count: int, width: float = 3.4, height: float = 2.7, columns: int = MOST_COLUMNS, **options
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of at most `columns`."""
    page = asked().width
    columns = columns if page is None else max(1, min(columns, int(page // _NARROWEST)))
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
    place, figure = panel.get_subplotspec(), panel.get_figure(root=True)
    columns = 1 if place is None else place.get_gridspec().ncols
    width = 42 if figure is None else min(42, int(12.5 * figure.get_figwidth() / columns))
    panel.set_title("\n".join(textwrap.fill(line, width) for line in text.splitlines()))


def step_axis(panel: Axes) -> None:
    """A logarithmic axis of accepted steps that shows step 0 too."""
    panel.set_xscale("symlog", linthresh=1, linscale=0.3)
    panel.set_xlim(left=0)
    panel.set_xlabel("accepted steps")


AXES = {
    "step": "accepted steps",
    "log_time": "log time (nats)",
    "log_loss": "$-$log training loss (nats)",
}


def legend(figure: Figure, note: str = "") -> None:
    """One legend for all panels, below them, where it hides no data; the figure grows by its height.

    A colour bar stands for the values of a setting that colours are made of.
    """
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(text, handle)
    scale = _SCALE.get()
    if scale is not None:
        figure.colorbar(scale.mappable(), ax=figure.axes, label=scale.key, fraction=0.05, pad=0.02)
        handles = _dashes(handles, scale.key)
    if not handles and not note:
        return
    width = int(figure.get_figwidth() / _CHARACTER)
    texts = [textwrap.fill(text, width - 8) for text in handles]
    longest = max((len(line) for text in texts for line in text.splitlines()), default=1)
    columns = max(1, min(len(texts), width // (longest + 8)))
    note = "\n".join(textwrap.fill(line, width) for line in note.splitlines())
    lines = len(note.splitlines()) + sum(text.count("\n") + 1 for text in texts) / columns + 1
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * lines)
    shown = list(handles.values()) or [Line2D([], [], alpha=0)]
    figure.legend(shown, texts or [""], loc="outside lower center", ncols=columns, title=note or None)


def _dashes(handles: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What tells lines apart beside the setting that their colours stand for: nothing, or a dash each."""
    setting = re.compile(rf"(^|, ){re.escape(key)}=[^,]*")
    found: dict[str, Any] = {}
    for text, handle in handles.items():
        if isinstance(handle, Line2D):
            found.setdefault(setting.sub("", text).removeprefix(", "), handle.get_linestyle())
    return {text: Line2D([], [], color="0.2", linestyle=dash) for text, dash in found.items() if len(found) > 1}
