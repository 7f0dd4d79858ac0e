"""Run directories -> figures, as PNG and PDF. Imports neither JAX nor anything that trains.

A figure is one function in the table `FIGURES`: it takes the list of series and returns a matplotlib `Figure`, or
None where the records do not hold what it shows. Runs that differ in their seeds alone are one series.
"""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from wnexp import records
from wnexp.figures import curves, neurons, norm_gradient, plane, sparsity
from wnexp.figures.series import Series, load_series

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
}


def plot(paths: Sequence[Path], target: Path | None = None) -> list[Path]:
    """Draw every figure that the runs at `paths` allow (default: the newest run) and return the files written.

    Raises `UserError` where there are no runs or no records.
    """
    runs = records.runs_at(paths)
    series = load_series(runs)
    folder = target if target is not None else Path(os.path.commonpath(runs)) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in FIGURES.items():
        figure = draw(series)
        if figure is not None:
            written += save(figure, folder, name)
    return written


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and PDF; returns the two paths."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)  # lay out once, not once a file; "none" would still draw twice
    written = []
    for suffix, options in (("png", {}), ("pdf", {"metadata": {"CreationDate": None}})):
        write = partial(figure.savefig, format=suffix, dpi=150, **options)
        records.write_atomically(folder / f"{name}.{suffix}", write)
        written.append(_relative(folder / f"{name}.{suffix}"))
    return written


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
