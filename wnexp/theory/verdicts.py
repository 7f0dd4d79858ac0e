"""`wnexp verify`: runs -> verdicts -> the table on the terminal, `verify.parquet`, one figure a claim."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from wnexp import records, theory
from wnexp.report import print_table, shown

_FAR = 1e12  # nats


def verify(paths: Sequence[Path], deep: bool = False) -> int:
    """Judge the runs at `paths`, or the standing battery. Returns 1 if a claim fails. Raises `UserError`."""
    folder = Path("outputs") / ("verify-deep" if deep else "verify")
    if paths:
        directories = records.runs_at(paths)
        folder = Path(os.path.commonpath(directories))
    else:
        _train_battery(folder, deep)
        directories = records.find_runs(folder)
    runs = theory.load_runs(directories)
    rows = theory.judge(runs)
    records.write_table(folder / "verify.parquet", pa.Table.from_pylist(rows))
    _print(rows)
    for run in runs:
        _print_lost_seeds(run)
    from wnexp.figures import claims

    for path in claims.draw(folder / "verify.parquet", folder / "figures"):
        print(path)
    return int(any(row["verdict"] == theory.FAILS for row in rows))


def _train_battery(folder: Path, deep: bool) -> None:
    from wnexp.theory import battery

    folder.mkdir(parents=True, exist_ok=True)
    for done, total, name in battery.run(folder, deep):
        if sys.stderr.isatty():
            print(f"\r\033[K{done}/{total} {name}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    """One line for every claim and norm, then whatever does not hold, run by run."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["claim"], row["norm"]), []).append(row)
    table = []
    for (claim, norm), members in groups.items():
        errors = [abs(row["measured"] - row["predicted"]) for row in members if row["measured"] == row["measured"]]
        counts = Counter(row["verdict"] for row in members)
        verdicts = ", ".join(f"{verdict} {counts[verdict]}" for verdict in counts)
        worst = f"{max(errors):.2g}" if errors else "-"
        table.append([claim, norm, members[0]["measured_as"], worst, f"{members[0]['tolerance']:g}", verdicts])
    print_table(["claim", "norm", "measured", "largest error", "tolerance", "verdicts"], table)
    rest = [row for row in rows if row["verdict"] != theory.HOLDS]
    if rest:
        print()
        print_table(
            ["claim", "norm", "run", "predicted", "measured", "verdict"],
            [
                [row["claim"], row["norm"], row["subject"], f"{row['predicted']:.4g}", _measured(row), _verdict(row)]
                for row in rest
            ],
        )


def _measured(row: dict[str, Any]) -> str:
    return f"{row['measured']:.4g} ± {row['uncertainty']:.1g}" if row["measured"] == row["measured"] else "-"


def _verdict(row: dict[str, Any]) -> str:
    needed = row["needed"]
    if needed != needed:
        return row["verdict"]
    return f"{row['verdict']}, needs about {needed:.0e} nats" if needed < _FAR else f"{row['verdict']}, far away"


def _print_lost_seeds(run: theory.Run) -> None:
    lost = [lane for lane in run.lanes if lane.steps["margin"][-1] <= 0]
    for lane in lost:
        print(
            f"note: {shown(run.directory)} seed {lane.seed} does not separate its data: {run.outcomes.get(lane.seed)} "
            f"at log loss {lane.steps['log_loss'][-1]:.4g}; left out"
        )
