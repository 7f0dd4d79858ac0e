"""One page about runs that needs nothing beside itself: table, interactive curves, neurons, verdicts, commands.

`contents` is what the page shows, as plain data; `page.html` with `page.css` and `page.js` shows it, with plotly.js,
whose 4.8 MB are most of a page: axes turn logarithmic, zoom by touch, and colours follow a dark mode while it is open.
"""

import json
import math
import os
import time
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wnexp.figures.series import Series, load_series
from wnexp.runs import listing, reader
from wnexp.runs.files import read_table, shown, write_asked
from wnexp.runs.status import RUNNING

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportCallIssue=false, reportReturnType=false, reportGeneralTypeIssues=false

NAME = "report.html"
_MOST_SERIES = 200
_MOST_NUMBERS = 90_000  # of all curves
_FEWEST_POINTS, _MOST_POINTS = 40, 300  # of a curve
_LEVELS = 31  # of the slider, as deep as all series have come; a third more beyond
_LITTLE = 0.05  # deeper than that is not worth a place of its own
_MOST_NEURONS = 300  # of a layer
_NOT_CURVES = ("seed", "attempts")
_GROUPS = ("data", "model", "norm", "loss", "optimizer")
_REFRESH_SECONDS = 5


def write(runs: Sequence[reader.Run], to: Path | None = None, refresh: bool = False) -> Path:
    """Write the page about these runs, by default `report.html` in the folder that they share; returns its path.

    With `refresh` the page loads itself again every few seconds. Raises `UserError` where there are no records.
    """
    if to is None:
        to = Path(os.path.commonpath([run.directory for run in runs])) / NAME
    page = render(contents(runs), refresh)
    write_asked(to, lambda temporary: temporary.write_text(page, "utf-8"))
    return to


def watch(paths: Sequence[Path], where: str, to: Path | None, every: float, tell: Any) -> Path:
    """Write the page again whenever runs have changed, until none of them goes on. Returns its path."""
    before: dict[Path, int] = {}
    while True:
        runs = reader.load(paths)
        runs = listing.matching(runs, where) if where else runs
        now = {run.directory: (run.directory / "run.json").stat().st_mtime_ns for run in runs}
        going_on = sum(run.state == RUNNING for run in runs)
        if now != before or not going_on:
            to = write(runs, to, refresh=going_on > 0)
            tell(to, going_on)
            before = now
        if not going_on:
            return to
        time.sleep(every)


def render(content: dict[str, Any], refresh: bool = False) -> str:
    """The page that shows the contents."""
    import plotly
    from jinja2 import Environment

    library = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text("utf-8")
    here = files(__name__)
    template = Environment(autoescape=True).from_string((here / "page.html").read_text("utf-8"))
    return template.render(
        title=content["title"],
        style=(here / "page.css").read_text("utf-8"),
        script=(here / "page.js").read_text("utf-8"),
        library=library.replace("</script", "<\\/script"),
        data=json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        refresh=1000 * _REFRESH_SECONDS if refresh else 0,
    )


def contents(runs: Sequence[reader.Run]) -> dict[str, Any]:
    """What the page shows, as data that JSON can hold. Raises `UserError` where there are no records."""
    series = load_series(list(runs), _MOST_SERIES)
    rows, columns = listing.listing(runs)
    folder = Path(os.path.commonpath([run.directory for run in runs]))
    readable = [row["_run"] for row in rows if row["status"] != listing.UNREADABLE]
    points = _points(series)
    levels, deepest = _levels(series)
    return {
        "title": f"wnexp: {shown(folder)}",
        "made": f"{datetime.now():%Y-%m-%d %H:%M}",
        "facts": _facts(readable),
        "settings": [name.removesuffix(".name") for name in (series[0].settings or {"norm.name": ""})],
        "columns": columns,
        "rows": [[_plain(row.get(name)) for name in columns] for row in rows],
        "commands": [[shown(run.directory), f"wnexp train --config-from '{shown(run.directory)}'"] for run in readable],
        "series": [_series(one, points) for one in series],
        "levels": levels,
        "level": deepest,
        "verdicts": _verdicts({run.directory for run in readable}),
    }


def _facts(runs: Sequence[reader.Run]) -> dict[str, str]:
    """What was run, in words: name -> values."""
    seconds = sum(run.status.wall_seconds for run in runs)
    versions = {name: found for run in runs for name, found in run.status.versions.items()}
    codes = [(run.status.code or "unknown", run.status.git_commit or "no commit") for run in runs]
    words = {
        "runs": [f"{len(runs)}, {sum(len(run.seeds) for run in runs)} seeds, {seconds:.0f} s in all"],
        **{name: [str(run.config.get(f"{name}.name")) for run in runs] for name in _GROUPS},
        "device": [f"{run.status.device}, {run.status.precision}" for run in runs],
        "code": [f"{code} ({commit})" for code, commit in codes],
        "versions": [f"{name} {found}" for name, found in versions.items()],
        "command": [run.status.command for run in runs],
    }
    return {name: ", ".join(dict.fromkeys(values)) for name, values in words.items()}


