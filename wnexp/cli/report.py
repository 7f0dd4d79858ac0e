"""`wnexp report`: one page about runs, to look at with others."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from wnexp.cli.plot import PATHS, prepare_figures

NAME, HELP = "report", "one self-contained page about runs: table, interactive curves, neurons, verdicts"
DESCRIPTION = """\
Write one HTML file that needs no network: what was run, the table, curves to zoom and compare, a slider over the log
loss for the neurons, verdicts if the runs were verified, commands to repeat. Whoever gets the file can open it.

  wnexp report lin_sep --to lin_sep.html
  wnexp report lin_sep --watch              # written again while runs go on; the page refreshes itself
"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the newest run")
    parser.add_argument("--where", default="", metavar="CONDITION", help="runs and seeds, as of `wnexp runs --help`")
    parser.add_argument("--to", type=Path, metavar="FILE", help="the file (report.html in the folder that they share)")
    parser.add_argument("--watch", action="store_true", help="until no run goes on any more, or Ctrl-C")


def run(arguments: Namespace) -> int:
    """Write the page, and name it."""
    prepare_figures()
    from wnexp import report
    from wnexp.runs import listing, reader
    from wnexp.runs.files import shown

    if arguments.watch:

        def tell(file: Path, going_on: int) -> None:
            print(f"{shown(file)}: {going_on} run{'s' * (going_on != 1)} going on", flush=True)

        report.watch(arguments.paths, arguments.where, arguments.to, 2.0, tell)
        return 0
    runs = reader.load(arguments.paths)
    runs = listing.matching(runs, arguments.where) if arguments.where else runs
    print(shown(report.write(runs, arguments.to)))
    return 0
