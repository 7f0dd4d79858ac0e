"""Figures of `verify.parquet`: predictions against measurements, one figure per claim."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

from pathlib import Path
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wnexp.figures import save
from wnexp.figures.style import PALETTE, law_colour, panels
from wnexp.runs.files import read_table

_MARKERS = {"holds": "o", "not reached": "^", "fails": "X"}
_ROW_INCHES = 0.17
_MOST_ROWS = 50  # of a page
_BAND = {"color": "#000000", "alpha": 0.08, "linewidth": 0}


def draw(path: Path, folder: Path) -> list[Path]:
    """One figure for every claim in the table, and the exponents against the degree. Returns the files written."""
    table = read_table(path).to_pandas()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for claim, rows in table.groupby("claim", sort=False):
        written += save(_claim(str(claim), rows), folder, str(claim))
    for against, rates in table[(table["against"] != "") & (table["verdict"] != "not reached")].groupby("against"):
        name = "exponents" if against == "degree" else "exponents_power"
        written += save(_exponents(rates, str(against)), folder, name)
    return written


def _claim(claim: str, rows: pd.DataFrame) -> Figure:
    """The interval of measured minus predicted, one line per group of runs, over a band of the tolerance.

    Of more groups than fit on a page those that do not hold come first.
    """
    left_out = len(rows) - _MOST_ROWS
    rows = rows.sort_values("verdict", key=lambda verdict: verdict == "holds", kind="stable") if left_out > 0 else rows
    rows = rows.iloc[:_MOST_ROWS].iloc[::-1].reset_index(drop=True)
    figure, axes = panels(1, 1, width=7.0, height=1.3 + _ROW_INCHES * len(rows))
    panel = axes[0, 0]
    low, high = rows["low"] - rows["predicted"], rows["high"] - rows["predicted"]
    linear = float(rows["tolerance"].abs().max()) or 0.1
    largest = max(float(low.abs().max()), float(high.abs().max()))
    limits = _limits(largest, linear, bool((low < -linear / 10).any()))
    for place, (band, one_sided) in enumerate(zip(rows["tolerance"], rows["one_sided"], strict=True)):
        panel.fill_betweenx([place - 0.5, place + 0.5], limits[0] if one_sided else -band, band, **_BAND)
    for norm, of_norm in rows.groupby("norm", sort=False):
        for verdict, chosen in of_norm.groupby("verdict", sort=False):
            middle = (low + high)[chosen.index] / 2
            panel.errorbar(
                middle,
                chosen.index,
                xerr=(high - low)[chosen.index] / 2,
                fmt=_MARKERS[str(verdict)],
                color=_colour(of_norm),
                markersize=4,
                linewidth=0.8,
                label=f"{norm}, {verdict}",
            )
    panel.set_xscale("symlog", linthresh=linear)
    panel.set_xlim(*limits)
    panel.set_yticks(range(len(rows)), rows["name"], fontsize=6)
    panel.set_ylim(-0.5, len(rows) - 0.5)
    panel.set_xlabel(f"{rows['measured_as'].iloc[0]}:\nminus the prediction (band: tolerance)", fontsize=8)
    more = f" ({left_out} more in verify.parquet)" if left_out > 0 else ""
    panel.set_title("\n".join(wrap(f"{claim}: {rows['statement'].iloc[0]}{more}", 80)), fontsize=8)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _colour(of_norm: pd.DataFrame) -> str:
    """The colour of the norm that the rows are of."""
    law = of_norm[["normalizes", "slope"]].iloc[0]
    known = law_colour(None if law.isna().any() else {"normalizes": law["normalizes"], "slope": law["slope"]})
    return known or PALETTE[3]


def _limits(largest: float, tolerance: float, signed: bool) -> tuple[float, float]:
    reach = 1.5 * max(tolerance, 0.0 if np.isnan(largest) else largest)
    return (-reach if signed else -0.1 * tolerance), reach


def _exponents(rows: pd.DataFrame, over: str) -> Figure:
    """The exponent `p` against the degree of the network, 2 for EWN and `2 - 2/D` otherwise, or against the effective
    degree of the powers between, and its interval around the prediction, a group of runs each."""
    figure, axes = panels(1, 2, width=3.6, height=2.8)
    values, errors = axes[0]
    degrees = np.linspace(min(1.0, rows[over].min()), rows[over].max(), 200)
    values.plot(degrees, 2 - 2 / degrees, color="#8C8C8C", linewidth=1, label="$2 - 2/D$")
    if over == "degree":
        values.axhline(2, color="#8C8C8C", linewidth=1, linestyle="--", label="2")
    tolerance = float(rows["tolerance"].max())
    errors.axhspan(-tolerance, tolerance, **_BAND)
    norms = {str(norm): of_norm for norm, of_norm in rows.groupby("norm")}
    offsets = np.linspace(-0.2, 0.2, len(norms)) if len(norms) > 1 else [0.0]
    for order, (offset, (norm, of_norm)) in enumerate(zip(offsets, norms.items(), strict=True)):
        colour = _colour(of_norm) if over == "degree" else PALETTE[order % len(PALETTE)]
        places = of_norm[over] + (offset if over == "degree" else 0) + 0.02 * of_norm.groupby(over).cumcount()
        for verdict, chosen in of_norm.groupby("verdict", sort=False):
            look = {"fmt": _MARKERS[str(verdict)], "color": colour, "markersize": 3, "linewidth": 0.8}
            middle = (chosen["low"] + chosen["high"]) / 2
            label = norm if verdict == "holds" else f"{norm}, {verdict}"
            for panel, base in ((values, 0.0), (errors, chosen["predicted"])):
                panel.errorbar(places[chosen.index], middle - base, yerr=chosen["high"] - middle, label=label, **look)
    for panel in (values, errors):
        if over == "degree":
            panel.set_xticks(range(1, int(rows["degree"].max()) + 1))
        panel.set_xlabel("homogeneity degree $D$" if over == "degree" else r"effective degree $\sum_l P_l k_l$")
    values.set_ylabel(r"$p$ in $\mathcal{L} \sim 1/(t\,(\log t)^p)$")
    errors.set_ylabel("$p$ minus its prediction (band: tolerance)")
    values.legend(loc="lower right")
    return figure
