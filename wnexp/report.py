"""What the user sees: the progress bar, the closing tables of a run and of a sweep, the list of runs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from wnexp import lock
from wnexp.config import UserError
from wnexp.recording import Records
from wnexp.records import find_runs, read_status

_MOST_PERCENTS = 10
_BAR_AND_TIME = 20  # columns that the bar, the time and the spaces around them need at least
ELSEWHERE = "running elsewhere"
RUN_COLUMNS = ("run", "status", "seeds", "outcome", "step", "log loss", "seconds")


def shown(directory: Path) -> str:
    """A path as the user would type it."""
    with suppress(ValueError):
        return str(directory.resolve().relative_to(Path.cwd()))
    return str(directory)


class Progress:
    """A bar of the log loss of the slowest seed on its way to the target; nothing where there is no terminal."""

    def __init__(self, target: float):
        self._target, self._bar, self._task, self._start = target, None, None, None

    def __enter__(self):
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True, expand=True)
            self._bar.__enter__()
            self._task = self._bar.add_task("compiled", total=1.0)
        return self._show

    def __exit__(self, *exception) -> None:
        if self._bar is not None:
            self._bar.__exit__(*exception)

    def _show(self, record: Records, session) -> None:
        if self._bar is None or self._task is None:
            return
        finite = [figures for figures in session.seed_figures() if figures["log_loss"] is not None]
        if not finite:
            return
        figures = max(finite, key=lambda figures: figures["log_loss"])
        self._start = figures["log_loss"] if self._start is None else self._start
        share = (self._start - figures["log_loss"]) / max(self._start - self._target, 1e-9)
        text = fitting(
            [
                f"log loss {figures['log_loss']:.2f} of {self._target:g}",
                f"step {figures['step']}",
                f"step size {_number(figures['step_size'], '.2g')}",
                f"margin {session.last_margin():.4g}",
            ],
            self._bar.console.width - _BAR_AND_TIME,
        )
        self._bar.update(self._task, completed=min(max(share, 0.0), 1.0), description=text)


def fitting(parts: Sequence[str], width: int) -> str:
    """As many of the parts, in their order of importance, as fit into a line."""
    text = parts[0]
    for part in parts[1:]:
        text = f"{text}  {part}" if len(text) + 2 + len(part) <= width else text
    return text


def report_run(record: Records, session) -> None:
    """The closing table: the last row of every seed (a summary by outcome for many seeds), and what to type next."""
    status, path = record.status, shown(record.directory)
    last = {row["seed"]: row for row in record.table("steps").to_pylist()}
    rows = []
    for figures in status["seeds"]:
        row = last[figures["seed"]]
        accuracy = row["test_accuracy"] if row["test_accuracy"] is not None else row["train_accuracy"]
        rows.append([figures["seed"], figures["outcome"], figures["step"], figures["attempts"]])
        rows[-1] += [
            _number(figures["log_loss"], ".6g"),
            _number(row["normalized_margin"], ".4g"),
            _number(accuracy, ".4f"),
        ]
    tested = session.dataset.test_x.shape[0] > 0
    header = ["seed", "outcome", "step", "attempts", "log loss", "normalized margin"]
    header.append("test accuracy" if tested else "train accuracy")
    hidden = len(rows) - 12
    print(path)
    print_table(header, rows if hidden <= 0 else rows[:10])
    if hidden > 0:
        print(f"... and {len(rows) - 10} more seeds; run.json has them all")
    speed = sum(figures["attempts"] for figures in status["seeds"]) / max(status["loop_seconds"], 1e-9)
    print(
        f"{status['wall_seconds']:.1f} s, {status['compile_seconds']:.1f} s of it tracing and compiling; "
        f"{speed:,.0f} attempts/s in the loop over {len(rows)} seed{'s' * (len(rows) > 1)}"
    )
    print(f"next: wnexp plot '{path}'")


def report_pruning(runs: Mapping[Path, Sequence[Mapping[str, Any]]]) -> None:
    """Best test accuracy over the scores (without a test set, training accuracy), mean over seeds, by run and level."""
    for run, rows in runs.items():
        key = "test_accuracy" if "test_accuracy" in rows[0] else "train_accuracy"
        best: dict[tuple[float, float], dict[int, float]] = {}
        for row in rows:
            seeds = best.setdefault((row["log_loss"], row["percent"]), {})
            seeds[row["seed"]] = max(row[key], seeds.get(row["seed"], 0.0))
        percents = sorted({percent for _, percent in best})
        picked = percents if len(percents) <= _MOST_PERCENTS else percents[:: -(-len(percents) // _MOST_PERCENTS)]
        picked = picked if percents[-1] in picked else [*picked, percents[-1]]
        print(f"{shown(run)}: best {key.replace('_', ' ')} over the scores, mean over seeds, by percent removed")
        table = [
            [f"{level:g}", *(f"{_mean(best[level, percent].values()):.4f}" for percent in picked)]
            for level in sorted({level for level, _ in best}, reverse=True)
        ]
        print_table(["log loss", *(f"{percent:g} %" for percent in picked)], table)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output, in aligned plain text."""
    cells = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def report_sweep(summaries: Sequence[dict[str, Any]]) -> None:
    """The closing table of a sweep, one line a job, and below it why jobs failed."""
    print()
    print_table(RUN_COLUMNS, [_run_row(summary) for summary in summaries])
    failed = [summary for summary in summaries if summary["status"] == "failed"]
    elsewhere = sum(summary["status"] == ELSEWHERE for summary in summaries)
    parents = sorted({str(Path(shown(Path(summary["directory"]))).parent) for summary in summaries})
    if failed:
        print(f"{len(failed)} of {len(summaries)} jobs failed; the same command runs only those again:")
    for summary in failed:
        print(f"  {shown(Path(summary['directory']))}: {summary['error']}")
    if elsewhere:
        print(f"{elsewhere} of {len(summaries)} jobs are run by another command; the same command shows their end")
    print(f"next: wnexp plot {' '.join(parents)}")


def print_runs(root: Path) -> None:
    """One line for every run at or below `root`. Raises `UserError` if there is none."""
    runs = find_runs(root)
    if not runs:
        raise UserError(f"no runs at or under {root}; `wnexp train +norm=ewn` makes one")
    summaries = []
    for run in runs:
        try:
            summaries.append((read_status(run) or {}) | {"directory": str(run)})
        except UserError as error:
            summaries.append({"directory": str(run), "status": "unreadable run.json"})
            print(f"wnexp: {error}", file=sys.stderr)
    print_table(RUN_COLUMNS, [_run_row(summary) for summary in summaries])
    for summary in summaries:
        if summary.get("error"):
            print(f"  {shown(Path(summary['directory']))}: {summary['error']}")


def _run_row(summary: dict[str, Any]) -> list[Any]:
    figures = summary.get("seeds") or []
    outcomes = ", ".join(sorted({entry["outcome"] for entry in figures})) or "-"
    worst = max((entry["log_loss"] for entry in figures if entry["log_loss"] is not None), default=None)
    state = summary["status"]
    if state == "running" and not lock.is_held(Path(summary["directory"])):
        state = "stopped"  # killed; the same command resumes it
    return [
        shown(Path(summary["directory"])),
        "finished earlier" if summary.get("skipped") else state,
        len(figures),
        outcomes,
        summary.get("steps", "-"),
        _number(worst, ".6g"),
        f"{summary.get('wall_seconds', 0):.1f}",
    ]
