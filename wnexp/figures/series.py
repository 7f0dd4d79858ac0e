"""Series: runs that differ in their seeds alone, with their tables joined, and what they are called."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wnexp.errors import UserError
from wnexp.figures.style import law_colour, look
from wnexp.runs.files import shown
from wnexp.runs.identity import digested, is_digest
from wnexp.runs.reader import Run
from wnexp.runs.status import Status

# A neuron counts as active when its weight norm is at least this share of the largest in its layer.
ACTIVE_RATIO = 0.25
# The tables that figures show, with the columns that they ask an absent one for.
_NEEDED = {
    "steps": ["seed", "step"],
    "neurons": ["seed", "step", "layer", "neuron", "direction"],
    "samples": ["seed", "step", "sample"],
    "plane": ["part", "label"],
    "pruning": ["seed"],
}

Tables = dict[str, pd.DataFrame]


@dataclass
class Series:
    """Runs that differ in their seeds alone."""

    config: dict[str, Any]
    runs: list[Tables]
    settings: dict[str, str]  # what tells this series from the others
    law: dict[str, Any] | None = None  # of the norm, as `run.json` has it
    look: dict[str, Any] = field(default_factory=dict)
    rule: dict[str, Any] = field(default_factory=dict)  # of the step rule, as `run.json` has it
    sources: list[Run] = field(default_factory=list)  # the runs themselves, for their weights
    _cache: Tables = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """A table's rows over all runs of the series; empty if none has it."""
        if name not in self._cache:
            frames: list[pd.DataFrame] = []
            seen: set[int] = set()
            for frame in [run[name] for run in self.runs if name in run]:
                if "seed" not in frame:  # tables without seeds are of one run
                    frames.append(frame)
                    break
                seeds = set(frame["seed"].unique())
                frames.append(frame if seen.isdisjoint(seeds) else frame[~frame["seed"].isin(seen)])  # runs may overlap
                seen |= seeds
            self._cache[name] = (
                pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=_NEEDED.get(name))
            )
        return self._cache[name]

    @property
    def label(self) -> str:
        """The settings that tell this series from the others."""
        return self.label_without("")

    def label_without(self, key: str) -> str:
        """The label without one of the settings."""
        parts = [f"{name.removesuffix('.name')}={value}" for name, value in self.settings.items() if name != key]
        return ", ".join(parts) or f"norm={self.norm}"

    @property
    def norm(self) -> str:
        """The option of the group norm."""
        return self.config["norm.name"]

    @cached_property
    def first_seed(self) -> int:
        """The seed that per-neuron figures show: neurons of different seeds have nothing in common but their number."""
        return int(self.table("steps")["seed"].min())

    @property
    def panel_title(self) -> str:
        """The title of a panel of the first seed."""
        return f"{self.label}, seed {self.first_seed}"

    def of_first_seed(self, name: str) -> pd.DataFrame:
        """A table's rows of the first seed."""
        table = self.table(name)
        return table[table["seed"] == self.first_seed]

    @property
    def seeds(self) -> int:
        """How many seeds the series has."""
        return self.table("steps")["seed"].nunique()

    def levels(self, reached: float, most: int) -> list[float]:
        """The log losses to look at, deepest last: the snapshots' as far as `reached`, else shares of the way there."""
        reached = max(reached, float(self.config["stop.log_loss"]))  # beyond the target every seed gets elsewhere
        asked = sorted({float(level) for level in self.config["snapshots"] or [] if level >= reached}, reverse=True)
        shares = [reached * share for share in (2 / 3, 5 / 6, 1)] if reached < 0 and np.isfinite(reached) else []
        return asked[-most:] or shares


def _say(line: str) -> None:
    print(f"wnexp: {line}", file=sys.stderr)


