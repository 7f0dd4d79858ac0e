"""Figures of sparsity: of the shared runs, and on tables made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers import labelled, line_points, table_curves
from wnexp.figures.series import Series
from wnexp.figures.sparsity import effective_neurons, norm_distribution, pruning, pruning_scores
from wnexp.figures.style import look

NAMES = ("lin_sep/none", "lin_sep/ewn")


def thin(panel, label):
    """The lines of single seeds of a series."""
    return [line for line in panel.lines if line.get_alpha() and line.get_color() == labelled(panel)[label].get_color()]


def test_effective_neurons_against_depth(series, frame):
    (panel,) = effective_neurons(series(*NAMES)).axes
    assert panel.get_title() == "layer 0", "a layer of one neuron has nothing to show"
    for name in NAMES:
        rows = frame(name, "neurons").query("layer == 0")
        table = rows.pivot(index=["seed", "step"], columns="neuron", values="weight_norm")
        effective = (table.sum(axis=1) ** 2 / (table**2).sum(axis=1)).rename("effective").reset_index()
        assert effective["effective"].between(1, 8 + 1e-9).all()
        joined = effective.merge(frame(name, "steps")[["seed", "step", "log_loss"]]).assign(
            depth=lambda t: -t["log_loss"]
        )
        drawn, wanted = line_points(thin(panel, f"norm={name[8:]}")), table_curves(joined, "depth", "effective")
        for (x, y), (depth, values) in zip(drawn, wanted, strict=True):
            np.testing.assert_array_equal(x, depth)
            np.testing.assert_allclose(y, values, rtol=1e-12)


def test_sorted_norms_where_a_seed_is_first_below_a_level(series, frame):
    figure = norm_distribution(series(*NAMES))
    assert [panel.get_title() for panel in figure.axes] == ["layer 0, log loss -5", "layer 0, log loss -20"]
    for panel, level in zip(figure.axes, (-5, -20), strict=True):
        for name in NAMES:
            steps, rows = frame(name, "steps"), frame(name, "neurons").query("layer == 0")
            wanted = []
            for seed, own in steps[steps["log_loss"] <= level].groupby("seed"):
                here = rows[(rows["seed"] == seed) & (rows["step"] == own["step"].min())]
                wanted.append((tuple(100 * (np.arange(8) + 0.5) / 8), tuple(sorted(here["norm_ratio"], reverse=True))))
            assert line_points(thin(panel, f"norm={name[8:]}")) == sorted(wanted)


def varied(table):
    """Other accuracies, no two of them equal: those of lin-sep are mostly 1."""
    rng = np.random.default_rng(len(table))
    return table.assign(test_accuracy=rng.random(len(table)), train_accuracy=rng.random(len(table)))


@pytest.fixture
def pruned(series, frame):
    """The series, and label -> the rows of `pruning.parquet`."""
    shown = [
        replace(one, runs=[run | {"pruning": varied(run["pruning"])} for run in one.runs], _cache={})
        for one in series(*NAMES)
    ]
    return shown, {f"norm={name[8:]}": varied(frame(name, "pruning")) for name in NAMES}


def test_pruning_shows_the_best_accuracy_over_the_scores(pruned):
    series, pruned = pruned
    figure = pruning(series)
    assert [panel.get_title() for panel in figure.axes] == ["log loss -5", "log loss -20"]
    for panel, level in zip(figure.axes, (-5, -20), strict=True):
        for label, rows in pruned.items():
            best = rows[rows["log_loss"] == level].groupby(["seed", "percent"])["test_accuracy"].max()
            assert line_points(thin(panel, label)) == table_curves(best.reset_index(), "percent", "test_accuracy")
            mean = best.groupby("percent").mean()
            np.testing.assert_array_equal(labelled(panel)[label].get_xdata(), [0, 50])
            np.testing.assert_allclose(labelled(panel)[label].get_ydata(), mean, rtol=1e-12)


def test_pruning_scores_are_one_row_per_series(pruned):
    series, pruned = pruned
    figure = pruning_scores(series)
    titles = [f"norm={norm}, log loss {level}" for norm in ("none", "ewn") for level in (-5, -20)]
    assert [panel.get_title() for panel in figure.axes] == titles
    geometry = {panel.get_subplotspec().get_gridspec().get_geometry() for panel in figure.axes}
    assert geometry == {(2, 2)}
    for panel, (label, level) in zip(figure.axes, [(one, at) for one in pruned for at in (-5, -20)], strict=True):
        rows = pruned[label][pruned[label]["log_loss"] == level]
        names = ["final norm", "change from initial", *(["change from -5"] if level == -20 else [])]
        assert list(labelled(panel)) == names
        for name, line in labelled(panel).items():
            mean = rows[rows["score"] == name.replace(" ", "_")].groupby("percent")["test_accuracy"].mean()
            np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-12)


def by_hand(norm, seeds, pruned):
    steps = pd.DataFrame({"seed": range(seeds), "step": 0})
    rows = [(seed, -10.0, "final_norm", percent, 0.9) for seed in range(seeds) for percent in (0.0, 50.0)]
    table = pd.DataFrame(rows, columns=["seed", "log_loss", "score", "percent", "test_accuracy"])
    tables = {"steps": steps} | ({"pruning": table} if pruned else {})
    return Series({"norm.name": norm}, [tables], {"norm.name": norm}, None, look(0))


def test_the_note_of_pruning_counts_the_seeds_of_the_series_it_shows():
    figure = pruning([by_hand("none", 16, pruned=False), by_hand("ewn", 3, pruned=True)])
    assert figure is not None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["norm=ewn"]
    assert legend.get_title().get_text().startswith("3 seeds: mean")
