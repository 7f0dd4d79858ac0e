"""Run directories -> figures, as PNG and PDF. Imports neither JAX nor anything that trains.

A figure is one function in the table `FIGURES`: it takes the list of series and returns a matplotlib `Figure`, or
None where the records do not hold what it shows. Runs that differ in their seeds alone are one series.
"""

# ruff: noqa: E402

import gc
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Before its import, in every process: it warns of the user's files and folders, which are not used.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

from matplotlib.figure import Figure

from wnexp import signals
from wnexp.figures import curves, geometry, neurons, norm_gradient, plane, sparsity
from wnexp.figures.series import Series, load_series
from wnexp.figures.style import house_style
from wnexp.resources import cores
from wnexp.runs import reader
from wnexp.runs.files import write_atomically

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of matplotlib's own fonts

FIGURES: dict[str, Callable[[Sequence[Series]], Figure | None]] = {
    "loss": curves.loss,
    "loss_by_norm": curves.loss_by_norm,
    "margin": curves.margin,
    "rates": curves.rates,
    "limit_cosine": curves.limit_cosine,
    "norms": neurons.norms,
    "alignment": neurons.alignment,
    "norm_gradient": norm_gradient.norm_gradient,
    "directions": neurons.directions,
    "loss_shares": curves.loss_shares,
    "boundary": plane.boundary,
    "paths": plane.paths,
    "effective_neurons": sparsity.effective_neurons,
    "norm_distribution": sparsity.norm_distribution,
    "pruning": sparsity.pruning,
    "pruning_scores": sparsity.pruning_scores,
    "atlas": geometry.atlas,
    "margin_gap": geometry.margin_gap,
    "crossover": geometry.crossover,
}

MOST_PROCESSES = 4  # each imports what it needs to draw, which takes as long as a figure or two

MOST_SERIES = 12  # more are neither told apart by their colours nor do their panels fit on a page


def plot(paths: Sequence[Path], target: Path | None = None, most: int = MOST_SERIES) -> list[Path]:
    """Draw every figure that the runs at `paths` allow (default: the newest run) and return the files written.

    Of more than `most` series so many are drawn, with a line on standard error. Raises `UserError` where there are no
    runs or no records.
    """
    runs = reader.runs_at(paths)
    folder = target if target is not None else Path(os.path.commonpath(runs)) / "figures"
    figures, shares = list(FIGURES.items()), min(MOST_PROCESSES, cores())
    with ProcessPoolExecutor(max(1, shares - 1), get_context("spawn")) as pool:
        with signals.ignored():
            for _ in range(1, shares):
                pool.submit(_ready)  # they import while this one reads the records
        series = load_series(runs, most)
        folder.mkdir(parents=True, exist_ok=True)
        others = [pool.submit(_draw, figures[share::shares], series, folder) for share in range(1, shares)]
        written = [_draw(figures[::shares], series, folder), *(other.result() for other in others)]
    return [path for name in FIGURES for share in written for path in share.get(name, [])]


def _ready() -> None:
    """What a process does first: the imports above."""


@house_style()
def _draw(
    figures: Sequence[tuple[str, Callable[..., Figure | None]]], series: Sequence[Series], folder: Path
) -> dict[str, list[Path]]:
    gc.disable()  # it takes an eighth of the time: matplotlib makes many objects, few of them garbage
    try:
        drawn = ((name, draw(series)) for name, draw in figures)
        return {name: save(figure, folder, name) for name, figure in drawn if figure is not None}
    finally:
        gc.enable()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and PDF; returns the two paths."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)  # lay out once, not once a file; "none" would still draw twice
    written = []
    formats: dict[str, Any] = {
        "png": {"pil_kwargs": {"compress_level": 1}},
        "pdf": {"metadata": {"CreationDate": None}},
    }
    for suffix, options in formats.items():
        write = partial(figure.savefig, format=suffix, **options)
        write_atomically(folder / f"{name}.{suffix}", write)
        written.append(_relative(folder / f"{name}.{suffix}"))
    return written


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
