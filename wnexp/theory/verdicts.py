"""Runs -> verdicts: the rows, `verify.parquet`, and what was left out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from wnexp import theory
from wnexp.runs import reader
from wnexp.runs.files import shown, write_table
from wnexp.theory.optimizers import note_shares
from wnexp.theory.runs import TrainedRun


class Judged(NamedTuple):
    """What was found."""

    rows: list[dict[str, Any]]
    table: Path  # of verify.parquet
    notes: list[str]  # seeds left out, claims that do not apply


def verify(paths: Sequence[Path]) -> Judged:
    """Judge the runs at the paths; the table goes to the folder that they share. Raises `UserError`."""
    found = reader.load(paths)
    runs = theory.load_runs(found)
    for run in runs:
        note_shares(run)
    rows = theory.judge(runs)
    folder = Path(os.path.commonpath([run.directory for run in found]))
    for row in rows:
        row["name"] = os.path.relpath(row["run"], folder) if row["run"] != str(folder) else folder.name
    if rows:
        write_table(folder / "verify.parquet", pa.Table.from_pylist(rows))
    notes = [note for run in runs for note in _lost_seeds(run)]
    return Judged(rows=rows, table=folder / "verify.parquet", notes=notes + _inapplicable(runs))


def _lost_seeds(run: TrainedRun) -> list[str]:
    return [
        f"{shown(run.directory)} seed {seed.seed} {why}, log loss {seed.steps['log_loss'][-1]:.4g}; left out"
        for seed in run.seeds
        if (why := run.silent(seed))
    ]


def _inapplicable(runs: Sequence[TrainedRun]) -> list[str]:
    """The claims that are about none of the runs."""
    names = [name for name, claim in theory.CLAIMS.items() if not any(claim.applies(run) for run in runs)]
    return [f"claims that apply to none of these runs: {', '.join(names)}"] if names else []
