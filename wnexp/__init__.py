"""wnexp: towards which solution does gradient descent go when a network is weight normalized?

import wnexp
run = wnexp.train("norm=ewn", "seeds=4")         # as `wnexp train norm=ewn seeds=4`
runs = wnexp.sweep("norm=none,swn,ewn")          # as `wnexp train -m norm=none,swn,ewn`
runs = wnexp.load("outputs/lin_sep")             # every run at or below a folder
runs.table("norm", "normalized_margin@-100")     # pandas frames: runs.steps, runs.neurons, runs.at(log_loss=-100)
runs.plot("margin")                              # a matplotlib figure
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wnexp.collection import Run, Runs

__version__ = "0.1.0"


def train(*overrides: str, data: Sequence[Any] | None = None) -> "Run":
    """Train one run, as `wnexp train` with these words; a finished one is not trained again. Raises `UserError`.

    `data` are arrays `(train_x, train_y)` or `(train_x, train_y, test_x, test_y)`, as `data=file` takes them; they are
    kept as a file in the folder of all runs, under a name made of their contents.
    """
    from wnexp import runner
    from wnexp.collection import Run

    return Run(runner.train(runner.on_arrays(overrides, data)).directory)


def sweep(*overrides: str, data: Sequence[Any] | None = None) -> "Runs":
    """Train a run for every combination of values, as `wnexp train -m` with these words, one after the other.

    A job that fails keeps no other from running. Raises `UserError` at the end where jobs have failed.
    """
    from wnexp import runner
    from wnexp.collection import Runs

    return Runs(runner.sweep(runner.on_arrays(overrides, data)))


def load(*paths: str | Path, where: str = "") -> "Runs":
    """The runs at or below the paths; the newest one under outputs/ without a path. Raises `UserError`.

    `where` is a condition on their settings, seeds and figures, such as `"norm=ewn,swn and seed<3"`.
    """
    from wnexp.collection import Runs
    from wnexp.runs import reader

    runs = Runs(reader.load([Path(path) for path in paths]))
    return runs.where(where) if where else runs
