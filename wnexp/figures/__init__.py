"""Run directories -> figures, as PNG and PDF. Imports neither JAX nor anything that trains.

A figure is one function in the table `FIGURES`: it takes the list of series and returns a matplotlib `Figure`, or
None where the records do not hold what it shows. Runs that differ in their seeds alone are one series.
"""

# ruff: noqa: E402

import gc
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from wnexp.errors import UserError


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Without warnings of what users cannot mend here, and the loggers as they were afterwards."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


try:
    with _quiet("matplotlib"):  # it warns of the user's files and folders, which are not used
        from matplotlib.figure import Figure
except UnicodeDecodeError:  # it reads the file of the working directory, whatever it has been told
    raise UserError(
        f"{Path.cwd() / 'matplotlibrc'}: not UTF-8 text, and matplotlib insists on reading it; rename it, or work in "
        "another folder"
    ) from None

from wnexp import signals
from wnexp.figures import curves, final, geometry, neurons, norm_gradient, plane, sparsity, sweep
from wnexp.figures.looks import give_looks
from wnexp.figures.series import Series, load_series
from wnexp.figures.style import PLAIN, Options, house_style
from wnexp.resources import cores
from wnexp.runs import listing, reader
from wnexp.runs.files import write_atomically
from wnexp.settings import choose

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

ON_REQUEST: dict[str, Draw] = {"final": final.final}  # by its name alone

FORMATS = ("png", "pdf", "svg")
MOST_PROCESSES = 4  # each imports what it needs to draw, which takes as long as a figure or two

MOST_SERIES = 12  # more are neither told apart by their colours nor do their panels fit on a page


def plot(
    paths: Sequence[Path],
    target: Path | None = None,
    most: int = MOST_SERIES,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    processes: int = 1,
    *,
    only: Sequence[str] = (),
    where: str = "",
    formats: Sequence[str] = FORMATS[:2],
    options: Options = PLAIN,
    strict: bool = True,
) -> list[Path]:
    """Draw every figure that the runs at `paths` allow (default: the newest run) and return the files written.

    `only` are names of figures, or columns of steps.parquet; `where` is a condition on runs (`runs/condition.py`). Of
    more than `most` series so many are drawn, with a line on standard error. `progress` is told what is being done, and
    how many of the figures are. More `processes` than one draw more quickly, and start the caller's script again, which
    must then be written for that (`if __name__ == "__main__":`). Raises `UserError` where there are no runs or no
    records, or, if `strict`, figures asked for by name show nothing.
    """
    runs = tuple(reader.load(paths))
    runs = tuple(listing.matching(runs, where)) if where else runs
    folder = target if target is not None else Path(os.path.commonpath([run.directory for run in runs])) / "figures"
    wanted = {name: _figure(name, runs) for name in only} or FIGURES
    progress(f"reading {len(runs)} run{'s' * (len(runs) > 1)}", 0, len(wanted))
    others = min(processes, cores(), len(wanted)) - 1
    page = _Page(folder, tuple(formats), options)
    with ProcessPoolExecutor(max(1, others), get_context("spawn")) as pool:
        futures: dict[str, Future[list[Path]]] = {}
        try:
            if others:
                with signals.ignored():
                    own = tuple(reader.Run(run.directory, run.only) for run in runs)
                    futures = {
                        name: pool.submit(_elsewhere, name, None if only else draw, own, most, page)
                        for name, draw in wanted.items()
                    }
            series = load_series(runs, most)
            folder.mkdir(parents=True, exist_ok=True)
            written = _together(wanted, series, page, futures, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if strict and only and (empty := [name for name in only if not written[name]]):
        raise UserError(f"{', '.join(empty)}: the records do not hold what it shows")
    return [path for name in wanted for path in written[name]]


def draw(name: str, runs: Sequence[reader.Run], options: Options = PLAIN) -> Figure | None:
    """A figure of these runs, or None where the records do not hold what it shows. Raises `UserError`."""
    return _drawn(_figure(name, runs), load_series(runs), options)


def _figure(name: str, runs: Sequence[reader.Run]) -> Draw:
    """The figure of that name, or that of a column of the steps. Raises `UserError`."""
    known = {**FIGURES, **ON_REQUEST}
    columns = dict.fromkeys(listing.figures(runs), None)
    if name not in known and name not in columns:
        choose({**known, **columns}, "figure", name)
    return known[name] if name in known else curves.of_column(name)


class _Page(NamedTuple):
    """Where figures go, and how they look."""

    folder: Path
    formats: tuple[str, ...]
    options: Options


def _together(
    wanted: Mapping[str, Draw],
    series: Sequence[Series],
    page: _Page,
    futures: Mapping[str, "Future[list[Path]]"],
    progress: Callable[[str, int, int], None],
) -> dict[str, list[Path]]:
    """Draw from the last figure on, while other processes draw from the first one on."""
    written: dict[str, list[Path]] = {}
    for name in reversed(list(wanted)):
        if futures and not futures[name].cancel():
            break  # so far the others have come
        written[name] = _draw(name, wanted[name], series, page)
        elsewhere = sum(future.done() and not future.cancelled() for future in futures.values())
        progress("drawing", len(written) + elsewhere, len(wanted))
    rest = {future: name for name, future in futures.items() if name not in written}
    for future in as_completed(rest):
        written[rest[future]] = future.result()
        progress("drawing", len(written), len(wanted))
    return written


_read_here = cache(partial(load_series, say=lambda line: None))  # series are read once a process, said once


def _elsewhere(name: str, draw: Draw | None, runs: tuple[reader.Run, ...], most: int, page: _Page) -> list[Path]:
    """Draw a figure in a process that reads the records itself: handing tables over takes longer."""
    series = _read_here(runs, most)
    page.folder.mkdir(parents=True, exist_ok=True)
    return _draw(name, draw or _figure(name, runs), series, page)


def _draw(name: str, draw: Draw, series: Sequence[Series], page: _Page) -> list[Path]:
    gc.disable()  # it takes an eighth of the time: matplotlib makes many objects, few of them garbage
    try:
        with house_style(page.options):
            figure = _drawn(draw, series, page.options)
            return [] if figure is None else save(figure, page.folder, name, page.formats)
    finally:
        gc.enable()


def _drawn(draw: Draw, series: Sequence[Series], options: Options) -> Figure | None:
    scale = give_looks(series, options.color_by, options.facet_by)
    with house_style(options, scale):
        return draw(series)


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS[:2]) -> list[Path]:
    """Write a figure, as PNG and PDF unless other formats are asked for; returns the paths."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)  # lay out once, not once a file; "none" would still draw twice
    written = []
    options: dict[str, Any] = {
        "png": {"pil_kwargs": {"compress_level": 1}},
        "pdf": {"metadata": {"CreationDate": None}},
        "svg": {"metadata": {"Date": None}},
    }
    for suffix in formats:
        write = partial(figure.savefig, format=suffix, **options[suffix])
        with _quiet("fontTools"):  # it warns of matplotlib's own fonts
            write_atomically(folder / f"{name}.{suffix}", write)
        written.append(_relative(folder / f"{name}.{suffix}"))
    return written


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
