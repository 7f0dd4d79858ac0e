"""What the user sees: a run as it goes on, the closing tables, the list of runs, verdicts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wnexp.cli.progress import Bar
from wnexp.cli.tables import number, print_listing, print_table
from wnexp.runner import Listener, LiveRun
from wnexp.runs.code import fingerprint
from wnexp.runs.files import shown
from wnexp.runs.listing import STANDARD, listing
from wnexp.runs.reader import Run

_MOST_PERCENTS = 10


class TrainListener(Listener):
    """A bar of the log loss of the slowest seed on its way to the target; then the closing table."""

    def __init__(self):
        self.was_skipped = False
        self._bar = Bar()
        self._start: float | None = None

    def __enter__(self) -> "TrainListener":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.__exit__(*exception)

    def skipped(self, directory: Path) -> None:
        self.was_skipped = True
        by = "" if Run(directory).status.code == fingerprint() else " by other code"
        print(f"{shown(directory)}: finished earlier{by}, not run again (overwrite=true runs it again)")

    def started(self, run: LiveRun) -> None:
        for note in [*run.session.notes, *run.records.notes]:
            print(f"note: {note}")

    def chunk(self, run: LiveRun) -> None:
        finite = [figures for figures in run.session.seed_figures() if figures["log_loss"] is not None]
        if not finite:
            return
        figures, target = max(finite, key=lambda figures: figures["log_loss"]), run.session.target
        start = self._start = figures["log_loss"] if self._start is None else self._start
        words = [
            f"log loss {figures['log_loss']:.2f} of {target:g}",
            f"step {figures['step']}",
            f"step size {number(figures['step_size'], '.2g')}",
        ]
        words += [f"margin {margin:.4g}"] if not math.isnan(margin := run.session.last_margin()) else []
        self._bar.show((start - figures["log_loss"]) / max(start - target, 1e-9), words)

    def finished(self, run: LiveRun) -> None:
        self._bar.__exit__(None, None, None)
        report_run(run)


def report_run(run: LiveRun) -> None:
    """The closing table: the last row of every seed (a summary by outcome for many seeds), and what to type next."""
    status, path = run.status, shown(run.directory)
    last = {row["seed"]: row for row in run.records.table("steps").to_pylist()}
    columns = _columns(list(last.values()))
    rows = [
        [figures["seed"], figures["outcome"], figures["step"], figures["attempts"], number(figures["log_loss"], ".6g")]
        + [number(last[figures["seed"]][name], form) for name, form in columns.items()]
        for figures in status.seeds
    ]
    header = ["seed", "outcome", "step", "attempts", "log loss", *(name.replace("_", " ") for name in columns)]
    hidden = len(rows) - 12
    print(path)
    print_table(header, rows if hidden <= 0 else rows[:10])
    if hidden > 0:
        print(f"... and {len(rows) - 10} more seeds; run.json has them all")
    speed = sum(figures["attempts"] for figures in status.seeds) / max(status.loop_seconds, 1e-9)
    print(
        f"{status.wall_seconds:.1f} s, {status.compile_seconds:.1f} s of it tracing and compiling; "
        f"{speed:,.0f} attempts/s in the loop over {len(rows)} seed{'s' * (len(rows) > 1)}"
    )
    for line in _advice(status.seeds, run.session.rule.when_stalled(run.session.program.metrics)):
        print(f"advice: {line}")
    print(f"next: wnexp plot '{path}'")


_SHOWN = (
    {"normalized_margin": ".4g", "weight_norm": ".4g"},
    {"test_accuracy": ".4f", "train_accuracy": ".4f", "log_test_loss": ".6g"},
)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The columns of the closing table and their formats: of each kind the first one that these runs have."""
    has = [{name: form for name, form in kind.items() if any(row[name] is not None for row in rows)} for kind in _SHOWN]
    return dict(next(iter(kind.items())) for kind in has if kind)


