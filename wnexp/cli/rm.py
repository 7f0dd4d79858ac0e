"""`wnexp rm`: remove runs."""

import shutil
import sys
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from pathlib import Path

from wnexp.cli.plot import PATHS

NAME, HELP = "rm", "remove runs, after asking"
DESCRIPTION = """\
Remove the run directories at or below the paths, with all that is in them, after naming them and asking. Runs that go
on are left alone, and so is whatever else the folders hold."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=PATHS)
    parser.add_argument(
        "--where", default="", metavar="CONDITION", help="all of whose seeds it holds for (wnexp runs --help)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: Namespace) -> int:
    """Name the runs, ask, remove. The exit code is 1 where nothing was removed."""
    from wnexp.cli.runs import show
    from wnexp.errors import UserError
    from wnexp.runs import lock, reader
    from wnexp.runs.files import shown
    from wnexp.runs.listing import matching

    runs = reader.load(arguments.paths)
    if arguments.where:
        runs = [run for run in matching(runs, arguments.where) if run.only is None]
    if not runs:
        raise UserError(f"'{arguments.where}' holds for all seeds of no run")
    show(runs)
    count = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise UserError(f"{count} would be removed; give --yes where there is nobody to ask")
        if input(f"remove {'these ' * (len(runs) > 1)}{count}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return 1
    removed = 0
    for one in runs:
        try:
            with lock.hold(one.directory):
                shutil.rmtree(one.directory)
            removed += 1
        except lock.BusyError as error:
            print(f"wnexp: {shown(one.directory)}: {error}; left alone", file=sys.stderr)
        with suppress(OSError):  # what is not empty stays
            one.directory.parent.rmdir()
    print(f"removed {removed} of {count}")
    return int(removed < len(runs))
