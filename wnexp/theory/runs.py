"""The records of a run as the claims need them: plain arrays of every seed."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.nn.network import Network
from wnexp.nn.weightnorm import Law
from wnexp.runner import Reopened, reopen
from wnexp.runs.reader import Run

_DECADE = 10.0
DEEP = 1000.0  # nats; powers read off before say nothing, statements about the limit are not refuted before
_SETTLED = 0.02
# What may differ between partners: how a run is recorded, and what experiments choose by the norm.
_IMMATERIAL = {
    *("seeds", "snapshots", "record.every", "record.points", "record.max_gradient", "record.max_samples"),
    *("optimizer.frac", "optimizer.step_size_cap"),
}
_ACTIVE_SHARE_OF_GROWTH = 2 / 3


@dataclass
class SeedRecords:
    """One seed: `r` records and `u` neurons of all trained layers side by side."""

    seed: int
    steps: dict[str, np.ndarray]  # columns of steps.parquet, each (r,)
    norms: np.ndarray  # (r, u), ||w_u||
    log_gradients: np.ndarray  # (r, u), log ||grad_u L||
    alignments: np.ndarray  # (r, u), cos(w_u, -grad_u L)
    layers: np.ndarray  # (u,)

    @property
    def depth(self) -> np.ndarray:
        """`tau = -log L` in nats, `(r,)`."""
        return -self.steps["log_loss"]

    def window(self, decades: float) -> np.ndarray:
        """The records of the last decades of `tau`, a mask `(r,)`."""
        return (self.depth >= self.depth[-1] / _DECADE**decades) & (self.depth > 1)

    @cached_property
    def growth(self) -> np.ndarray:
        """`d log ||w_u|| / d log tau` over the last decade, `(u,)`."""
        window = self.window(1.0)
        if window.sum() < 3:
            return np.zeros(self.norms.shape[1])
        log_norms = np.log(np.maximum(self.norms[window], np.finfo(float).tiny))
        return np.polyfit(np.log(self.depth[window]), log_norms, 1)[0]

    @cached_property
    def active(self) -> np.ndarray:
        """Neurons whose share of their layer's weight norm does not vanish, `(u,)`.

        Norms grow as powers of `tau`. A neuron is active when over the last decade its power is at least two thirds of
        the largest one of its layer: a smaller power loses its share, and the powers of neurons that stay are equal.
        """
        fastest = np.array([self.growth[self.layers == layer].max() for layer in self.layers])
        return (self.growth > 0) & (self.growth >= _ACTIVE_SHARE_OF_GROWTH * fastest)

    def shares(self) -> np.ndarray:
        """`||w_u|| ||grad_u L||` over the sum of `-w_v.grad_v L` of the neuron's layer, `(r, u)`.

        By Euler's theorem that sum is `k_l` times one number common to all layers.
        """
        pulls = np.exp(np.log(self.norms) + self.log_gradients - np.nanmax(self.log_gradients, axis=1, keepdims=True))
        pulls = np.nan_to_num(pulls)
        shares = np.empty_like(pulls)
        for layer in np.unique(self.layers):
            own = self.layers == layer
            euler = np.sum(pulls[:, own] * np.nan_to_num(self.alignments[:, own]), axis=1, keepdims=True)
            shares[:, own] = pulls[:, own] / euler
        return shares


@dataclass
class TrainedRun:
    """A run with records: what it was, and the records of its seeds."""

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
        """The option of the group norm, for display."""
        return self.config.names["norm"]

    @property
    def law(self) -> Law | None:
        """What the theory says of its norm."""
        return self.config.norm.law

    @property
    def has_limit_law(self) -> bool:
        """Whether its norm's law is the limit of infinite `P`, EWN's."""
        return self.law is not None and bool(np.isinf(self.law.power))

    @property
    def is_flow(self) -> bool:
        """Whether it is gradient flow."""
        return self.config.optimizer.is_flow

    @property
    def has_time(self) -> bool:
        """Whether the steps add up to a time."""
        return self.config.optimizer.has_time

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
        return [seed for seed in self.seeds if seed.steps["margin"][-1] > 0 and seed.window(1.0).sum() >= 3]

    def powers(self, seed: SeedRecords) -> dict[int, float]:
        """Trained layer -> the power of `tau` that its active neurons' norms grow with in the limit.

        `1/D` for a finite `P` of the norm's law; for EWN `(k_l/m_l) / sum_l (k_l^2/m_l)`, `m_l` the active neurons of
        layer `l`. Empty where a layer has no active neuron or the norm no law.
        """
        degrees = self.trained_degrees
        if self.law is None:
            return {}
        if not np.isinf(self.law.power):
            return dict.fromkeys(degrees, 1 / sum(degrees.values()))
        counts = {layer: int(seed.active[seed.layers == layer].sum()) for layer in degrees}
        if not all(counts.values()):
            return {}
        total = sum(k * k / counts[layer] for layer, k in degrees.items())
        return {layer: k / counts[layer] / total for layer, k in degrees.items()}

    def settled(self, seed: SeedRecords) -> bool:
        """Whether every active neuron grows as the limit says, to 2 %: until then neurons still compete."""
        powers = self.powers(seed)
        expected = np.array([powers.get(int(layer), np.nan) for layer in seed.layers])
        found = np.abs(seed.growth / expected - 1) < _SETTLED
        return bool(seed.depth[-1] >= DEEP and found[seed.active].all())

    @property
    def depth(self) -> float:
        """How deep the shallowest of these seeds is, in nats; NaN without any."""
        return min((float(seed.depth[-1]) for seed in self.reached), default=np.nan)

    def partners(self, runs: "Sequence[TrainedRun]", key: str, to_same_depth: bool = True) -> "list[TrainedRun]":
        """The runs that differ from this one in one setting alone."""
        ignored = {key, *_IMMATERIAL} | (set() if to_same_depth else {"stop.log_loss", "stop.max_steps"})

        def identity(run: TrainedRun) -> dict[str, Any]:
            return {name: setting for name, setting in run.reopened.settings.items() if name not in ignored}

        own, wanted = self.reopened.settings[key], identity(self)
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
    seeds = [_seed_records(int(seed), rows, neurons[neurons["seed"] == seed]) for seed, rows in steps.groupby("seed")]
    outcomes = {entry["seed"]: entry["outcome"] for entry in run.status.seeds}
    return TrainedRun(run, reopen(run), seeds, outcomes)


def _seed_records(seed: int, steps: pd.DataFrame, neurons: pd.DataFrame) -> SeedRecords:
    steps = steps.sort_values("step")
    neurons = neurons[neurons["step"].isin(steps["step"])].sort_values(["step", "layer", "neuron"])
    records_count = len(steps)

    def table(column: str) -> np.ndarray:
        return neurons[column].to_numpy(float).reshape(records_count, -1)

    layers = neurons["layer"].to_numpy()[: len(neurons) // records_count]
    columns: dict[str, Any] = {name: steps[name].to_numpy() for name in steps.columns}
    return SeedRecords(seed, columns, table("weight_norm"), table("log_gradient_norm"), table("alignment"), layers)
