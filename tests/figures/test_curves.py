"""Figures of whole-network curves show what the records hold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers import labelled, line_points, table_curves
from wnexp.figures import curves

NAMES = ("lin_sep/none", "lin_sep/ewn", "lin_sep/more")
LABELS = {"norm=none": ["lin_sep/none"], "norm=ewn": ["lin_sep/ewn", "lin_sep/more"]}


@pytest.fixture
def steps(frame):
    """Label -> the steps of all its seeds."""
    return {label: pd.concat([frame(name, "steps") for name in names]) for label, names in LABELS.items()}


def check(panel, steps, x, y):
    """A thin line for every seed, and the median over seeds named in the legend."""
    named = labelled(panel)
    assert list(named) == list(steps)
    assert [line.get_color() for line in named.values()] == ["#000000", "#D55E00"], "by the law of the norm"
    for label, rows in steps.items():
        thin = [line for line in panel.lines if line.get_alpha() and line.get_color() == named[label].get_color()]
        assert line_points(thin) == table_curves(rows, x, y)
        ends = rows.dropna(subset=[x, y]).sort_values(x).groupby("seed")[y].last()
        low, high = ends.min(), ends.max()
        assert low <= named[label].get_ydata()[-1] <= high
    assert len(panel.collections) == len(steps), "a band each"


def test_loss_against_steps_and_time(series, steps):
    against_steps, against_time = curves.loss(series(*NAMES)).axes
    check(against_steps, steps, "step", "log_loss")
    check(against_time, steps, "log_time", "log_loss")
    median = labelled(against_steps)["norm=none"]
    assert median.get_ydata()[-1] == pytest.approx(steps["norm=none"].groupby("seed")["log_loss"].last().median())


def test_margin_against_steps_and_depth(series, steps):
    against_steps, against_depth = curves.margin(series(*NAMES)).axes
    depths = {label: rows.assign(depth=-rows["log_loss"]) for label, rows in steps.items()}
    check(against_steps, steps, "step", "normalized_margin")
    check(against_depth, depths, "depth", "normalized_margin")
    assert against_steps.get_ylim()[1] > max(rows["normalized_margin"].max() for rows in steps.values())


def test_margin_of_data_that_no_seed_separates_is_not_drawn(series):
    (one,) = series("lin_sep/none")
    assert curves.margin([one]) is not None
    negative = [{"steps": run["steps"].assign(normalized_margin=-0.1)} for run in one.runs]
    assert curves.margin([type(one)(one.config, negative, one.settings, one.law, one.look)]) is None


def test_rates_are_lines_over_log_log_time(series, steps):
    rate, growth = curves.rates(series(*NAMES)).axes
    late = {label: rows[rows["log_time"] > 3] for label, rows in steps.items()}
    late = {
        label: rows.assign(
            x=np.log(rows["log_time"]),
            excess=-rows["log_loss"] - rows["log_time"],
            size=np.log(rows["weight_norm"]),
        )
        for label, rows in late.items()
    }
    assert all(rows.groupby("seed").size().min() > 1 for rows in late.values())
    check(rate, late, "x", "excess")
    check(growth, late, "x", "size")


def test_limit_cosine_against_steps(series, steps):
    (panel,) = curves.limit_cosine(series(*NAMES)).axes
    check(panel, steps, "step", "limit_cosine")
    assert labelled(panel)["norm=ewn"].get_ydata()[-1] == pytest.approx(-1, abs=1e-3)
    assert curves.limit_cosine(series("three/none")) is None, "no gradients were recorded"


def test_loss_by_norm_has_a_panel_for_each(series, frame):
    chosen = series("lin_sep/none", "others/none", "lin_sep/ewn", "others/ewn")
    figure = curves.loss_by_norm(chosen)
    assert [panel.get_title() for panel in figure.axes] == ["norm=none", "norm=ewn"]
    looks = []
    for panel, norm in zip(figure.axes, ("none", "ewn"), strict=True):
        named = labelled(panel)
        assert set(named) == {"optimizer.step_size=0.01", "optimizer.step_size=0.005"}
        looks.append({label: (line.get_color(), line.get_linestyle()) for label, line in named.items()})
        for label, folder in (("optimizer.step_size=0.01", "lin_sep"), ("optimizer.step_size=0.005", "others")):
            thin = [line for line in panel.lines if line.get_alpha() and line.get_color() == looks[-1][label][0]]
            assert line_points(thin) == table_curves(frame(f"{folder}/{norm}", "steps"), "step", "log_loss")
    assert looks[0] == looks[1] and len(set(looks[0].values())) == 2, "a label looks alike in all panels"
    assert curves.loss_by_norm(series("lin_sep/none", "lin_sep/ewn")) is None, "one run of each norm"


def test_loss_shares_of_every_sample_of_the_first_seed(series, frame):
    figure = curves.loss_shares(series(*NAMES))
    for panel, name in zip(figure.axes, NAMES, strict=False):
        samples = frame(name, "samples").query("seed == 0")
        assert list(labelled(panel)) == [f"sample {index}" for index in range(4)]
        for index, line in enumerate(labelled(panel).values()):
            rows = samples[samples["sample"] == index]
            np.testing.assert_array_equal(line.get_xdata(), rows["step"])
            np.testing.assert_array_equal(line.get_ydata(), rows["loss_share"])


def test_sharpness_beside_the_bound_of_stable_descent(series):
    """Over the loss against depth, and times the step against steps, where it was recorded; else no figure."""
    one, other = series("lin_sep/none", "lin_sep/ewn")
    assert curves.sharpness([one, other]) is None
    steps = one.table("steps")
    columns = {"log_sharpness": steps["log_loss"] + 1.5, "step_sharpness": 1.9, "sharpness_error": 1e-9}
    drawn = replace(one, _cache={"steps": steps.assign(**columns)})
    relative, product = curves.sharpness([drawn, other]).axes
    assert all(np.allclose(line.get_ydata(), 1.5) for line in relative.lines)
    assert any(set(line.get_ydata()) == {2} for line in product.lines), "the bound"
    assert list(labelled(product)) == ["norm=none"]