def load_series(
    directories: Sequence[Path], most: int | None = None, say: Callable[[str], None] = _say
) -> list[Series]:
    """Group run directories into series, labelled by what differs. Raises `UserError` if no run has records.

    What is recorded and saved on the way makes no other series; other code does.

    A run that cannot be read is left out, and of more than `most` series all but so many, spread over their order; each
    with a line to `say`, on standard error.
    """
    kept: dict[str, list[Run]] = {}
    for run in map(Run, directories):
        try:
            if "steps" not in run.tables:
                continue
            key = {name: value for name, value in _what(run).items() if not _changes_no_number(name)}
        except UserError as error:
            say(f"left out: {error}")
            continue
        kept.setdefault(json.dumps(key, sort_keys=True), []).append(run)
    if most is not None and len(kept) > most:
        say(f"{len(kept)} series of runs, {most} of them are drawn (--most N draws more)")
        keys = list(kept)
        kept = {keys[place]: kept[keys[place]] for place in np.linspace(0, len(keys) - 1, most).round().astype(int)}
    groups: dict[str, tuple[Status, list[Tables], list[Run]]] = {}
    for key, runs in kept.items():
        for run in runs:
            try:
                _, tables, sources = groups.setdefault(key, (run.status, [], []))
                tables.append(_tables(run))
                sources.append(run)
            except UserError as error:
                say(f"left out: {error}")
    groups = {key: group for key, group in groups.items() if group[1]}
    if not groups:
        more = f" and {len(directories) - 1} more" if len(directories) > 1 else ""
        raise UserError(f"{shown(Path(directories[0]))}{more}: no records to draw")
    configs = [_what(sources[0]) for *_, sources in groups.values()]
    names = telling_apart(configs)
    series = [
        Series(
            status.config,
            members,
            {name: _text(config.get(name)) for name in names},
            status.law,
            rule=status.rule,
            sources=sources,
        )
        for config, (status, members, sources) in zip(configs, groups.values(), strict=True)
    ]
    without = sum(bool(one.table("steps").reindex(columns=["margin"]).isna().to_numpy().all()) for one in series)
    if without:
        say(
            f"{without} of {len(series)} series have a loss that is no function of margins: their margins are not drawn"
        )
    series.sort(key=lambda one: (*_rank(one.law), *_natural(one.label)))
    distinct_norms = len({one.norm for one in series}) == len(series)
    for index, one in enumerate(series):
        colour = law_colour(one.law) if distinct_norms else None
        one.look = {"color": colour, "linestyle": "-"} if colour else look(index)
    return series


def _what(run: Run) -> dict[str, Any]:
    """The configuration and the code."""
    return run.config | {"code": run.status.code or "unknown"}


def _changes_no_number(name: str) -> bool:
    return name in ("seed", "seeds", "snapshots") or name.startswith("record.")


def _natural(label: str) -> list[tuple[float, str]]:
    """A key that sorts numbers in texts by their values."""
    parts = re.split(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)", label)
    return [(float(part), "") if place % 2 else (0.0, part) for place, part in enumerate(parts)]


def _rank(law: Mapping[str, Any] | None) -> tuple[bool, bool, float]:
    """Without normalization first, then from SWN to EWN, then what has no law."""
    return law is None, bool(law and law["normalizes"]), -law["slope"] if law else 0.0


def _tables(run: Run) -> Tables:
    """The tables of a run. Raises `UserError` for a file that cannot be read."""
    return {name: run.frame(name) for name in run.tables}


def telling_apart(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which configurations differ, the norm first, without those whose values follow from another's.

    A step rule or a target that an experiment sets by norm follows from the norm; whatever differs as the data set
    does follows from the data set; settings that differ as the step rule does, from it; a file's digest from its name.
    """
    names = sorted(name for name in {name for config in configs for name in config} if not _changes_no_number(name))
    differing = [name for name in names if len({_text(config.get(name)) for config in configs}) > 1]

    def follows(name: str) -> bool:
        sources = ["data.name"] if name.startswith(("data.", "model.", "loss.")) else ["data.name", "norm.name"]
        sources += ["optimizer.name"] if name.startswith(("optimizer.", "stop.")) and name != "optimizer.name" else []
        sources = [digested(name)] if is_digest(name) else sources
        sources = [source for source in sources if source in differing]
        pairs = {(*(_text(config.get(key)) for key in sources), _text(config.get(name))) for config in configs}
        return bool(sources) and len(pairs) == len({pair[:-1] for pair in pairs})

    kept = [name for name in differing if name in ("norm.name", "data.name", "code") or not follows(name)]
    return sorted(kept, key=lambda name: name != "norm.name")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
