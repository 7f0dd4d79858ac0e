"""`wnexp runs`: what has been run, with status and last figures."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from wnexp.cli.plot import PATHS

NAME, HELP = "runs", "what has been run, with status and last figures"
DESCRIPTION = "List the runs at or below the paths with their status and last figures."


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: outputs")


def run(arguments: Namespace) -> int:
    """Print one line per run."""
    from wnexp.cli import terminal
    from wnexp.errors import UserError
    from wnexp.runs import reader

    if not arguments.paths and not reader.find_runs(Path("outputs")):
        raise UserError("no runs at or under outputs; `wnexp train +norm=ewn` makes one")
    terminal.print_runs(reader.load(arguments.paths or [Path("outputs")]))
    return 0
