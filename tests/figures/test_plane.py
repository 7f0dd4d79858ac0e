"""Figures in the plane: decision boundaries of two and of three classes, paths of two weights."""

import numpy as np
from matplotlib.colors import to_hex, to_rgba
from matplotlib.contour import ContourSet

from tests.helpers import labelled, line_points
from wnexp.figures.plane import boundary, paths
from wnexp.figures.style import PALETTE
from wnexp.runs.reader import Run


def scattered(panel):
    """Label -> its points and colour."""
    found = [one for one in panel.collections if not isinstance(one, ContourSet) and len(one.get_offsets())]
    return {one.get_label(): (np.asarray(one.get_offsets()), to_hex(one.get_edgecolor()[0]).upper()) for one in found}


def regions(panel):
    """The filled areas, a path and a colour each."""
    (filled,) = [one for one in panel.collections if isinstance(one, ContourSet) and one.filled]
    return list(zip(filled.get_paths(), (to_hex(colour[:3]).upper() for colour in filled.get_facecolor()), strict=True))


def test_two_classes_and_the_zero_of_the_output(series, frame):
    figure = boundary(series("lin_sep/none", "lin_sep/ewn"))
    assert [panel.get_title() for panel in figure.axes] == ["norm=none, seed 0", "norm=ewn, seed 0"]
    panel, table = figure.axes[1], frame("lin_sep/ewn", "plane")
    for part in ("train", "test"):
        for label, colour in ((-1, PALETTE[0]), (1, PALETTE[1])):
            rows = table[(table["part"] == part) & (table["label"] == label)]
            points, drawn = scattered(panel)[f"{part}, label {label:+g}"]
            np.testing.assert_array_equal(points, rows[["x", "y"]])
            assert drawn == colour and len(points) == (2 if part == "train" else 50)
    for (area, colour), label in zip(regions(panel), (-1, 1), strict=True):
        points, own = scattered(panel)[f"train, label {label:+g}"]
        assert area.contains_points(points).all() and colour == own
    (line,) = [one for one in panel.collections if isinstance(one, ContourSet) and not one.filled]
    grid = table[table["part"] == "grid"].pivot(index="y", columns="x", values="output")
    between = np.ptp(grid.columns) / 80
    for x, y in line.get_paths()[0].vertices:
        near = table[
            (table["part"] == "grid") & ((table["x"] - x).abs() <= between) & ((table["y"] - y).abs() <= between)
        ]
        assert near["output"].min() <= 0 <= near["output"].max()


def test_three_classes_are_three_regions(series, frame, runs):
    (panel,) = boundary(series("three/none")).axes
    table = frame("three/none", "plane")
    assert set(table["output"]) == {0.0, 1.0, 2.0}, "the predicted class"
    assert list(scattered(panel)) == [f"{part}, label {label:+d}" for part in ("test", "train") for label in range(3)]
    assert len(regions(panel)) == 3 and len({colour for _, colour in regions(panel)}) == 3
    for label, (area, colour) in enumerate(regions(panel)):
        for part, count in (("train", 2), ("test", 1)):
            rows = table[(table["part"] == part) & (table["label"] == label)]
            points, own = scattered(panel)[f"{part}, label {label:+d}"]
            np.testing.assert_array_equal(points, rows[["x", "y"]])
            assert len(points) == count and own == colour
            others = [path.contains_points(points).any() for path, _ in regions(panel) if path is not area]
            assert area.contains_points(points).all() and not any(others)
    weights = Run(runs / "three/none").weights(0, "final")
    hidden = np.maximum(table[["x", "y"]].to_numpy() @ weights["layers.0.weight"], 0)
    np.testing.assert_array_equal(table["output"], (hidden @ weights["layers.1.weight"]).argmax(axis=1))


def test_one_class_has_no_boundary(series):
    assert boundary(series("simple_traj/none")) is None


def test_paths_of_two_weights_from_their_starts(series, frame):
    figure = paths(series("simple_traj/none"))
    (panel,) = figure.axes
    rows = frame("simple_traj/none", "neurons")
    weights = rows.assign(weight=rows["weight_norm"] * rows["direction"].str[0])
    table = weights.pivot(index=["seed", "step"], columns="neuron", values="weight")
    expected = [(tuple(path[0]), tuple(path[1])) for _, path in table.groupby("seed")]
    assert len(expected) == 5
    assert line_points([line for line in panel.lines if line.get_marker() != "o"]) == sorted(expected)
    starts = [line for line in panel.lines if line.get_marker() == "o"]
    assert line_points(starts) == sorted(((w1[0],), (w2[0],)) for w1, w2 in expected)
    assert list(labelled(panel)) == ["norm=none"], "named once"
    assert to_rgba(labelled(panel)["norm=none"].get_color()) == to_rgba("black")
    assert paths(series("lin_sep/ewn")) is None
