"""Figures of single neurons show the first seed's, layer by layer."""

import numpy as np
import pandas as pd
import pytest

from tests.helpers import labelled, line_points, table_curves
from wnexp.figures import neurons
from wnexp.figures.series import Series
from wnexp.figures.style import PALETTE

NAMES = ("lin_sep/none", "lin_sep/ewn")


def test_of_many_layers_some_from_first_to_last():
    assert neurons.spread_layers([0, 1, 2]) == [0, 1, 2] and neurons.spread_layers(range(14)) == [0, 4, 9, 13]


def active(rows):
    last = rows[rows["step"] == rows["step"].max()]
    return [f"{(own['norm_ratio'] >= 0.25).sum()} of {len(own)}" for _, own in last.groupby("layer")]


@pytest.mark.parametrize(("draw", "column"), [(neurons.norms, "weight_norm"), (neurons.alignment, "alignment")])
def test_a_line_for_every_neuron(series, frame, draw, column):
    figure = draw(series(*NAMES))
    for panel, name in zip(figure.axes, NAMES, strict=True):
        rows = frame(name, "neurons").query("seed == 0")
        norm = name.partition("/")[2]
        assert panel.get_title() == f"norm={norm}, seed 0\nactive: {', '.join(active(rows))}"
        for layer in (0, 1):
            drawn = [line for line in panel.lines if line.get_color() == PALETTE[layer]]
            assert line_points(drawn) == table_curves(rows[rows["layer"] == layer], "step", column, by="neuron")
        last = rows[(rows["step"] == rows["step"].max()) & (rows["layer"] == 0)].set_index("neuron")["norm_ratio"]
        faint = [line for line in panel.lines if line.get_alpha() == 0.3]
        gone = rows[(rows["layer"] == 0) & rows["neuron"].isin(last[last < 0.25].index)]
        assert line_points(faint) == table_curves(gone, "step", column, by="neuron")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["layer 0", "layer 1"]
    assert legend.get_title().get_text().startswith("faint: neurons that end below a quarter")


def test_of_a_wide_layer_the_median_and_two_bands(series, frame):
    figure = neurons.norms(series("three/none"))
    (panel,) = figure.axes
    table = (
        frame("three/none", "neurons").query("layer == 0").pivot(index="step", columns="neuron", values="weight_norm")
    )
    assert table.shape[1] == 40
    (median,) = [line for line in panel.lines if line.get_color() == PALETTE[0] and len(line.get_xdata())]
    np.testing.assert_array_equal(median.get_xdata(), table.index)
    np.testing.assert_allclose(median.get_ydata(), table.median(axis=1), rtol=1e-12)
    heights = [band.get_paths()[0].vertices[:, 1] for band in panel.collections]
    inner, outer = ((values.min(), values.max()) for values in heights)
    bounds = (table.quantile(0.1, axis=1).min(), table.quantile(0.9, axis=1).max())
    assert inner == pytest.approx(bounds) and outer == pytest.approx((table.min().min(), table.max().max()))
    assert "bands, of layers with many neurons: median" in figure.legends[0].get_title().get_text()


def test_the_alignment_of_neurons_with_one_weight_is_not_drawn(series):
    assert neurons.alignment(series("simple_traj/none")) is None
    assert neurons.norms(series("simple_traj/none")) is not None


def test_components_of_the_directions_of_active_neurons(series, frame):
    figure = neurons.directions(series(*NAMES))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    shown = set()
    for panel, name in zip(figure.axes, NAMES, strict=True):
        rows = frame(name, "neurons").query("seed == 0 and layer == 0")
        last = rows[rows["step"] == rows["step"].max()]
        alive = last[last["norm_ratio"] >= 0.25]["neuron"].tolist()
        shown |= set(alive)
        drawn = [line for line in panel.lines if len(line.get_xdata())]
        assert len(drawn) == 2 * len(alive)
        rows = rows[rows["neuron"].isin(alive)]
        for component, dash in enumerate(("-", "--")):
            own = rows.assign(part=rows["direction"].str[component])
            lines = [line for line in drawn if line.get_linestyle() == dash]
            assert line_points(lines) == table_curves(own, "step", "part", by="neuron")
    assert texts == [*(f"neuron {neuron}" for neuron in sorted(shown)), "component 1", "component 2"]


def test_of_neurons_with_many_weights_the_cosine_with_their_last_one():
    paths = {0: [[1.0, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 1.0, 0, 0]], 1: [[0, 0, 1.0, 0]] * 3}
    rows = [
        {"seed": 0, "step": step, "layer": 0, "neuron": neuron, "direction": np.array(path[step]), "norm_ratio": 1.0}
        for step in range(3)
        for neuron, path in paths.items()
    ]
    steps = pd.DataFrame({"seed": [0] * 3, "step": range(3)})
    figure = neurons.directions([Series({"norm.name": "ewn"}, [{"steps": steps, "neurons": pd.DataFrame(rows)}], {})])
    (panel,) = figure.axes
    drawn = [line for line in panel.lines if len(line.get_xdata())]
    assert line_points(drawn) == [((0, 1, 2), (0.0, 0.8, 1.0)), ((0, 1, 2), (1.0, 1.0, 1.0))]
    assert panel.get_ylabel() == "cosine of $w_u$ with the last $w_u$" and list(labelled(panel)) == [
        "neuron 0",
        "neuron 1",
    ]
