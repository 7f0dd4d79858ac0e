"""The house style: grids of panels and the legend below them."""

import pytest

from wnexp.figures.style import legend, panels, wrapped


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
