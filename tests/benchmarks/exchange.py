"""From a wnexp run to the PyTorch loop and back: the same data and initial weights, and whether both did the same."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

TOLERANCE = 1e-6  # nats, over the first STEPS_COMPARED; lin-sep under EWN is chaotic from step 150 on
STEPS_COMPARED = 100


class Reached(NamedTuple):
    """How far two sides are from each other in what both reach."""

    what: str
    quantity: str  # with its unit
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether both did the same work."""
        return self.difference <= self.tolerance

    def __str__(self) -> str:
        verdict = "agree" if self.holds else "DISAGREE"
        return f"{self.what}: {verdict}; {self.quantity}: {self.difference:.1e} apart, {self.tolerance:.0e} allowed"


class Agreement(NamedTuple):
    """How far a PyTorch loop is from the wnexp run it repeats."""

    what: str
    difference: float  # nats, the largest over the first steps
    steps: tuple[int, int]  # accepted in all, wnexp and PyTorch

    @property
    def holds(self) -> bool:
        """Whether both did the same work."""
        return self.difference <= TOLERANCE and abs(self.steps[0] - self.steps[1]) <= 0.02 * self.steps[0]

    def __str__(self) -> str:
        first = f"the log losses compared differ by at most {self.difference:.1e} nats"
        verdict = "agree" if self.holds else "DISAGREE"
        return f"{self.what}: {verdict}; {first}; {self.steps[0]:,} and {self.steps[1]:,} steps"


def export(run: Path, path: Path, every_seed: bool = False) -> None:
    """The run's data and its first seed's initial weights as `.npz`: train_x, ..., layers.0 `(fan_in, neurons)`, ...

    With `every_seed` those of all seeds, `(seeds, fan_in, neurons)`.
    """
    from wnexp.runner import reopen
    from wnexp.runs import snapshots
    from wnexp.runs.reader import Run

    read = Run(run)
    weights = [read.weights(seed, snapshots.INITIAL) or {} for seed in (read.seeds if every_seed else read.seeds[:1])]
    dataset = reopen(read).dataset
    arrays = {key.removesuffix(".weight"): np.stack([seed[key] for seed in weights]) for key in weights[0]}
    arrays = arrays if every_seed else {key: array[0] for key, array in arrays.items()}
    arrays |= {key: getattr(dataset, key) for key in ("train_x", "train_y", "test_x", "test_y")}
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]


def compare(run: Path, records: Path) -> Agreement:
    """The run's `steps.parquet`, recorded at every step, against the records of the PyTorch loop."""
    ours = pd.read_parquet(run / "steps.parquet")["log_loss"].to_numpy()
    with np.load(records) as arrays:
        theirs = arrays["log_loss"]
    count = min(STEPS_COMPARED, len(ours), len(theirs))
    difference = float(np.abs(ours[:count] - theirs[:count]).max())
    return Agreement(records.stem.removesuffix(".records"), difference, (len(ours) - 1, len(theirs) - 1))
