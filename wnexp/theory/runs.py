"""Runs as the claims need them: what a run was, and the records of its seeds."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.nn.law import Law
from wnexp.nn.losses import MarginLoss
from wnexp.nn.network import Network
from wnexp.nn.weightnorm import NORMS
from wnexp.runner import Reopened, reopen
from wnexp.runs.reader import Run
from wnexp.settings import settings
from wnexp.theory.seeds import SeedRecords, of_whole_layers

# What may differ between partners: how a run is recorded, and what experiments choose by the norm.
_IMMATERIAL = {
    *("seeds", "snapshots", "record.every", "record.points", "record.max_gradient", "record.max_samples"),
    *("optimizer.frac", "optimizer.step_size_cap"),
}
_FEWEST_RECORDS = 3


@dataclass
class TrainedRun:
    """A run with records."""

    run: Run
    reopened: Reopened
    seeds: list[SeedRecords]
    outcomes: dict[int, str]

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self.run.directory

    @property
    def config(self) -> Any:
        """Its configuration in objects."""
        return self.reopened.config

    @property
    def network(self) -> Network:
        """Its network."""
        return self.reopened.network

    @property
    def dataset(self) -> Dataset:
        """The data it was trained on."""
        return self.reopened.dataset

    @property
    def norm(self) -> str:
        """The option of the group norm, for display, with its settings that differ from the defaults."""
        option = self.config.names["norm"]
        prototype, own = NORMS.get(option, self.config.norm), settings(self.config.norm)
        other = [name for name, one in own.items() if name != option and one.value != getattr(prototype, name)]
        words = [f"{name}={own[name].value}" for name in other]
        return " ".join([f"{option}={own[option].value}" if option in own else option, *words])

    @cached_property
    def laws(self) -> dict[int, Law]:
        """Trained layer -> what the theory says of its normalization; empty where it says nothing of one, where the
        rule is not descent along the gradient, and where the loss does not fall exponentially."""
        descends = self.geometry_of_rule == "l2" and not self.config.optimizer.varied
        if not descends or not self.config.loss.falls_exponentially:
            return {}
        norms = self.config.norm.by_layer(len(self.network.layers))
        found = {layer: norms[layer].law for layer in self.trained_degrees}
        return {} if None in found.values() else found

    @property
    def law(self) -> Law | None:
        """The law of all layers; None where they differ."""
        distinct = set(self.laws.values())
        return distinct.pop() if len(distinct) == 1 else None

    @property
    def has_limit_law(self) -> bool:
        """Whether a layer's law is the limit of infinite `P`, EWN's."""
        return any(math.isinf(law.power) for law in self.laws.values())

    @property
    def in_family(self) -> bool:
        """Whether a layer's law lies between SWN's and EWN's, or before SWN's."""
        return any(law.power != 1 and not math.isinf(law.power) for law in self.laws.values())

    def units(self, layer: int) -> int:
        """How many scales a layer has: one for every neuron, or one."""
        norm = self.config.norm.by_layer(len(self.network.layers))[layer]
        whole = norm.per == "layer" and not norm.is_identity
        return 1 if whole else self.network.layers[layer].shape[-1]

    @property
    def is_flow(self) -> bool:
        """Whether it is gradient flow."""
        return self.config.optimizer.is_flow

    @property
    def has_time(self) -> bool:
        """Whether the steps add up to a time."""
        return self.config.optimizer.has_time

    @property
    def geometry_of_rule(self) -> str | None:
        """The norm whose margin the step rule maximizes."""
        return self.config.optimizer.geometry

    @cached_property
    def geometry(self) -> pd.DataFrame:
        """`geometry.parquet`."""
        return self.run.frame("geometry")

    @property
    def trained_degrees(self) -> dict[int, int]:
        """Trained layer -> `k_l`."""
        layers = zip(self.network.degrees, self.network.trained, strict=True)
        return {index: degree for index, (degree, trained) in enumerate(layers) if trained}

    @property
    def label(self) -> str:
        """Data, network, loss and optimizer, short."""
        names = self.config.names
        activation = getattr(self.config.model, "activation", names["model"])
        kind = f"linear depth {len(self.network.layers)}" if activation == "linear" else activation
        data = "" if names["data"] == "gaussian" else f"{names['data']}, "
        return f"{data}{kind}, {names['loss']}, {names['optimizer']}"

    @cached_property
    def reached(self) -> list[SeedRecords]:
        """The seeds that separated the data and have more than a few records: those that claims are about."""
        return [seed for seed in self.seeds if self.silent(seed) is None]

    def silent(self, seed: SeedRecords) -> str | None:
        """Why no claim is about a seed; None if claims are."""
        if not isinstance(self.config.loss, MarginLoss):
            return "its loss is no function of margins"
        if not np.isfinite(seed.steps["margin"][-1]) or not np.isfinite(seed.depth[-1]):
            return f"not finite ({self.outcomes.get(seed.seed)})"
        if seed.steps["margin"][-1] <= 0:
            return f"does not separate its data ({self.outcomes.get(seed.seed)})"
        if seed.window(1.0).sum() < _FEWEST_RECORDS:
            return f"fewer than {_FEWEST_RECORDS} records in its last decade"
        return None

    @property
    def depth(self) -> float:
        """How deep the shallowest of these seeds is, in nats; NaN without any."""
        return min((float(seed.depth[-1]) for seed in self.reached), default=np.nan)

    def partners(self, runs: "Sequence[TrainedRun]", key: str, to_same_depth: bool = True) -> "list[TrainedRun]":
        """The runs that differ from this one in one setting alone."""
        ignored = {key, *_IMMATERIAL} | (set() if to_same_depth else {"stop.log_loss", "stop.max_steps"})

        def identity(run: TrainedRun) -> dict[str, Any]:
            return {name: setting for name, setting in run.reopened.settings.items() if name not in ignored}

        own, wanted = self.reopened.settings.get(key), identity(self)
        return [run for run in runs if run.reopened.settings.get(key, own) != own and identity(run) == wanted]


def load(run: Run) -> TrainedRun:
    """Read a run. Raises `UserError` where there are no records or they cannot be read."""
    if "steps" not in run.tables:
        raise UserError(f"{run.directory}: no records yet")
    columns = ["seed", "step", "layer", "neuron", "weight_norm", "log_gradient_norm", "alignment"]
    try:
        steps, neurons = run.frame("steps"), run.frame("neurons")[columns]
    except KeyError as error:
        raise UserError(f"{run.directory}: records cannot be read ({str(error).splitlines()[0]})") from None
    outcomes, reopened = {entry["seed"]: entry["outcome"] for entry in run.status.seeds}, reopen(run)
    degrees = np.array(reopened.network.degrees)
    norms = reopened.config.norm.by_layer(len(degrees))
    whole = [layer for layer, norm in enumerate(norms) if norm.per == "layer" and not norm.is_identity]
    seeds = [
        of_whole_layers(_seed_records(int(seed), rows, neurons[neurons["seed"] == seed], degrees), whole)
        for seed, rows in steps.groupby("seed")
    ]
    return TrainedRun(run, reopened, seeds, outcomes)


def _seed_records(seed: int, steps: pd.DataFrame, neurons: pd.DataFrame, degrees: np.ndarray) -> SeedRecords:
    steps = steps.sort_values("step")
    neurons = neurons[neurons["step"].isin(steps["step"])].sort_values(["step", "layer", "neuron"])
    records_count = len(steps)

    def table(column: str) -> np.ndarray:
        return neurons[column].to_numpy(float).reshape(records_count, -1)

    layers = neurons["layer"].to_numpy()[: len(neurons) // records_count]
    columns: dict[str, Any] = {name: steps[name].to_numpy() for name in steps.columns}
    return SeedRecords(
        seed=seed,
        steps=columns,
        norms=table("weight_norm"),
        log_gradients=table("log_gradient_norm"),
        alignments=table("alignment"),
        layers=layers,
        degrees=degrees[layers],
    )
