"""`wnexp prune`: accuracy against hidden neurons removed, from the snapshots of runs."""

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path

from wnexp.cli.plot import PATHS

NAME, HELP = "prune", "accuracy against hidden neurons removed, from the snapshots of runs"
DESCRIPTION = """\
Remove the hidden neurons that rank lowest and measure the accuracy, at every log loss a run has a snapshot at
(snapshots=[-10,-100,-300]). Writes pruning.parquet into each run directory; `wnexp plot PATH ...` draws it.
data.path=NEW or data.dir=NEW beside PATH says where the data of the runs are now; their contents must be the same."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the newest run")
    parser.add_argument(
        "--percent", type=_percents, metavar="P,P,...", help="of the hidden neurons to remove (default 0,5,...,95)"
    )
    scores = "final_norm, change_from_initial, change_from_-10, ... (default: all)"
    parser.add_argument("--scores", type=lambda text: text.split(","), metavar="S,S,...", help=scores)
    together = "rank the neurons of all hidden layers together instead of layer by layer"
    parser.add_argument("--global", dest="together", action="store_true", help=together)
    save = "write the networks without P percent, by the first score, into snapshots/"
    parser.add_argument("--save", type=_percents, metavar="P", help=save)


def _percents(text: str) -> list[float]:
    try:
        percents = [float(word) for word in text.split(",")]
    except ValueError:
        percents = []
    if not percents or not all(0 <= percent <= 100 for percent in percents):
        raise argparse.ArgumentTypeError(f"'{text}' must be numbers from 0 to 100, like 0,50,90")
    return percents


def run(arguments: Namespace) -> int:
    """Prune, and print the best accuracies."""
    from wnexp.errors import UsageError

    if arguments.save is not None and len(arguments.save) != 1:
        percents = ",".join(f"{percent:g}" for percent in arguments.save)
        raise UsageError(f"--save {percents}: one percent is needed, like 90 (wnexp prune --help)")
    from wnexp import pruning
    from wnexp.cli import terminal
    from wnexp.config import overrides
    from wnexp.runs import reader
    from wnexp.runs.files import shown

    words = [str(path) for path in arguments.paths]
    existing = [word for word in words if Path(word).exists()]  # a run directory may be called data.path=...
    rest, elsewhere = overrides.elsewhere([word for word in words if word not in existing])
    given = [path for path in arguments.paths if str(path) in (*existing, *rest)]
    runs = reader.load(given)
    percents = arguments.percent or pruning.PERCENTS
    save = arguments.save[0] if arguments.save else None
    results = pruning.prune_all(runs, percents, arguments.scores, arguments.together, save, elsewhere)
    terminal.report_pruning({run.directory: result.rows for run, result in results.items()})
    for path, command in (entry for result in results.values() for entry in result.saved):
        print(f"saved {shown(path)}; train it on:\n  {command}")
    paths = given or [shown(run.directory) for run in runs]
    print(f"next: wnexp plot {' '.join(repr(str(path)) for path in paths)}")
    return 0
