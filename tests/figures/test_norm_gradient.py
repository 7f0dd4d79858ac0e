"""Norms against gradients, with the line that the law of the norm predicts."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import labelled, line_points
from wnexp.figures.norm_gradient import norm_gradient
from wnexp.figures.style import PALETTE


def predicted(panel):
    """The dashed lines through layers."""
    return [line for line in panel.lines if line.get_linestyle() == "--" and len(line.get_xdata())]


def test_norm_against_gradient_is_shown_at_the_snapshots(series):
    one = series("lin_sep/ewn")
    figure = norm_gradient(one)
    steps = one[0].of_first_seed("steps")
    first = [steps[steps["log_loss"] <= level]["log_loss"].iloc[0] for level in (-5, -20)]
    assert [panel.get_title().splitlines()[1] for panel in figure.axes] == [f"log loss {level:.4g}" for level in first]


def test_points_are_the_neurons_of_that_record(series, frame):
    panel = norm_gradient(series("lin_sep/none", "lin_sep/ewn")).axes[-1]
    steps, rows = (frame("lin_sep/ewn", name).query("seed == 0") for name in ("steps", "neurons"))
    at = steps[steps["log_loss"] <= -20]["step"].iloc[0]
    rows = rows[rows["step"] == at].assign(x=lambda table: np.log(table["weight_norm"]))
    for layer in (0, 1):
        own = rows[rows["layer"] == layer]
        named = labelled(panel)[f"layer {layer}, active"]
        alive = own[own["norm_ratio"] >= 0.25]
        np.testing.assert_allclose(named.get_xdata(), alive["x"], rtol=1e-12)
        np.testing.assert_allclose(named.get_ydata(), alive["log_gradient_norm"], rtol=1e-12)
        assert named.get_color() == PALETTE[layer]
    (gone,) = [line for line in panel.lines if line.get_alpha() == 0.25 and line.get_color() == PALETTE[0]]
    faint = rows[(rows["layer"] == 0) & (rows["norm_ratio"] < 0.25)]
    assert line_points([gone])[0][1] == tuple(faint["log_gradient_norm"])


def test_the_predicted_line_goes_through_the_neurons_of_a_layer(series):
    panel = norm_gradient(series("lin_sep/ewn")).axes[-1]
    (line,), layer = predicted(panel), labelled(panel)["layer 0, active"]
    (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(-1)
    assert (x0 + x1) / 2 == pytest.approx(np.mean(layer.get_xdata()))
    assert (y0 + y1) / 2 == pytest.approx(np.mean(layer.get_ydata()))
    assert labelled(panel)["slope -1, by layer"].get_linestyle() == "--"


def test_the_slope_is_that_of_the_law_whatever_the_norm_is_called(series):
    """A run of EWN by another name, and runs whose names are another's."""
    (expo,), (ewn,), (none,) = (series(name) for name in ("others/expo", "lin_sep/ewn", "lin_sep/none"))
    assert (expo.norm, expo.law) == ("expo", ewn.law) and expo.look["color"] == ewn.look["color"] == PALETTE[1]

    def slopes(one):
        lines = predicted(norm_gradient([one]).axes[-1])
        return [float(np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0]) for line in lines]

    assert slopes(expo) == slopes(ewn) == [pytest.approx(-1)]
    assert slopes(none) == []
    swn = {"normalizes": True, "slope": 1.0, "exponent": 1.0}
    assert slopes(replace(ewn, law=swn)) == [pytest.approx(1)], "under the name of EWN"
    assert slopes(replace(none, law=ewn.law))[0] == pytest.approx(-1), "under the name of none"
    assert slopes(replace(ewn, law=none.law)) == slopes(replace(ewn, law=None)) == []
