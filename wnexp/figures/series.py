"""Series: runs that differ in their seeds alone, with their tables joined, and what they are called."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wnexp.errors import UserError
from wnexp.figures.looks import give_looks, natural
from wnexp.runs.differences import identity_text, telling_apart, text, what_made
from wnexp.runs.files import shown
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
        return self.label_without()

    def label_without(self, *keys: str) -> str:
        """The label without some of the settings."""
        parts = [f"{name.removesuffix('.name')}={value}" for name, value in self.settings.items() if name not in keys]
        return ", ".join(parts) or f"norm={self.norm}"

    @property
    def made_by(self) -> dict[str, Any]:
        """The configuration and the code."""
        return what_made(self.sources[0]) if self.sources else self.config

    def value(self, key: str) -> str:
        """A setting's value as text."""
        return text(self.made_by.get(key))

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
    directories: Sequence[Path | Run], most: int | None = None, say: Callable[[str], None] = _say
) -> list[Series]:
    """Group runs into series, labelled by what differs. Raises `UserError` if no run has records.

    What is recorded and saved on the way makes no other series; other code does.

    A run that cannot be read is left out, and of more than `most` series all but so many, spread over their order; each
    with a line to `say`, on standard error.
    """
    kept: dict[str, list[Run]] = {}
    everything = [one if isinstance(one, Run) else Run(one) for one in directories]
    for run in everything:
        try:
            if "steps" not in run.tables:
                continue
            key = identity_text(run)
        except UserError as error:
            say(f"left out: {error}")
            continue
        kept.setdefault(key, []).append(run)
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
        more = f" and {len(everything) - 1} more" if len(everything) > 1 else ""
        raise UserError(f"{shown(everything[0].directory)}{more}: no records to draw")
    configs = [what_made(sources[0]) for *_, sources in groups.values()]
    names = telling_apart(configs)
    series = [
        Series(
            status.config,
            members,
            {name: text(config.get(name)) for name in names},
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
    series.sort(key=lambda one: (*_rank(one.law), *natural(one.label)))
    give_looks(series)
    return series


def _rank(law: Mapping[str, Any] | None) -> tuple[bool, bool, float]:
    """Without normalization first, then from SWN to EWN, then what has no law."""
    return law is None, bool(law and law["normalizes"]), -law["slope"] if law else 0.0


def _tables(run: Run) -> Tables:
    """The tables of a run. Raises `UserError` for a file that cannot be read."""
    return {name: run.frame(name) for name in run.tables}
