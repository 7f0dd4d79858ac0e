"""The records of a run as the claims need them: one `Lane` of plain arrays a seed."""

# pandas' own annotations say `Series | DataFrame` wherever a column is picked.
# pyright: reportArgumentType=false, reportReturnType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wnexp import build, network, records
from wnexp import data as datasets
from wnexp.config import Config, UserError, as_dict, from_flat

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
class Lane:
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
class Run:
    """A run with records: what it was, and its seeds that have got anywhere."""

    directory: Path
    config: Config
    network: network.Network
    lanes: list[Lane]
    outcomes: dict[int, str]

    @property
    def norm(self) -> str:
        """none, swn or ewn."""
        return self.config.norm.name

    @property
    def is_flow(self) -> bool:
        """Whether it is gradient flow."""
        return self.config.optimizer.name == "flow"

    @property
    def trained_degrees(self) -> dict[int, int]:
        """Trained layer -> `k_l`."""
        layers = zip(self.network.degrees, self.network.trained, strict=True)
        return {index: degree for index, (degree, trained) in enumerate(layers) if trained}

    @property
    def label(self) -> str:
        """Data, network, loss and optimizer, short."""
        model, config = self.config.model, self.config
        kind = f"linear depth {len(self.network.layers)}" if model.activation == "linear" else model.activation
        data = "" if config.data.name == "gaussian" else f"{config.data.name}, "
        return f"{data}{kind}, {config.loss.name}, {config.optimizer.name}"

    @cached_property
    def reached(self) -> list[Lane]:
        """The seeds that separated the data and have more than a few records: those that claims are about."""
        return [lane for lane in self.lanes if lane.steps["margin"][-1] > 0 and lane.window(1.0).sum() >= 3]

    def powers(self, lane: Lane) -> dict[int, float]:
        """Trained layer -> the power of `tau` that its active neurons' norms grow with in the limit.

        `1/D` for none and SWN; under EWN `(k_l/m_l) / sum_l (k_l^2/m_l)`, `m_l` the active neurons of layer `l`.
        Empty where a layer has no active neuron.
        """
        degrees = self.trained_degrees
        if self.norm != "ewn":
            return dict.fromkeys(degrees, 1 / sum(degrees.values()))
        counts = {layer: int(lane.active[lane.layers == layer].sum()) for layer in degrees}
        if not all(counts.values()):
            return {}
        total = sum(k * k / counts[layer] for layer, k in degrees.items())
        return {layer: k / counts[layer] / total for layer, k in degrees.items()}

    def settled(self, lane: Lane) -> bool:
        """Whether every active neuron grows as the limit says, to 2 %: until then neurons still compete."""
        powers = self.powers(lane)
        expected = np.array([powers.get(int(layer), np.nan) for layer in lane.layers])
        found = np.abs(lane.growth / expected - 1) < _SETTLED
        return bool(lane.depth[-1] >= DEEP and found[lane.active].all())

    @property
    def depth(self) -> float:
        """How deep the shallowest of these seeds is, in nats; NaN without any."""
        return min((float(lane.depth[-1]) for lane in self.reached), default=np.nan)

    def partner(self, runs: Sequence["Run"], key: str, value: str, to_same_depth: bool = True) -> "Run | None":
        """The run that differs from this one in one key alone."""
        ignored = {key, *_IMMATERIAL} | (set() if to_same_depth else {"stop.log_loss", "stop.max_steps"})

        def identity(run: Run) -> dict[str, Any]:
            return {name: setting for name, setting in as_dict(run.config).items() if name not in ignored}

        wanted = identity(self)
        return next((run for run in runs if as_dict(run.config)[key] == value and identity(run) == wanted), None)

    def dataset(self) -> datasets.Dataset:
        """The data it was trained on."""
        return datasets.load(self.config.data)


def load(directory: Path) -> Run:
    """Read a run directory. Raises `UserError` where there are no records or they cannot be read."""
    status = records.read_status(directory)
    if status is None or not (directory / "steps.parquet").exists():
        raise UserError(f"{directory}: no records yet")
    try:
        steps = records.read_table(directory / "steps.parquet").to_pandas()
        columns = ["seed", "step", "layer", "neuron", "weight_norm", "log_gradient_norm", "alignment"]
        neurons = records.read_table(directory / "neurons.parquet").select(columns).to_pandas()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{directory}: records cannot be read ({str(error).splitlines()[0]})") from None
    config = from_flat(status["config"])
    architecture = build.build_network(config, datasets.load(config.data))
    lanes = [_lane(int(seed), rows, neurons[neurons["seed"] == seed]) for seed, rows in steps.groupby("seed")]
    outcomes = {entry["seed"]: entry["outcome"] for entry in status["seeds"]}
    return Run(directory, config, architecture, lanes, outcomes)


def _lane(seed: int, steps: pd.DataFrame, neurons: pd.DataFrame) -> Lane:
    steps = steps.sort_values("step")
    neurons = neurons[neurons["step"].isin(steps["step"])].sort_values(["step", "layer", "neuron"])
    records_count = len(steps)

    def table(column: str) -> np.ndarray:
        return neurons[column].to_numpy(float).reshape(records_count, -1)

    layers = neurons["layer"].to_numpy()[: len(neurons) // records_count]
    columns: dict[str, Any] = {name: steps[name].to_numpy() for name in steps.columns}
    return Lane(seed, columns, table("weight_norm"), table("log_gradient_norm"), table("alignment"), layers)
