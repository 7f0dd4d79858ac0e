"""Figures of verdicts: measured minus predicted by claim, and exponents against the degree."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.collections import LineCollection

from wnexp.figures import claims
from wnexp.figures.style import PALETTE
from wnexp.runs.files import write_table

LAWS = {"none": (False, 1.0), "swn": (True, 1.0), "ewn": (True, -1.0)}
COLOURS = {"none": "#000000", "swn": PALETTE[0], "ewn": PALETTE[1]}


def row(norm, measured, predicted=0.0, verdict="holds", claim="C6", degree=2, law=None, **changes):
    normalizes, slope = LAWS.get(norm, (None, None)) if law is None else law
    found = {"claim": claim, "statement": "the statement", "measured_as": "the slope", "run": "/x", "norm": norm}
    found |= {"name": f"{norm} of degree {degree}", "normalizes": normalizes, "slope": slope, "degree": degree}
    found |= {"predicted": predicted, "low": measured - 0.002, "high": measured + 0.002, "verdict": verdict}
    return found | {"tolerance": 0.005, "against": "degree" if claim == "C6" else "", "one_sided": False} | changes


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Rows of `verify.parquet` -> the figures drawn, by name."""
    found = {}
    monkeypatch.setattr(claims, "save", lambda figure, folder, name: found.setdefault(name, figure) and [Path(name)])

    def draw(*rows):
        write_table(tmp_path / "verify.parquet", pa.Table.from_pandas(pd.DataFrame(rows)))
        names = claims.draw(tmp_path / "verify.parquet", tmp_path)
        assert [str(name) for name in names] == list(found)
        return found

    return draw


def bars(panel):
    """Label -> x, y, marker, colour and half lengths of the error bars."""
    found = {}
    for bar in panel.containers:
        points, _, (errors,) = bar.lines
        ends = np.array(errors.get_segments())
        lengths = np.abs(ends[:, 1] - ends[:, 0]).max(axis=1) / 2
        entry = (points.get_xdata().tolist(), points.get_ydata().tolist(), points.get_marker(), points.get_color())
        found[bar.get_label()] = (*entry, lengths.tolist())
    return found


def test_a_claim_is_measured_minus_predicted_over_its_tolerance(figures):
    drawn = figures(
        row("none", 1.001, 1.0),
        row("ewn", 2.1, 2.0, "fails", degree=3),
        row("ewn", 1.9, 2.0, "not reached"),
        row("swn", 0.2, claim="C4"),
    )
    assert list(drawn) == ["C6", "C4", "exponents"]
    (panel,) = drawn["C6"].axes
    found = bars(panel)
    assert {label: entry[1:4] for label, entry in found.items()} == {
        "ewn, not reached": ([0], "^", COLOURS["ewn"]),
        "ewn, fails": ([1], "X", COLOURS["ewn"]),
        "none, holds": ([2], "o", COLOURS["none"]),
    }
    for label, error in {"ewn, not reached": -0.1, "ewn, fails": 0.1, "none, holds": 0.001}.items():
        assert found[label][0] == [pytest.approx(error)] and found[label][4] == [pytest.approx(0.002)]
    assert [text.get_text() for text in drawn["C6"].legends[0].get_texts()] == list(found)
    assert [text.get_text() for text in panel.get_yticklabels()] == [
        *("ewn of degree 2", "ewn of degree 3", "none of degree 2")
    ]
    assert panel.get_xlabel() == "the slope:\nminus the prediction (band: tolerance)"
    assert panel.get_title() == "C6: the statement"
    bands = [band.get_paths()[0].get_extents() for band in panel.collections if not isinstance(band, LineCollection)]
    assert [(band.x0, band.x1, band.y0, band.y1) for band in bands] == [
        (-0.005, 0.005, place - 0.5, place + 0.5) for place in range(3)
    ]
    low, high = panel.get_xlim()
    assert low < -0.1 and high > 0.1
    assert [entry[:2] for entry in bars(drawn["C4"].axes[0]).values()] == [([pytest.approx(0.2)], [0])]


def test_of_more_rows_than_a_page_has_those_that_do_not_hold_are_drawn(figures):
    rows = [row("none", 1.0, 1.0, "holds" if index < 100 else "not reached", claim="C4") for index in range(110)]
    figure = figures(*rows)["C4"]
    assert figure.get_size_inches()[1] < 11.7 and len(figure.axes[0].get_yticklabels()) == 50
    assert "60 more in verify.parquet" in figure.axes[0].get_title().replace("\n", " ")
    assert sum(len(entry[1]) for label, entry in bars(figure.axes[0]).items() if "not reached" in label) == 10


