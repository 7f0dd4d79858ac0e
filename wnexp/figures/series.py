"""What the figures share: the records of a series of runs, and the house style."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wnexp import records
from wnexp.config import UserError

# Okabe and Ito's colours, told apart under every common colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C8C8C")
NORM_COLOURS = {"none": "#000000", "swn": "#0072B2", "ewn": "#D55E00"}
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
}
mpl.rcParams.update(STYLE)

# A neuron counts as active when its weight norm is at least this share of the largest in its layer.
ACTIVE_RATIO = 0.25
_LONGEST_LABEL = 36


@dataclass
class Series:
    """Runs that differ in their seeds alone, with their tables joined."""

    label: str
    config: dict[str, Any]
    directories: list[Path]
    colour: str = PALETTE[0]
    _cache: dict[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """A table's rows over all runs of the series; empty if none has it. Raises `UserError` for a bad file."""
        if name not in self._cache:
            frames: list[pd.DataFrame] = []
            for directory in self.directories:
                path = directory / f"{name}.parquet"
                if path.exists():
                    try:
                        frame = pd.read_parquet(path)
                    except (OSError, ValueError) as error:
                        raise UserError(f"{path}: not a readable parquet file ({str(error).splitlines()[0]})") from None
                    # Runs may overlap in seeds; tables without seeds are of one run.
                    seen = {seed for earlier in frames for seed in earlier["seed"].unique()} if "seed" in frame else ()
                    frames.append(frame[~frame["seed"].isin(seen)] if "seed" in frame else frame)
                    if "seed" not in frame:
                        break
            empty = records.schema(name).empty_table().to_pandas()
            self._cache[name] = pd.concat(frames, ignore_index=True) if frames else empty
        return self._cache[name]

    @property
    def norm(self) -> str:
        """none, swn or ewn."""
        return self.config["norm.name"]

    @cached_property
    def first_seed(self) -> int:
        """The seed that per-neuron figures show: neurons of different seeds have nothing in common but their number."""
        return int(self.table("steps")["seed"].min())

    def of_first_seed(self, name: str) -> pd.DataFrame:
        """A table's rows of the first seed."""
        table = self.table(name)
        return table[table["seed"] == self.first_seed]

    @property
    def seeds(self) -> int:
        """How many seeds the series has."""
        return self.table("steps")["seed"].nunique()


def load_series(runs: Sequence[Path]) -> list[Series]:
    """Group run directories into series, labelled by what differs. Raises `UserError` if no run has records."""
    groups: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for run in runs:
        try:
            status = records.read_status(run)
        except UserError as error:
            print(f"wnexp: left out: {error}", file=sys.stderr)
            continue
        if status is None or not (run / "steps.parquet").exists():
            continue
        key = {name: value for name, value in status["config"].items() if name not in ("seed", "seeds")}
        groups.setdefault(json.dumps(key, sort_keys=True), []).append((run, status["config"]))
    if not groups:
        raise UserError(f"{', '.join(map(str, runs))}: no records yet")
    configs = [members[0][1] for members in groups.values()]
    names = sorted({name for config in configs for name in config} - {"seed", "seeds"})
    differing = [name for name in names if len({json.dumps(config.get(name)) for config in configs}) > 1]
    if "norm.name" in differing:  # values that follow from the norm would only repeat it
        by_norm = {config["norm.name"] for config in configs}
        if len(by_norm) == len(configs):
            differing = ["norm.name"]
    series = []
    for config, members in zip(configs, groups.values(), strict=True):
        parts = [f"{name.removesuffix('.name')}={config.get(name)}" for name in differing]
        label = ", ".join(parts) or f"norm={config['norm.name']}"
        if len(label) > _LONGEST_LABEL:
            directory = members[0][0]
            label = f"{directory.parent.name}/{directory.name}"
            label = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
        series.append(Series(label, config, [directory for directory, _ in members]))
    series.sort(key=lambda one: (list(NORM_COLOURS).index(one.norm) if one.norm in NORM_COLOURS else 9, one.label))
    distinct_norms = len({one.norm for one in series}) == len(series)
    for index, one in enumerate(series):
        one.colour = NORM_COLOURS.get(one.norm, PALETTE[0]) if distinct_norms else PALETTE[index % len(PALETTE)]
    return series


def panels(rows: int, columns: int, width: float = 3.4, height: float = 2.7, **options) -> tuple[Figure, np.ndarray]:
    """A figure with a grid of axes `(rows, columns)`, laid out without overlaps and without a display."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def step_axis(axes: Axes) -> None:
    """A logarithmic axis of accepted steps that shows step 0 too."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.set_xlim(left=0)
    axes.set_xlabel("accepted steps")


def mean_and_spread(
    axes: Axes, frame: pd.DataFrame, x: str, y: str, colour: str, label: str, lines: bool = True
) -> None:
    """One line a seed; with several seeds thin lines (if wanted), their mean, and a band of one standard deviation.

    The mean covers the stretch of `x` that every seed has records in.
    """
    curves = []
    for _, rows in frame.dropna(subset=[x, y]).groupby("seed"):
        rows = rows.sort_values(x)
        curves.append((rows[x].to_numpy(float), rows[y].to_numpy(float)))
    if len(curves) <= 1:
        for xs, ys in curves:
            axes.plot(xs, ys, color=colour, label=label)
        return
    for xs, ys in curves[:16] if lines else ():
        axes.plot(xs, ys, color=colour, alpha=0.25, linewidth=0.6)
    low, high = max(xs[0] for xs, _ in curves), min(xs[-1] for xs, _ in curves)
    grid = np.unique(np.concatenate([xs for xs, _ in curves]))
    grid = grid[(grid >= low) & (grid <= high)]
    values = np.stack([np.interp(grid, xs, ys) for xs, ys in curves])
    mean, spread = values.mean(axis=0), values.std(axis=0)
    axes.plot(grid, mean, color=colour, label=f"{label} ({len(curves)} seeds)")
    axes.fill_between(grid, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