def _points(series: Sequence[Series]) -> int:
    """How many points of a curve fit."""
    curves = sum(one.seeds * len(_quantities(one.table("steps"))) for one in series)
    return int(np.clip(_MOST_NUMBERS / max(curves, 1), _FEWEST_POINTS, _MOST_POINTS))


def _quantities(steps: pd.DataFrame) -> list[str]:
    return [name for name in steps if name not in _NOT_CURVES and steps[name].notna().any()]


def _series(one: Series, points: int) -> dict[str, Any]:
    steps = one.table("steps")
    names = _quantities(steps)
    seeds = []
    for seed, rows in steps.groupby("seed"):
        rows = rows.sort_values("step")
        kept = np.unique(np.linspace(0, len(rows) - 1, points).astype(int))
        seeds.append({"seed": int(seed), "columns": {name: _short(rows[name].to_numpy(float)[kept]) for name in names}})
    settings = {name.removesuffix(".name"): value for name, value in (one.settings or {"norm.name": one.norm}).items()}
    slope = one.law["slope"] if one.law and one.law["normalizes"] else None
    return {"label": one.label, "settings": settings, "seeds": seeds, "slope": slope, "neurons": _neurons(one)}


def _levels(series: Sequence[Series]) -> tuple[list[float], int]:
    """Log losses for the slider, from the start to the deepest one; and the place of the deepest that all first seeds
    have reached."""
    losses = [one.of_first_seed("steps")["log_loss"].dropna() for one in series]
    losses = [loss for loss in losses if len(loss) and np.isfinite(loss).all()]
    if not losses:
        return [], 0
    high, common, low = max(loss.max() for loss in losses), max(loss.min() for loss in losses), min(map(min, losses))
    levels = np.concatenate([np.linspace(high, common, _LEVELS), np.linspace(common, low, _LEVELS // 3)[1:]])
    rounded = [float(f"{level:.5g}") for level in levels]
    rounded[_LEVELS - 1] = float(common)  # rounded it would be deeper than somebody has come
    deeper = low < common * (1 + _LITTLE) if common < 0 else low < common
    return rounded if deeper else rounded[:_LEVELS], _LEVELS - 1


def _neurons(one: Series) -> list[dict[str, Any]]:
    """For records of the first seed that the slider may show: the loss, and every neuron's layer, norm, gradient."""
    neurons = one.of_first_seed("neurons")
    if not len(neurons) or "log_gradient_norm" not in neurons:
        return []
    steps = one.of_first_seed("steps").sort_values("step")
    last = neurons[neurons["step"] == neurons["step"].max()]
    kept = pd.concat([_spread(own) for _, own in last.groupby("layer")])[["layer", "neuron"]]
    wanted = steps.iloc[np.unique(np.linspace(0, len(steps) - 1, 2 * _LEVELS).astype(int))]
    found = []
    for step, loss in zip(wanted["step"], wanted["log_loss"], strict=True):
        rows = kept.merge(neurons[neurons["step"] == step], on=["layer", "neuron"])
        if len(rows) and math.isfinite(loss):
            found.append(
                {
                    "log_loss": float(loss),
                    "layer": rows["layer"].astype(int).tolist(),
                    "norm": _short(rows["weight_norm"].to_numpy(float)),
                    "gradient": _short(rows["log_gradient_norm"].to_numpy(float)),
                }
            )
    return found


def _spread(layer: pd.DataFrame) -> pd.DataFrame:
    """At most so many neurons of a layer, over the range of their norms."""
    ordered = layer.sort_values("weight_norm", ascending=False)
    return ordered.iloc[np.unique(np.linspace(0, len(ordered) - 1, _MOST_NEURONS).astype(int))]


def _verdicts(directories: set[Path]) -> list[list[Any]]:
    """What `wnexp verify` has found of these runs, from the tables above them."""
    folders = {parent for directory in directories for parent in (directory, *directory.parents)}
    found = []
    for folder in sorted(folders):
        file = folder / "verify.parquet"
        if file.is_file():
            try:
                rows = read_table(file).to_pylist()
            except (OSError, ValueError):
                continue
            for row in rows:
                if Path(row["run"]) in directories:
                    numbers = [_plain(row[name]) for name in ("predicted", "low", "high", "tolerance")]
                    found.append([row["claim"], row["norm"], row["name"], *numbers, row["verdict"], row["statement"]])
    return found


def _short(values: np.ndarray) -> list[float | None]:
    """Five digits are more than a screen shows."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, (int, str)) else json.dumps(value)