def test_exponents_are_drawn_over_the_degree(figures):
    """The curve `2 - 2/D`, the line 2, and the intervals of rows that are decided."""
    rows = [row("none", 2 - 2 / degree + 0.001, degree=degree) for degree in (1, 2, 3, 4)]
    rows += [row("swn", 1.0, degree=2), row("ewn", 2.01, degree=1), row("ewn", 1.99, degree=4)]
    rows += [row("ewn", 7.0, degree=2, verdict="fails"), row("none", 5.0, degree=3, claim="C7")]
    rows += [row("swn", 9.0, degree=3, verdict="not reached")]
    panel, errors = figures(*rows)["exponents"].axes
    curve, line = panel.lines[:2]
    np.testing.assert_allclose(curve.get_ydata(), 2 - 2 / curve.get_xdata())
    assert (curve.get_xdata()[0], curve.get_xdata()[-1], curve.get_label()) == (1, 4, "$2 - 2/D$")
    assert set(line.get_ydata()) == {2} and line.get_label() == "2"
    found = bars(panel)
    failed = found.pop("ewn, fails")
    assert failed[1:4] == ([7.0], "X", COLOURS["ewn"]) and round(failed[0][0]) == 2
    assert {label: entry[3] for label, entry in found.items()} == COLOURS
    measured = {label: dict(zip(np.round(entry[0]), entry[1], strict=True)) for label, entry in found.items()}
    assert measured["none"] == {degree: pytest.approx(2 - 2 / degree + 0.001) for degree in (1, 2, 3, 4)}
    assert measured["swn"] == {2: pytest.approx(1.0)} and measured["ewn"] == {1: 2.01, 4: 1.99}
    assert all(np.abs(np.subtract(entry[0], np.round(entry[0]))).max() < 0.3 for entry in found.values())
    assert all(entry[4] == pytest.approx([0.002] * len(entry[0])) for entry in found.values())
    deviations = bars(errors)["none"]
    assert deviations[1] == pytest.approx([entry["low"] + 0.002 - entry["predicted"] for entry in rows[:4]])
    assert deviations[4] == pytest.approx([0.002] * 4) and errors.get_ylabel().startswith("$p$ minus its prediction")
    assert panel.get_xlabel() == "homogeneity degree $D$"
    assert panel.get_ylabel() == r"$p$ in $\mathcal{L} \sim 1/(t\,(\log t)^p)$"
    assert panel.get_xticks().tolist() == [1, 2, 3, 4]
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    assert texts == ["$2 - 2/D$", "2", "ewn", "ewn, fails", "none", "swn"]


def test_without_an_exponent_that_is_decided_there_is_no_figure_of_them(figures):
    assert list(figures(row("ewn", 1.5, 2.0, "not reached"))) == ["C6"]


def test_colours_are_those_of_the_law_and_never_of_a_name(figures):
    """EWN's law by another name, SWN's by EWN's, and a norm without a law."""
    rows = [row("expo", 2.0, law=LAWS["ewn"]), row("ewn", 1.0, law=LAWS["swn"]), row("mine", 1.5)]
    drawn = figures(*rows)
    expected = {"expo": COLOURS["ewn"], "ewn": COLOURS["swn"], "mine": PALETTE[3]}
    assert {label.split(",")[0]: entry[3] for label, entry in bars(drawn["C6"].axes[0]).items()} == expected
    assert {label: entry[3] for label, entry in bars(drawn["exponents"].axes[0]).items()} == expected


def test_exponents_of_powers_are_drawn_over_the_effective_degree(figures):
    rows = [
        row(f"power={power}", 2 - 2 / (power * 2) + 0.001, claim="P1", law=(True, 2 / power - 1))
        | {"against": "effective_degree", "effective_degree": 2.0 * power}
        for power in (0.5, 2, 8)
    ]
    drawn = figures(*rows)
    assert list(drawn) == ["P1", "exponents_power"]
    panel, _ = drawn["exponents_power"].axes
    assert [line.get_label() for line in panel.lines[:1]] == ["$2 - 2/D$"]
    found = bars(panel)
    assert {label: round(entry[0][0], 6) for label, entry in found.items()} == {
        "power=0.5": 1,
        "power=2": 4,
        "power=8": 16,
    }
    assert len({entry[3] for entry in found.values()}) == 3, "colours tell them apart"
