"""The theory held against runs: `CLAIMS`, measured on records, with verdicts."""

from collections.abc import Sequence
from os.path import commonpath
from typing import Any

from wnexp.runs.reader import Run
from wnexp.theory import hypothesis
from wnexp.theory.claims import CLAIMS
from wnexp.theory.hypothesis import FAILS, HOLDS, NOT_REACHED
from wnexp.theory.runs import TrainedRun, load

__all__ = ["CLAIMS", "FAILS", "HOLDS", "NOT_REACHED", "judge", "load_runs"]


def load_runs(runs: Sequence[Run]) -> list[TrainedRun]:
    """Read runs. Raises `UserError` where there are no records or they cannot be read."""
    return [load(run) for run in runs]


def judge(runs: Sequence[TrainedRun]) -> list[dict[str, Any]]:
    """One row for every claim and group of runs that it applies to, in the order of `CLAIMS`.

    Runs that differ in their data's seed alone are a group: the claim is judged on all of them at once.
    """
    groups: dict[Any, list[TrainedRun]] = {}
    for run in runs:
        key = sorted((name, repr(value)) for name, value in run.reopened.settings.items() if name != "data.seed")
        groups.setdefault(tuple(key), []).append(run)
    rows = []
    for name, claim in CLAIMS.items():
        for group in groups.values():
            if claim.applies(group[0]) and (evidence := claim.evidence(group, runs)) is not None:
                tolerance = claim.tolerance(group[0])
                verdict = hypothesis.judge(evidence, tolerance, claim.one_sided)
                rows.append(_row(name, group, tolerance) | verdict._asdict())
    return rows


def _row(name: str, group: Sequence[TrainedRun], tolerance: float) -> dict[str, Any]:
    claim, run = CLAIMS[name], group[0]
    return {
        "claim": name,
        "statement": claim.statement,
        "measured_as": claim.measured_as,
        "run": commonpath([one.directory for one in group]),
        "subject": run.label,
        "norm": run.norm,
        "normalizes": run.law.normalizes if run.law else None,
        "slope": run.law.slope if run.law else None,
        "against": claim.against,
        "one_sided": claim.one_sided,
        "degree": sum(run.trained_degrees.values()),
        "effective_degree": sum(law.power * run.trained_degrees[layer] for layer, law in run.laws.items()),
        "data_seeds": len(group),
        "reached": min(one.depth for one in group),
        "tolerance": tolerance,
        "reason": claim.reason,
    }
