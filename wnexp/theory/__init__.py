"""The theory held against runs: `CLAIMS`, measured on records, with verdicts."""

from collections.abc import Sequence
from typing import Any

from wnexp.runs.reader import Run
from wnexp.theory.claims import CLAIMS
from wnexp.theory.fits import FAILS, HOLDS, NOT_REACHED
from wnexp.theory.runs import TrainedRun, load

__all__ = ["CLAIMS", "FAILS", "HOLDS", "NOT_REACHED", "judge", "load_runs"]


def load_runs(runs: Sequence[Run]) -> list[TrainedRun]:
    """Read runs. Raises `UserError` where there are no records or they cannot be read."""
    return [load(run) for run in runs]


def judge(runs: Sequence[TrainedRun]) -> list[dict[str, Any]]:
    """One row for every claim and run that it applies to, in the order of `CLAIMS`."""
    rows = []
    for name, claim in CLAIMS.items():
        for run in runs:
            if not claim.applies(run):
                continue
            tolerance = claim.tolerance(run)
            measurement = claim.measure(run, runs, tolerance)
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
                    "normalizes": run.law.normalizes if run.law else None,
                    "slope": run.law.slope if run.law else None,
                    "against_degree": claim.against_degree,
                    "degree": sum(run.trained_degrees.values()),
                    "seeds": len(run.reached),
                    "reached": run.depth,
                    **measurement._asdict(),
                    "tolerance": tolerance,
                    "reason": claim.reason,
                }
            )
    return rows
