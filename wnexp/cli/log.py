"""`wnexp log`: runs that are over, sent to a logger."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from wnexp.cli.plot import PATHS, prepare_figures

NAME, HELP = "log", "send runs that are over to TensorBoard, Weights & Biases or MLflow"
DESCRIPTION = """\
Send runs that are over to a logger, as `wnexp train logger=NAME` does while they go on: every number of steps.parquet,
the settings, the last figures and some figures. TensorBoard's files go into RUN/tensorboard; the other libraries'
environment variables (WANDB_MODE=offline, MLFLOW_TRACKING_URI=sqlite:///runs.db) say where they write."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help=f"{PATHS}; default: the newest run")
    parser.add_argument("--to", required=True, metavar="LOGGER", help="tensorboard, wandb or mlflow")


def run(arguments: Namespace) -> int:
    """Log every run, and name it."""
    prepare_figures()
    from wnexp import loggers
    from wnexp.cli.progress import Bar
    from wnexp.runs import reader
    from wnexp.runs.files import shown

    runs = reader.load(arguments.paths)
    with Bar() as bar:
        for done, one in enumerate(runs):
            bar.of_count("logging", done, len(runs))
            loggers.log(one, arguments.to)
    print(*(f"{shown(one.directory)}: logged to {arguments.to}" for one in runs), sep="\n")
    return 0
