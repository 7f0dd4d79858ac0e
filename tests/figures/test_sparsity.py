"""Figures of sparsity, on tables made by hand."""

import pandas as pd

from wnexp.figures.series import Series
from wnexp.figures.sparsity import pruning
from wnexp.figures.style import look


def series(norm, seeds, pruned):
    steps = pd.DataFrame({"seed": range(seeds), "step": 0})
    rows = [(seed, -10.0, "final_norm", percent, 0.9) for seed in range(seeds) for percent in (0.0, 50.0)]
    table = pd.DataFrame(rows, columns=["seed", "log_loss", "score", "percent", "test_accuracy"])
    tables = {"steps": steps} | ({"pruning": table} if pruned else {})
    return Series({"norm.name": norm}, [tables], {"norm.name": norm}, look(0))


def test_the_note_of_pruning_counts_the_seeds_of_the_series_it_shows():
    figure = pruning([series("none", 16, pruned=False), series("ewn", 3, pruned=True)])
    assert figure is not None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["norm=ewn"]
    assert legend.get_title().get_text().startswith("3 seeds: mean")
