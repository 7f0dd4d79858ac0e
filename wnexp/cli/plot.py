"""`wnexp plot`: figures from the records of runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

NAME, HELP = "plot", "figures of the newest run, or of the runs named"
DESCRIPTION = """\
Draw every figure that the records of the runs allow, as PNG and PDF, and list them.
Several runs are drawn together, into figures/ of the folder that they share."""
PATHS = "a run directory, a folder of runs, a glob of them, or the name of an experiment under outputs/"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the newest run")
    parser.add_argument("--to", type=Path, metavar="DIR", help="put the figures there instead")


def run(arguments: Namespace) -> int:
    """Draw, and print the files written."""
    from wnexp import figures

    for path in figures.plot(arguments.paths, arguments.to):
        print(path)
    return 0
