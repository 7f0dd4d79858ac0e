"""`wnexp verify`: the theory's claims held against runs, with verdicts."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from wnexp.cli.plot import PATHS

NAME, HELP = "verify", "the theory's claims, measured on runs, with verdicts"
DESCRIPTION = """\
Hold the theory's claims (wnexp/theory/README.md) against runs and print a verdict for each: holds, fails, or not
reached with the depth it would need. Without PATH a standing battery is trained first, gradient flow to 1e4 nats into
outputs/verify. Writes verify.parquet and one figure per claim there; with PATH beside the runs.
The exit code is 1 if a claim fails."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the battery")
    parser.add_argument("--deep", action="store_true", help="the battery to 1e6 nats, into outputs/verify-deep")


def run(arguments: Namespace) -> int:
    """Judge, print the verdicts, draw them."""
    from wnexp.errors import UsageError

    if arguments.paths and arguments.deep:
        raise UsageError("--deep is of the battery and takes no PATH (wnexp verify --help)")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from wnexp import theory
    from wnexp.cli import terminal
    from wnexp.figures import claims
    from wnexp.theory import battery, verdicts

    folder = battery.folder(arguments.deep)
    if not arguments.paths:
        for done, total, name in battery.run(folder, arguments.deep):
            if sys.stderr.isatty():
                print(f"\r\033[K{done}/{total} {name}", end="" if done < total else "\n", file=sys.stderr, flush=True)
    judged = verdicts.verify(arguments.paths or [folder])
    terminal.report_verdicts(judged)
    if judged.rows:
        for path in claims.draw(judged.table, judged.table.parent / "figures"):
            print(path)
    return int(any(row["verdict"] == theory.FAILS for row in judged.rows))
