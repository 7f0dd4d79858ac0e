"""`wnexp verify`: the theory's claims held against runs, with verdicts."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from wnexp.cli.plot import PATHS, at_least_one, prepare_figures

NAME, HELP = "verify", "the theory's claims, measured on runs, with verdicts"
DESCRIPTION = """\
Hold the theory's claims (wnexp/theory/README.md) against runs and print a verdict for each: holds, fails, or not
reached, with the depth it would need where the decay tells. Runs that differ in data.seed alone are judged together.
Without PATH a standing battery is trained first, gradient flow to 1e5 nats into outputs/verify. Writes verify.parquet
and one figure per claim there; with PATH beside the runs.
The exit code is 1 if a claim fails."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the battery")
    parser.add_argument("--deep", action="store_true", help="the battery to 1e6 nats, into outputs/verify-deep")
    parser.add_argument("--data-seeds", type=at_least_one, metavar="N", help="data sets of each kind there (5)")


def run(arguments: Namespace) -> int:
    """Judge, print the verdicts, draw them."""
    from wnexp.errors import UsageError

    if arguments.paths and (arguments.deep or arguments.data_seeds is not None):
        raise UsageError("--deep and --data-seeds are of the battery and take no PATH (wnexp verify --help)")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare_figures()
    from wnexp import theory
    from wnexp.cli import terminal
    from wnexp.cli.progress import Bar
    from wnexp.figures import claims
    from wnexp.figures.style import house_style
    from wnexp.theory import battery, verdicts

    folder, paths = battery.folder(arguments.deep), arguments.paths
    if not paths:
        jobs = battery.jobs(arguments.deep, arguments.data_seeds or battery.DATA_SEEDS)
        paths = [folder / name for name in jobs]
        with Bar() as bar:
            for done, name in battery.run(folder, jobs):
                bar.of_count(name, done, len(jobs))
    judged = verdicts.verify(paths)
    terminal.report_verdicts(judged)
    if judged.rows:
        with house_style():
            files = claims.draw(judged.table, judged.table.parent / "figures")
        print(*files, sep="\n")
    return int(any(row["verdict"] == theory.FAILS for row in judged.rows))
