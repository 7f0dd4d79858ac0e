"""The figure of a swept number."""

import numpy as np
import pytest

from tests.helpers import LIN_SEP
from wnexp import runner
from wnexp.figures.series import load_series
from wnexp.figures.sweep import sweep

SCALES = ("0.2", "0.5", "1.0", "2.0")


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    """Folders of lin-sep from starts of four scales, under EWN, and one more norm for three of them."""
    folder = tmp_path_factory.mktemp("scales")
    for scale in SCALES:
        for norm in ("ewn", "none"):
            if (norm, scale) != ("none", "2.0"):
                runner.train((f"norm={norm}", f"model.init_scale={scale}", *LIN_SEP), folder / norm / scale)
    return folder


def panels(figure):
    return {panel.get_ylabel(): panel for panel in figure.axes}


def test_what_runs_end_with_against_the_number(scaled):
    series = load_series(sorted(scaled.glob("*/*")))
    found = panels(sweep(series))
    assert "test accuracy" in found and not any("removed" in label for label in found), "nothing was pruned"
    margins = next(panel for label, panel in found.items() if "margin" in label)
    assert [text.get_text() for text in margins.get_xticklabels()] == ["0.2", "0.5", "1", "2"]
    assert margins.get_xlabel() == "model.init_scale"
    lines = {line.get_label(): line for line in margins.lines}
    assert list(lines["norm=ewn"].get_xdata()) == [0, 1, 2, 3] and list(lines["norm=none"].get_xdata()) == [0, 1, 2]
    for one in series:
        ends = one.table("steps").sort_values("step").groupby("seed")["normalized_margin"].last()
        drawn = lines[one.label_without("model.init_scale")].get_ydata()[SCALES.index(one.settings["model.init_scale"])]
        assert drawn == pytest.approx(ends.mean())


def test_the_first_layer_and_its_start(scaled):
    panel = panels(sweep(load_series(sorted(scaled.glob("ewn/*")))))["cosine of the first layer with its start"]
    (line,) = panel.lines
    for place, scale in enumerate(SCALES):
        cosines = []
        for seed in (0, 1):
            run = next(iter(load_series([scaled / "ewn" / scale])[0].sources))
            start, end = (run.weights(seed, name)["layers.0.weight"].ravel() for name in ("initial", "final"))
            cosines.append(start @ end / np.linalg.norm(start) / np.linalg.norm(end))
        assert line.get_ydata()[place] == pytest.approx(np.mean(cosines))
    assert line.get_ydata()[-1] > line.get_ydata()[0], "a larger start moves less"


def test_three_values_are_no_sweep(scaled):
    assert sweep(load_series(sorted(scaled.glob("none/*")))) is None
    assert sweep(load_series([scaled / "ewn/1.0"])) is None
