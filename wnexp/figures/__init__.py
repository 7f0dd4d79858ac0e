"""Run directories -> figures, as PNG and PDF. Imports neither JAX nor anything that trains.

A figure is one function in the table `FIGURES`: it takes the list of series and returns a matplotlib `Figure`, or
None where the records do not hold what it shows. Runs that differ in their seeds alone are one series.
"""

# ruff: noqa: E402

import gc
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Before its import, in every process: it warns of the user's files and folders, which are not used.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

from wnexp.errors import UserError

try:
    from matplotlib.figure import Figure
except UnicodeDecodeError:  # it reads the file of the working directory, whatever it has been told
    raise UserError(
        f"{Path.cwd() / 'matplotlibrc'}: not UTF-8 text, and matplotlib insists on reading it; rename it, or work in "
        "another folder"
    ) from None

from wnexp import signals
from wnexp.figures import curves, geometry, neurons, norm_gradient, plane, sparsity, sweep
from wnexp.figures.series import Series, load_series
from wnexp.figures.style import house_style
from wnexp.resources import cores
from wnexp.runs import reader
from wnexp.runs.files import write_atomically

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of matplotlib's own fonts

Draw = Callable[[Sequence[Series]], Figure | None]
Named = tuple[str, Draw]

FIGURES: dict[str, Draw] = {
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
    "sweep": sweep.sweep,
    "sharpness": curves.sharpness,
}

MOST_PROCESSES = 4  # each imports what it needs to draw, which takes as long as a figure or two

MOST_SERIES = 12  # more are neither told apart by their colours nor do their panels fit on a page


def plot(
    paths: Sequence[Path],
    target: Path | None = None,
    most: int = MOST_SERIES,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    processes: int = 1,
) -> list[Path]:
    """Draw every figure that the runs at `paths` allow (default: the newest run) and return the files written.

    Of more than `most` series so many are drawn, with a line on standard error. `progress` is told what is being done,
    and how many of the figures are. More `processes` than one draw more quickly, and start the caller's script again,
    which must then be written for that (`if __name__ == "__main__":`). Raises `UserError` where there are no runs or no
    records.
    """
    runs = tuple(reader.runs_at(paths))
    folder = target if target is not None else Path(os.path.commonpath(runs)) / "figures"
    progress(f"reading {len(runs)} run{'s' * (len(runs) > 1)}", 0, len(FIGURES))
    others = min(processes, cores()) - 1
    with ProcessPoolExecutor(max(1, others), get_context("spawn")) as pool:
        futures: dict[str, Future[list[Path]]] = {}
        try:
            if others:
                with signals.ignored():
                    futures = {
                        name: pool.submit(_elsewhere, (name, draw), runs, most, folder)
                        for name, draw in FIGURES.items()
                    }
            series = load_series(runs, most)
            folder.mkdir(parents=True, exist_ok=True)
            written = _together(series, folder, futures, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [path for name in FIGURES for path in written[name]]


def _together(
    series: Sequence[Series],
    folder: Path,
    futures: Mapping[str, "Future[list[Path]]"],
    progress: Callable[[str, int, int], None],
) -> dict[str, list[Path]]:
    """Draw from the last figure on, while other processes draw from the first one on."""
    written: dict[str, list[Path]] = {}
    for name in reversed(FIGURES):
        if futures and not futures[name].cancel():
            break  # so far the others have come
        written[name] = _draw((name, FIGURES[name]), series, folder)
        elsewhere = sum(future.done() and not future.cancelled() for future in futures.values())
        progress("drawing", len(written) + elsewhere, len(FIGURES))
    rest = {future: name for name, future in futures.items() if name not in written}
    for future in as_completed(rest):
        written[rest[future]] = future.result()
        progress("drawing", len(written), len(FIGURES))
    return written


_read_here = cache(partial(load_series, say=lambda line: None))  # series are read once a process, said once


def _elsewhere(figure: Named, runs: tuple[Path, ...], most: int, folder: Path) -> list[Path]:
    """Draw a figure in a process that reads the records itself: handing tables over takes longer."""
    series = _read_here(runs, most)
    folder.mkdir(parents=True, exist_ok=True)
    return _draw(figure, series, folder)


@house_style()
def _draw(figure: Named, series: Sequence[Series], folder: Path) -> list[Path]:
    name, draw = figure
    gc.disable()  # it takes an eighth of the time: matplotlib makes many objects, few of them garbage
    try:
        drawn = draw(series)
        return [] if drawn is None else save(drawn, folder, name)
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
