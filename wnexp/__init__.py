"""wnexp: towards which solution does gradient descent go when a network is weight normalized?

import wnexp
run = wnexp.train("norm=ewn", "seeds=4")   # as `wnexp train norm=ewn seeds=4`
run.frame("steps")                         # a pandas frame
runs = wnexp.load("outputs/lin_sep")       # every run at or below a folder
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wnexp.runs.reader import Run

__version__ = "0.1.0"


def train(*overrides: str) -> "Run":
    """Train one run, as `wnexp train` with these words; a finished one is not trained again. Raises `UserError`."""
    from wnexp import runner

    return runner.train(overrides)


def load(*paths: str | Path) -> "list[Run]":
    """The runs at or below the paths; the newest one under outputs/ without a path. Raises `UserError`."""
    from wnexp.runs import reader

    return reader.load([Path(path) for path in paths])
