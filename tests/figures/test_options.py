"""Figures in one's own style: which, of what, against what, how wide; nothing overlaps in a column of a paper."""

import itertools

import pytest

from tests.helpers import labelled
from wnexp import figures
from wnexp.errors import UserError
from wnexp.figures.looks import give_looks
from wnexp.figures.series import load_series
from wnexp.figures.style import Options
from wnexp.runs import reader

NAMES = ("lin_sep/none", "lin_sep/ewn", "lin_sep/more", "others/none", "others/ewn")


@pytest.fixture(scope="module")
def several(runs):
    return reader.load([runs / name for name in NAMES])


def test_only_what_is_asked_for_is_drawn_in_the_formats_asked_for(runs, tmp_path):
    files = figures.plot([runs / "lin_sep"], tmp_path, only=["margin", "weight_norm"], formats=["svg"])
    assert (
        [file.name for file in files]
        == ["margin.svg", "weight_norm.svg"]
        == sorted(file.name for file in tmp_path.iterdir())
    )
    with pytest.raises(UserError, match="sharpness, path_norm: the records do not hold"):
        figures.plot([runs / "lin_sep"], tmp_path, only=["sharpness", "path_norm"])


def test_a_condition_on_runs_and_seeds(runs, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setitem(figures.FIGURES, "loss", lambda series: shown.append(series))
    with pytest.raises(UserError):
        figures.plot([runs / "lin_sep"], tmp_path, only=["loss"], where="norm=ewn and seed>0 and seed<3")
    ((one,),) = shown
    assert one.norm == "ewn" and set(one.table("steps")["seed"]) == {1, 2}


def test_processes_of_their_own_draw_what_this_one_does(runs, tmp_path):
    options = Options(width=3.25, x="log_loss", facet_by="norm")
    asked = {"only": ["margin", "loss", "step_size"], "where": "norm=none,ewn and seed<2", "options": options}
    alone = figures.plot([runs / "lin_sep"], tmp_path / "a", **asked)
    shared = figures.plot([runs / "lin_sep"], tmp_path / "b", processes=3, **asked)
    assert [file.read_bytes() for file in alone] == [file.read_bytes() for file in shared] and len(alone) == 6


def test_curves_against_one_axis_and_a_row_for_each_value(several):
    drawn = figures.draw("loss", several, Options(x="log_time", facet_by="optimizer.step_size"))
    assert [panel.get_title() for panel in drawn.axes] == [f"optimizer.step_size={size}" for size in ("0.005", "0.01")]
    assert {panel.get_xlabel() for panel in drawn.axes} == {"log time (nats)"}
    assert [list(labelled(panel)) for panel in drawn.axes] == [["norm=none", "norm=ewn"]] * 2


def test_a_colour_for_each_value_and_a_dash_for_the_rest(several):
    series = load_series(several)
    assert give_looks(series, "optimizer.step_size") is None
    looks = {(one.norm, one.value("optimizer.step_size")): tuple(one.look.values()) for one in series}
    for norm, size in looks:
        for other, same in looks:
            assert (looks[norm, size][0] == looks[other, same][0]) == (size == same)
            assert (looks[norm, size][1] == looks[other, same][1]) == (norm == other)
    give_looks(series, "optimizer.step_size", "norm")
    assert {one.look["linestyle"] for one in series} == {"-"}
    with pytest.raises(UserError, match=r"did you mean .*step_size"):
        give_looks(series, "step_siz")


def test_final_is_the_mean_and_deviation_of_last_figures(several):
    ys = ("weight_norm", "step@-10")
    drawn = figures.draw("final", several, Options(x="optimizer.step_size", y=ys))
    assert [panel.get_ylabel() for panel in drawn.axes] == ["weight norm", "step at log loss -10"]
    for panel, y in zip(drawn.axes, ys, strict=True):
        for label, line in labelled(panel).items():
            for x, middle in zip(line.get_xdata(), line.get_ydata(), strict=True):
                values = []
                for run in several:
                    if (f"norm={run.config['norm.name']}", run.config["optimizer.step_size"]) == (label, x):
                        steps = run.frame("steps")
                        steps = steps[steps["log_loss"] <= -10].groupby("seed").first() if "@" in y else steps
                        values += list(steps.groupby("seed").last()[y.partition("@")[0]])
                assert middle == pytest.approx(sum(values) / len(values), rel=1e-12) and len(values) in (2, 4)
    assert drawn.legends[0].get_title().get_text().startswith("4 seeds: mean")


def test_final_against_words(several):
    drawn = figures.draw("final", several, Options(x="norm"))
    ticks = [text.get_text() for text in drawn.axes[0].get_xticklabels()]
    assert ticks == ["ewn", "none"] and list(labelled(drawn.axes[0])) == [
        f"optimizer.step_size={size}" for size in (0.005, 0.01)
    ]
    with pytest.raises(UserError, match="no column 'nothing'"):
        figures.draw("final", several, Options(x="norm", y=("nothing",)))


@pytest.mark.parametrize("name", [name for name in figures.FIGURES if name not in ("atlas", "margin_gap", "crossover")])
def test_nothing_overlaps_in_a_column_of_a_paper(several, name):
    drawn = figures.draw(name, several, Options(width=3.25))
    if drawn is None:
        pytest.skip("nothing to show")
    with figures.house_style():
        drawn.draw_without_rendering()
        boxes = [panel.get_tightbbox() for panel in drawn.axes] + [own.get_window_extent() for own in drawn.legends]
    for one, other in itertools.combinations(boxes, 2):
        shared = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(shared) < 1.5, (one, other)
    for box in boxes:
        assert box.x0 > -1.5 and box.x1 < drawn.bbox.x1 + 1.5 and box.y0 > -1.5 and box.y1 < drawn.bbox.y1 + 1.5
