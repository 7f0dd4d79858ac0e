"""The figures of margins in geometries, on records made by hand."""

import numpy as np
import pandas as pd

from wnexp.figures import geometry
from wnexp.figures.series import Series

NAMES = ("l2", "linf", "l1", "spectral", "nuclear")


def series(rule, own, shares, norm="none", power=None, **settings):
    """A run whose share of the largest margin and alignment in each geometry are given, and approached as 1/step."""
    steps = np.array([1, 10, 100, 1000])
    rows = [
        {
            "seed": seed,
            "step": step,
            "geometry": name,
            "alignment": share - 1 / step,
            "share_of_largest": share - 1 / step,
        }
        for seed in (0, 1)
        for step in steps
        for name, share in zip(NAMES, shares, strict=True)
    ]
    losses = [{"seed": seed, "step": step, "log_loss": -float(step)} for seed in (0, 1) for step in steps]
    config = {"norm.name": norm, "optimizer.name": rule, **settings}
    differing = {"optimizer.name": rule, "norm.name": norm}
    return Series(
        config=config,
        runs=[{"geometry": pd.DataFrame(rows), "steps": pd.DataFrame(losses)}],
        settings=differing,
        look={"color": "#000000", "linestyle": "-"},
        rule={"geometry": own, "gap_power": power},
    )


SIGN = series("sign", "linf", (0.9, 1.0, 0.8, 0.7, 0.6))
NORMALIZED = series("normalized_gd", "l2", (1.0, 0.9, 0.8, 0.7, 0.6), power=1.0)


def test_the_atlas_has_a_row_a_rule_and_frames_its_geometry():
    figure = geometry.atlas([SIGN, NORMALIZED, series("sign", "linf", (0.5,) * 5, norm="ewn")])
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["norm=none", "norm=ewn"]
    assert [text.get_text() for text in panels[0].get_xticklabels()] == list(NAMES)
    assert [text.get_text() for text in panels[0].get_yticklabels()] == ["sign", "normalized_gd"]
    frames = [(round(patch.get_x() + 0.47), round(patch.get_y() + 0.45)) for patch in panels[0].patches]
    assert frames == [(1, 0), (0, 1)]
    cells = [text.get_text() for text in panels[0].texts]
    assert len(cells) == 10 and cells[1] == "0.999" and cells[0] == "0.899"  # the median of the last half decade


def test_no_atlas_of_one_rule_or_without_geometries():
    assert geometry.atlas([SIGN]) is None
    empty = series("adam", "linf", (1.0,) * 5)
    empty.runs[0].pop("geometry")
    assert geometry.atlas([empty]) is None and geometry.margin_gap([empty]) is None


def test_the_gap_in_the_rules_own_geometry_with_the_slope_of_a_theorem():
    figure = geometry.margin_gap([SIGN, NORMALIZED])
    assert [panel.get_title() for panel in figure.axes] == ["linf", "l2"]
    assert [panel.get_xlabel() for panel in figure.axes] == ["updates"] * 2
    curve, slope = figure.axes[1].lines[0], figure.axes[1].lines[-1]
    np.testing.assert_allclose(curve.get_ydata(), 1 / np.asarray(curve.get_xdata()), rtol=1e-9)
    rise = np.diff(np.log(slope.get_ydata())) / np.diff(np.log(slope.get_xdata()))
    np.testing.assert_allclose(rise, -1.0)


def test_the_crossover_marks_the_eps():
    shares = (1.0, 0.9, 0.8, 0.7, 0.6)
    runs = [series("rmsprop", "l2", shares, **{"optimizer.log_eps": eps}) for eps in (-20.0, None)]
    figure = geometry.crossover(runs)
    assert [panel.get_title() for panel in figure.axes] == ["l2", "linf"]
    marks = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in marks] == [20.0]
    assert geometry.crossover(runs[1:]) is None