def _advice(seeds: Sequence[Mapping[str, Any]], when_stalled: str) -> list[str]:
    """What to try where seeds have got nowhere."""
    lost = sum(figures["outcome"] == "non_finite" for figures in seeds)
    dead = sum(figures["outcome"] == "step_underflow" and figures["step"] == 0 for figures in seeds)
    stalled = sum(figures["outcome"] == "step_underflow" and figures["step"] > 0 for figures in seeds)
    advice = {
        f"{lost} of {len(seeds)} seeds: the loss is no number any more; "
        "scale the inputs or take a smaller optimizer.step_size": lost,
        f"{dead} of {len(seeds)} seeds: no first step lowers the loss, the network is dead or saturated; "
        "scale the inputs or take other initial weights (seed, model.init)": dead,
        f"{stalled} of {len(seeds)} seeds: steps have become too small to get anywhere; {when_stalled}": stalled
        * bool(when_stalled),
    }
    return [line for line, count in advice.items() if count]


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


def report_sweep(reports: Sequence[Mapping[str, Any]]) -> None:
    """The closing table of a sweep, one line per job, read from the run directories, and below it why jobs failed."""
    print()
    listed = listing([Run(Path(report["directory"])) for report in reports], STANDARD).rows
    of_run = {row["run"]: row for row in listed}
    rows = [dict(of_run[shown(Path(report["directory"]))]) for report in reports]  # jobs may share a directory
    for row, report in zip(rows, reports, strict=True):
        state = "running elsewhere" if "elsewhere" in report else "finished earlier" if report.get("skipped") else None
        row["status"] = "failed" if "error" in report else state or row["status"]
    print_listing(rows, STANDARD)
    failed = [report for report in reports if "error" in report]
    elsewhere = sum("elsewhere" in report for report in reports)
    if failed:
        print(f"{len(failed)} of {len(reports)} jobs failed; mended, the same command leaves the others as they are:")
    for report in failed:
        print(f"  {shown(Path(report['directory']))}: {report['error']}")
    if elsewhere:
        print(f"{elsewhere} of {len(reports)} jobs are run by another command; the same command shows their end")
    parents = sorted({str(Path(shown(Path(report["directory"]))).parent) for report in reports})
    print(f"next: wnexp plot {' '.join(parents)}")


def report_verdicts(judged: Any) -> None:
    """One line for every claim, norm, tolerance and verdict, then whatever does not hold, run by run, and what was left
    out."""
    groups: dict[tuple[str, str, float, str], list[dict[str, Any]]] = {}
    for row in judged.rows:
        groups.setdefault((row["claim"], row["norm"], row["tolerance"], row["verdict"]), []).append(row)
    table = []
    for claim, norm, tolerance, verdict in sorted(groups, key=lambda key: list(groups).index(_first(groups, key))):
        members = groups[claim, norm, tolerance, verdict]
        errors = [_error(row) for row in members if row["used"]]
        worst, used = f"{max(errors):.2g}" if errors else "-", sum(row["used"] for row in members)
        seeds = f"{used} of {used + sum(row['left_out'] for row in members)}"
        runs = len({row["name"] for row in members})
        table.append([claim, norm, members[0]["measured_as"], verdict, runs, worst, f"{tolerance:g}", seeds])
    print_table(["claim", "norm", "measured", "verdict", "runs", "largest error", "tolerance", "seeds"], table)
    rest = [row for row in judged.rows if row["verdict"] != "holds"]
    if rest:
        print()
        header = ["claim", "norm", "run", "predicted", "from", "to", "tolerance", "seeds", "verdict"]
        print_table(header, [_verdict(row) for row in rest])
    for note in judged.notes:
        print(f"note: {note}")


def _first(groups: Mapping[tuple[str, str, float, str], Any], key: tuple[str, str, float, str]) -> Any:
    """The first group of the same claim, norm and tolerance: its verdicts stand together."""
    return next(other for other in groups if other[:3] == key[:3])


def _error(row: Mapping[str, Any]) -> float:
    above = row["high"] - row["predicted"]
    return above if row["one_sided"] else max(above, row["predicted"] - row["low"])


def _verdict(row: Mapping[str, Any]) -> list[str]:
    numbers = [f"{row[key]:.4g}" if row["used"] else "-" for key in ("predicted", "low", "high")]
    verdict = [row["verdict"]]
    if row["needed_low"] == row["needed_low"]:
        verdict.append(f"needs {row['needed_low']:.0e} to {row['needed_high']:.0e} nats")
    if row["reasons"]:
        verdict.append(f"left out: {row['reasons']}")
    seeds = f"{row['used']} of {row['used'] + row['left_out']}"
    return [row["claim"], row["norm"], row["name"], *numbers, f"{row['tolerance']:g}", seeds, "; ".join(verdict)]
