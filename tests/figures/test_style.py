"""The house style: grids of panels and the legend below them."""

import matplotlib as mpl
import pytest

from wnexp.errors import UserError
from wnexp.figures.style import PLAIN, Options, Scale, asked, house_style, legend, panels, wrapped


def test_the_legend_is_below_the_panels_and_within_the_figure():
    figure, axes = panels(1, 2)
    for panel in axes[0]:
        for index in range(5):
            panel.plot([0, 1], [0, 1], label=f"norm=ewn, model.widths=[{index}], optimizer.step_size_cap=null")
    legend(figure, "a note")
    figure.draw_without_rendering()
    (box,) = [one.get_window_extent() for one in figure.legends]
    assert len(figure.legends[0].get_texts()) == 5, "a label of two panels is there once"
    assert all(box.y1 <= panel.get_tightbbox().y0 for panel in axes[0])
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (4, (1, 4)), (5, (2, 3)), (12, (3, 4))])
def test_panels_come_in_rows_of_at_most_four(count, shape):
    figure, axes = wrapped(count)
    assert len(axes) == len(figure.axes) == count and axes[0].get_subplotspec().get_gridspec().get_geometry() == shape


@pytest.mark.parametrize(("width", "shape"), [(None, (1, 2)), (3.25, (2, 1)), (7.0, (1, 2))])
def test_panels_move_below_each_other_on_a_narrow_page(width, shape):
    with house_style(Options(width=width)):
        figure, axes = panels(1, 2)
        assert axes.shape == (1, 2) and (width is None or figure.get_figwidth() == width)
        grid = axes[0, 0].get_subplotspec().get_gridspec()
        assert (grid.nrows, grid.ncols) == shape
        assert len(wrapped(5)[1]) == 5


def test_the_lines_of_a_note_stay_lines():
    figure, axes = panels(1, 1)
    axes[0, 0].plot([0, 1], [0, 1], label="one")
    legend(figure, "faint: neurons of small norm\nbands: of layers with many neurons, " + "all of them " * 9)
    lines = figure.legends[0].get_title().get_text().splitlines()
    assert lines[0] == "faint: neurons of small norm" and lines[1].startswith("bands:") and len(lines) > 2


def test_the_page_ends_with_the_figure():
    with pytest.raises(ValueError), house_style(Options(width=2.0)):
        raise ValueError
    assert asked() == PLAIN


def test_a_style_is_laid_over_the_house_style(tmp_path):
    (tmp_path / "mine.mplstyle").write_text("lines.linewidth: 5\n")
    with house_style(Options(style=str(tmp_path / "mine.mplstyle"))):
        assert mpl.rcParams["lines.linewidth"] == 5 and mpl.rcParams["font.family"] == ["STIXGeneral"]
    for bad in ("nope", str(tmp_path / "none.mplstyle")):
        with pytest.raises(UserError, match=r"allowed: FILE\.mplstyle"), house_style(Options(style=bad)):
            pass


def test_a_colour_bar_stands_for_the_setting_that_colours_are_made_of():
    with house_style(PLAIN, Scale("model.widths", (1.0, 100.0))):
        figure, axes = panels(1, 1)
        for width in (1, 100):
            for norm, dash in (("none", "-"), ("ewn", "--")):
                axes[0, 0].plot([0, 1], [0, 1], dash, label=f"norm={norm}, model.widths={width}")
        legend(figure)
    assert figure.axes[-1].get_ylabel() == "model.widths" and figure.axes[-1].get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["norm=none", "norm=ewn"]
