"""Runs as rows, one for every seed: settings, last figures, figures at a log loss. What `wnexp runs` lists."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from statistics import fmean, pstdev
from typing import Any, NamedTuple

from wnexp.errors import UserError
from wnexp.runs import differences
from wnexp.runs.condition import Condition, parse
from wnexp.runs.files import shown
from wnexp.runs.reader import Run
from wnexp.runs.status import RUNNING

Row = dict[str, Any]
OF_RUNS = ("run", "status", "seconds", "code", "git_commit", "command", "on", "error", "tags", "note")
OF_SEEDS = ("seed", "outcome", "step", "attempts", "log_loss", "step_size")
STANDARD = ("run", "status", "seeds", "outcome", "step", "log_loss", "seconds")
_AT = re.compile(r"(\w+)@(-?[\d.]+(?:e[+-]?\d+)?)")
BESIDE = ("_deviation", "_seeds")  # what a mean may have beside it
UNREADABLE = "unreadable run.json"


class Column(NamedTuple):
    """A column as it is asked for, the key of the rows that it is, and the log loss at which, if a figure's."""

    name: str
    key: str
    level: float | None = None


class Listing(NamedTuple):
    """Rows, and the columns that they were asked for."""

    rows: list[Row]
    columns: list[str]


def listing(
    runs: Sequence[Run],
    columns: Sequence[str] = (),
    where: str = "",
    mean_over: Sequence[str] | None = (),
    sort: str = "",
) -> Listing:
    """Runs as rows with these columns; by default the standard ones and the settings that tell the runs apart.

    `columns` are settings (`norm.power`, or `power` where that is the only one), keys of `run.json`, columns of
    steps.parquet (the seed's last record), or these at a log loss, `normalized_margin@-100`: of the first record with
    at most that, null where none has. `where` is a condition (`runs/condition.py`) on single seeds.

    A row is a run, its figures means over its seeds; with `mean_over` such as `("seed",)` or `("data.seed",)` all runs
    that differ in their seeds and these settings alone, `NAME_deviation` beside `NAME` where there are several seeds
    (of the population; `seeds` says how many); with None a single seed. A mean is of the seeds that have the figure:
    where some have none, `NAME_seeds` says how many have. Rows are in the order of the runs, or by the column `sort`,
    `-NAME` from the largest on. Raises `UserError`.
    """
    rows = [row for run in runs for row in _rows(run)]
    readable = [run for run in runs if _is_readable(run)]
    apart = differences.telling_apart(list(map(differences.what_made, readable)))
    asked = [_column(name, rows, readable) for name in columns]
    condition = parse(where) if where else Condition((), lambda row: True)
    merged = {_column(name, rows, readable).key for name in mean_over or ()}
    if not asked:
        own = [name for name in apart if name not in merged]
        extra = [name for name in ("tags", "note") if any(row.get(name) for row in rows)]
        first_seeds = {run.settings["seed"] for run in readable}
        seeds = ["seed"] if mean_over is None or (not mean_over and len(first_seeds) > 1) else []
        names = [name for name in STANDARD[1:] if name != "seeds" or mean_over is not None]
        names = [*(["run"] if not mean_over else []), *own, *seeds, *names, *extra]
        asked = [Column(name.removesuffix(".name"), name) for name in names]
    needed = [*asked, *(_column(key, rows, readable) for key in condition.keys)]
    by = _column(sort.removeprefix("-"), rows, readable) if sort else None
    needed += [by] if by is not None else []
    _read_figures(rows, [column for column in needed if column.level is not None or not _has(column.key, rows)])
    for row in rows:
        row |= {column.name: row.get(_where(column)) for column in needed}
    rows = [row for row in rows if condition.holds(row)]
    if mean_over is not None:
        rows = _means(rows, [*asked, *([by] if by is not None else [])], merged, bool(mean_over))
    if by is not None:
        rows.sort(key=lambda row: _order(row.get(by.name)), reverse=sort.startswith("-"))
        rows.sort(key=lambda row: row.get(by.name) is None)
    beside = [name for column in asked for name in (column.name, *(f"{column.name}{end}" for end in BESIDE))]
    plain = {column.name for column in asked}
    return Listing(rows, [name for name in beside if name in plain or any(name in row for row in rows)])


def matching(runs: Sequence[Run], where: str) -> list[Run]:
    """The runs with the seeds of which a condition holds. Raises `UserError` where there is none."""
    rows = listing(runs, ["run"], where, mean_over=None).rows
    kept: dict[str, list[int]] = {}
    for row in rows:
        kept.setdefault(row["run"], []).append(row["seed"])
    found = []
    for run in runs:
        seeds = kept.get(shown(run.directory))
        if seeds is not None:
            found.append(run if seeds == (run.seeds or [None]) else Run(run.directory, tuple(seeds)))
    if not found:
        raise UserError(f"'{where}' holds for none of {len(runs)} run{'s' * (len(runs) > 1)}")
    return found


def _is_readable(run: Run) -> bool:
    with suppress(UserError):
        return bool(run.status)
    return False


