"""`wnexp runs`: what has been run, as one table."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wnexp.cli.plot import PATHS, names

NAME, HELP = "runs", "what has been run: settings, status, last figures, as one table"
DESCRIPTION = """\
List the runs at or below the paths: a row a run, the settings that tell them apart, status and last figures, which are
means over the seeds of the row.

columns: settings (norm.power, or power where no other one ends so), columns of steps.parquet (the last record), these
at a log loss (normalized_margin@-100: of the first record with at most that), and what run.json has: run, status,
seed, seeds, outcome, step, attempts, log_loss, seconds, code, git_commit, command, on, error, note.

conditions: --where "norm=ewn,swn and (seed<3 or not normalized_margin@-100>=0.1)" holds for single seeds.

  wnexp runs lin_sep --columns norm,normalized_margin@-100,test_accuracy --mean-over seed --latex table.tex
"""
EXPORTS = ("csv", "json", "parquet", "latex")


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: outputs")
    parser.add_argument("--where", default="", metavar="CONDITION", help="the seeds that it holds for")
    parser.add_argument("--columns", type=names, default=[], metavar="A,B,...", help="these columns")
    parser.add_argument("--sort", default="", metavar="NAME", help="by that column; --sort=-NAME from the largest on")
    parser.add_argument(
        "--mean-over",
        type=names,
        metavar="A,B,...",
        help="a row for all runs that differ in these settings and their seeds alone: mean and deviation",
    )
    parser.add_argument("--per-seed", action="store_true", help="a row a seed")
    for kind in EXPORTS:
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help="write the table there as well")


def run(arguments: Namespace) -> int:
    """Print the table, and write it where that is asked for."""
    from wnexp.errors import UsageError, UserError
    from wnexp.runs import reader

    if arguments.per_seed and arguments.mean_over:
        raise UsageError("--per-seed and --mean-over cannot both be (wnexp runs --help)")
    if not arguments.paths and not reader.find_runs(Path("outputs")):
        raise UserError("no runs at or under outputs; `wnexp train +norm=ewn` makes one")
    runs = reader.load(arguments.paths or [Path("outputs")])
    mean_over = None if arguments.per_seed else arguments.mean_over or ()
    rows = show(runs, arguments.columns, arguments.where, mean_over, arguments.sort)
    for kind in EXPORTS:
        if file := getattr(arguments, kind):
            _write(file, kind, rows)
    return 0


def show(runs: Sequence[Any], *asked: Any) -> list[dict[str, Any]]:
    """Print a listing, and below it what is wrong with runs, where it names them; its rows. Raises `UserError`."""
    from wnexp.cli.tables import print_listing
    from wnexp.errors import UserError
    from wnexp.runs.listing import listing

    rows, columns = listing(runs, *asked)
    if not rows:
        raise UserError(f"the condition holds for none of {len(runs)} run{'s' * (len(runs) > 1)}")
    print_listing(rows, columns)
    for row in rows if {"run", "status"} <= {*columns} else ():
        try:
            if error := row["_run"].status.error:
                print(f"  {row['run']}: {error}")
        except UserError as error:
            print(f"wnexp: {error}", file=sys.stderr)
    return [{name: row.get(name) for name in columns} for row in rows]


def _write(file: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    from wnexp.runs.differences import text
    from wnexp.runs.files import write_asked

    frame = pd.DataFrame(rows)
    for name in frame:  # a column of a file is of one type
        kinds = {float if isinstance(value, int) else type(value) for value in frame[name] if value is not None}
        if len(kinds) > 1 or kinds & {list, dict}:
            frame[name] = [None if value is None else text(value) for value in frame[name]]
    writers = {
        "csv": lambda to: frame.to_csv(to, index=False),
        "json": lambda to: frame.to_json(to, orient="records", indent=1, double_precision=15),
        "parquet": frame.to_parquet,
        "latex": lambda to: frame.to_latex(to, index=False, escape=True, float_format="%.6g", na_rep="-"),
    }
    write_asked(file, writers[kind])
