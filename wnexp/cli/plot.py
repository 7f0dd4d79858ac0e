"""`wnexp plot`: figures from the records of runs."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress
from pathlib import Path

NAME, HELP = "plot", "figures of the newest run, or of the runs named"
DESCRIPTION = """\
Draw every figure that the records of the runs allow, as PNG and PDF, and list them.
Several runs are drawn together, into figures/ of the folder that they share."""
PATHS = "a run directory, a folder of runs, a glob of them, or the name of an experiment under outputs/"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the newest run")
    parser.add_argument(
        "--most",
        type=at_least_one,
        metavar="N",
        help="draw at most N series of runs that differ in more than their seeds (12)",
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="put the figures there instead")


def at_least_one(text: str) -> int:
    """A number of an argument. Raises `ArgumentTypeError`."""
    with suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise ArgumentTypeError(f"'{text}' must be an integer of at least 1")


def prepare_figures() -> None:
    """Let matplotlib, here and in processes started from here, be imported whatever the user draws with elsewhere."""
    os.environ["MPLBACKEND"], os.environ["MATPLOTLIBRC"] = "agg", os.devnull


def run(arguments: Namespace) -> int:
    """Draw, and print the files written."""
    prepare_figures()
    from wnexp import figures
    from wnexp.cli.progress import Bar

    most = figures.MOST_SERIES if arguments.most is None else arguments.most
    with Bar() as bar:
        files = figures.plot(arguments.paths, arguments.to, most, bar.of_count, figures.MOST_PROCESSES)
    print(*files, sep="\n")
    return 0
