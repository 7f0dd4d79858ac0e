"""The theory held against runs: `CLAIMS`, measured on records, with verdicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wnexp.theory.claims import CLAIMS
from wnexp.theory.fits import FAILS, HOLDS, NOT_REACHED
from wnexp.theory.runs import Run, load

__all__ = ["CLAIMS", "FAILS", "HOLDS", "NOT_REACHED", "judge", "load_runs"]


def load_runs(directories: Sequence[Path]) -> list[Run]:
    """Read run directories. Raises `UserError` where there are no records or they cannot be read."""
    return [load(directory) for directory in directories]


def judge(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row for every claim and run that it applies to, in the order of `CLAIMS`."""
    rows = []
    for name, claim in CLAIMS.items():
        for run in runs:
            tolerance = claim.tolerance(run)
            measurement = claim.measure(run, runs, tolerance) if run.norm in claim.norms else None
            if measurement is None:
                continue
            rows.append(
                {
                    "claim": name,
                    "statement": claim.statement,
                    "measured_as": claim.measured_as,
                    "run": str(run.directory),
                    "subject": run.label,
                    "norm": run.norm,
                    "degree": sum(run.trained_degrees.values()),
                    "seeds": len(run.reached),
                    "reached": run.depth,
                    **measurement._asdict(),
                    "tolerance": tolerance,
                    "reason": claim.reason,
                }
            )
    return rows
