"""`wnexp plot`: figures from the records of runs."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress
from pathlib import Path

NAME, HELP = "plot", "figures of the newest run, or of the runs named"
DESCRIPTION = """\
Draw every figure that the records of the runs allow, as PNG and PDF, and list them.
Several runs are drawn together, into figures/ of the folder that they share.

  wnexp plot lin_sep --only margin,norms --format pdf --width 3.25     # a column of a paper
  wnexp plot lin_sep --only weight_norm --x log_loss --facet-by norm   # any column of steps.parquet
  wnexp plot digits --only final --x norm.power --y test_accuracy,normalized_margin@-100
"""
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
    parser.add_argument("--only", type=names, default=[], metavar="A,B", help="these figures, or columns of the steps")
    parser.add_argument("--where", default="", metavar="CONDITION", help="runs and seeds, as of `wnexp runs --help`")
    parser.add_argument("--format", type=_formats, metavar="png,pdf,svg", help="of the files (png,pdf)")
    parser.add_argument("--width", type=_inches, metavar="INCHES", help="of the figures; panels move below each other")
    parser.add_argument("--style", metavar="FILE.mplstyle", help="laid over the house style; or matplotlib's by name")
    parser.add_argument("--x", metavar="NAME", help="of curves: step, log_time, log_loss; of `final` a setting")
    parser.add_argument("--y", type=names, default=[], metavar="A,B", help="of `final`: columns of `wnexp runs`")
    parser.add_argument("--color-by", metavar="KEY", help="a colour for each value of that setting")
    parser.add_argument("--facet-by", metavar="KEY", help="of curves: a row of panels for each value of that setting")
    parser.add_argument("--to", type=Path, metavar="DIR", help="put the figures there instead")


def at_least_one(text: str) -> int:
    """A number of an argument. Raises `ArgumentTypeError`."""
    with suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise ArgumentTypeError(f"'{text}' must be an integer of at least 1")


def names(text: str) -> list[str]:
    """The words of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _formats(text: str) -> list[str]:
    known = ("png", "pdf", "svg")
    if not names(text) or not set(names(text)) <= set(known):
        raise ArgumentTypeError(f"'{text}' must be of {', '.join(known)}")
    return names(text)


def _inches(text: str) -> float:
    with suppress(ValueError):
        if 1 <= float(text) <= 100:
            return float(text)
    raise ArgumentTypeError(f"'{text}' must be inches from 1 to 100")


def prepare_figures() -> None:
    """Let matplotlib, here and in processes started from here, be imported whatever the user draws with elsewhere."""
    os.environ["MPLBACKEND"], os.environ["MATPLOTLIBRC"] = "agg", os.devnull


def run(arguments: Namespace) -> int:
    """Draw, and print the files written."""
    prepare_figures()
    from wnexp import figures
    from wnexp.cli.progress import Bar
    from wnexp.errors import UsageError
    from wnexp.figures import style

    curves = not (arguments.y or "final" in arguments.only)
    if curves and arguments.x not in (None, *style.AXES):
        raise UsageError(f"--x {arguments.x}: of curves {', '.join(style.AXES)} (wnexp plot --help)")
    options = style.Options(
        width=arguments.width,
        style=arguments.style,
        x=arguments.x,
        y=tuple(arguments.y),
        color_by=arguments.color_by,
        facet_by=arguments.facet_by,
    )
    with Bar() as bar:
        files = figures.plot(
            arguments.paths,
            arguments.to,
            figures.MOST_SERIES if arguments.most is None else arguments.most,
            bar.of_count,
            figures.MOST_PROCESSES,
            only=arguments.only or (["final"] if arguments.y else []),
            where=arguments.where,
            formats=arguments.format or figures.FORMATS[:2],
            options=options,
        )
    print(*files, sep="\n")
    return 0