def _rows(run: Run) -> list[Row]:
    """A row for every seed, one for a run without seeds."""
    if not _is_readable(run):
        return [{"run": shown(run.directory), "status": UNREADABLE, "_run": run}]
    status = run.status
    common = run.settings | status.extra | {
        "run": shown(run.directory),
        "status": run.state,
        "seconds": status.wall_seconds,
        "code": status.code or "unknown",
        "git_commit": status.git_commit,
        "command": status.command,
        "on": status.device,
        "error": status.error,
        "_run": run,
    }  # fmt: skip
    seeds = run.figures
    unfinished = {} if run.state == RUNNING else {RUNNING: "unfinished"}
    blank = dict.fromkeys(OF_SEEDS) | {"step": status.steps or None}
    return [common | blank | own | {"outcome": unfinished.get(own["outcome"], own["outcome"])} for own in seeds] or [
        common | blank
    ]


def _has(key: str, rows: Sequence[Row]) -> bool:
    return key in (*OF_RUNS, *OF_SEEDS, "seeds") or any(key in row for row in rows)


def _column(name: str, rows: Sequence[Row], runs: Sequence[Run]) -> Column:
    """What a name asks for. Raises `UserError` with the nearest names."""
    if at := _AT.fullmatch(name):
        if at[1] in figures(runs):
            return Column(name, at[1], float(at[2]))
        known = [f"{figure}@{at[2]}" for figure in figures(runs)]
    else:
        known = list(dict.fromkeys([*OF_RUNS, *OF_SEEDS, "seeds", *(key for row in rows for key in row)]))
        known = [key for key in known if not key.startswith("_")]
        if (key := differences.named(name, known)) is not None:
            return Column(name, key)
        known = list(dict.fromkeys(key.removesuffix(".name") for key in known))
        if name in (known_figures := figures(runs)):
            return Column(name, name)
        known += [figure for figure in known_figures if figure not in known]
    near = " or ".join(get_close_matches(name, known, n=3, cutoff=0.5))
    hint = f"did you mean {near}?" if near else "`wnexp runs --help` says what there is"
    raise UserError(f"no column '{name}'; {hint}")


def figures(runs: Sequence[Run]) -> list[str]:
    """The columns of the runs' steps that are figures."""
    names: dict[str, None] = {}
    for run in runs:
        with suppress(UserError):
            names |= dict.fromkeys(run.columns("steps"))
        if names:
            break
    return [name for name in names if name != "seed"]


def _where(column: Column) -> str:
    return column.key if column.level is None else column.name


def _read_figures(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Put the columns of the steps into the rows: the last record's, or those at a log loss."""
    if not columns:
        return
    by_run: dict[int, list[Row]] = {}
    for row in rows:
        by_run.setdefault(id(row["_run"]), []).append(row)
    for own in by_run.values():
        with suppress(UserError):
            table = own[0]["_run"].table("steps", ["seed", "log_loss", *(column.key for column in columns)])
            if table is None:
                continue
            records: dict[int, list[Row]] = {}
            for record in table.to_pylist():
                records.setdefault(record["seed"], []).append(record)
            for row in own:
                of_seed = records.get(row["seed"], [])
                for column in columns:
                    row[_where(column)] = _figure(of_seed, column)


def _figure(records: Sequence[Row], column: Column) -> Any:
    if column.level is not None:
        found = (own for own in records if own["log_loss"] is not None and own["log_loss"] <= column.level)
        return (next(found, None) or {}).get(column.key)
    return records[-1].get(column.key) if records else None


def _means(rows: Iterable[Row], columns: Sequence[Column], merged: set[str], across_runs: bool) -> list[Row]:
    """A row for every run, or for all runs that differ in nothing but seeds and the `merged` settings."""
    groups: dict[str, dict[Any, Row]] = {}
    for row in rows:
        run: Run = row["_run"]
        alone = not across_runs or row["status"] == UNREADABLE
        key = str(run.directory) if alone else differences.identity_text(run, tuple(merged))
        other = [name for name in sorted(merged) if not (alone or differences.changes_no_number(name))]
        varied = tuple(str(run.settings.get(name)) for name in other)
        groups.setdefault(key, {}).setdefault((varied, row.get("seed")), row)  # runs may share seeds
    return [_mean(list(members.values()), columns, across_runs) for members in groups.values()]


def _mean(members: Sequence[Row], columns: Sequence[Column], across_runs: bool) -> Row:
    seeds = sum(row.get("seed") is not None for row in members)
    found: Row = {"seeds": seeds, "_run": members[0]["_run"]}
    for column in columns:
        name = column.name
        if name == "seeds":
            continue
        values = [row[name] for row in members if row.get(name) is not None]
        if column.key == "seed":
            found[name] = values[0] if values else None
        elif values and _is_figure(column, members) and all(type(value) in (int, float) for value in values):
            found[name] = values[0] if len(set(values)) == 1 else fmean(values)
            if across_runs and len(values) > 1:
                found[f"{name}_deviation"] = pstdev(values)
            if len(values) < seeds:
                found[f"{name}_seeds"] = len(values)
        else:
            distinct = list(dict.fromkeys(map(differences.text, values)))
            found[name] = values[0] if len(distinct) == 1 else ", ".join(sorted(distinct)) or None
    return found


def _is_figure(column: Column, members: Sequence[Row]) -> bool:
    return column.key not in members[0]["_run"].settings if members[0]["status"] != UNREADABLE else False


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by their value, before words."""
    number = type(value) in (int, float)
    return not number, float(value) if number else 0.0, "" if number else str(value)
