"""What would be wrong if the theory were: runs trained with patched code, and doctored records.

Every falsification acts on runs, never on what judges them. `python -m tests.theory.characteristics` counts how often
the claims catch each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from wnexp.nn.weightnorm import ExponentialWeightNorm as EWN
from wnexp.nn.weightnorm import StandardWeightNorm as SWN
from wnexp.nn.weightnorm import Unnormalized as NONE
from wnexp.nn.weightnorm import neuron_norms, polar_metric
from wnexp.runs.reader import Run
from wnexp.theory import battery, reference
from wnexp.theory.runs import TrainedRun
from wnexp.theory.seeds import SeedRecords

FIVE_DEGREES = np.deg2rad(5)
_NOISE = 0.01


@dataclass(frozen=True)
class Falsification:
    """Doctored records where there are no `patches` and no `overrides`; else runs of its own, trained with them."""

    claims: tuple[str, ...]  # those that must not hold
    doctor: Callable[[SeedRecords], SeedRecords] = lambda seed: seed
    turned: bool = False  # whether the weights at snapshots are turned by five degrees
    patches: dict[tuple[type, str], Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()  # not on record
    norms: tuple[str, ...] = ("none", "swn", "power", "ewn")
    losses: tuple[str, ...] = ("exponential", "cross_entropy")  # of records
    networks: tuple[str, ...] = ("linear2", "linear3", "relu_squared")  # of runs of its own

    @property
    def trains(self) -> bool:
        """Whether it has runs of its own."""
        return bool(self.patches or self.overrides)


def with_steps(seed: SeedRecords, **columns: np.ndarray) -> SeedRecords:
    """The seed with other columns of steps.parquet."""
    return replace(seed, steps=seed.steps | columns)


def other_exponent(by: float, seed: SeedRecords) -> SeedRecords:
    """`-log L - log t` with another power of `log t`."""
    tau = np.maximum(seed.depth, 1.0)
    return with_steps(seed, log_time=seed.steps["log_time"] + by * np.log(tau))


def other_growth(seed: SeedRecords) -> SeedRecords:
    """A weight norm with another power of `log t`."""
    return with_steps(seed, weight_norm=seed.steps["weight_norm"] * np.maximum(seed.depth, 1.0) ** 0.05)


def other_time(seed: SeedRecords) -> SeedRecords:
    """All steps 30 % larger than recorded."""
    return with_steps(seed, log_time=seed.steps["log_time"] + np.log(1.3))


def other_slope(seed: SeedRecords) -> SeedRecords:
    """`||grad_u L||` times `||w_u||^0.1`, over what keeps the Euler sum of every layer as it is."""
    factors = seed.norms**0.1
    pulls = seed.norms * seed.gradients * seed.cosines
    for layer in np.unique(seed.layers):
        own = seed.layers == layer
        factors[:, own] *= (pulls[:, own].sum(axis=1) / (pulls * factors)[:, own].sum(axis=1))[:, None]
    return replace(seed, log_gradients=seed.log_gradients + np.log(factors))


def stopped(seed: SeedRecords) -> SeedRecords:
    """Neurons 5 degrees further from their gradients, whose part along them stays, and the whole direction likewise."""
    cosines = np.cos(np.hypot(np.arccos(np.clip(seed.alignments, -1, 1)), FIVE_DEGREES))
    longer = np.log(np.abs(seed.alignments / cosines))
    epsilon = np.hypot(seed.steps["kkt_epsilon"], FIVE_DEGREES)
    doctored = with_steps(seed, kkt_epsilon=epsilon)
    return replace(doctored, alignments=cosines, log_gradients=seed.log_gradients + longer)


def leaking(seed: SeedRecords) -> SeedRecords:
    """A first layer that grows by 1e-4 too much in the course of the run."""
    course = np.log(np.maximum(seed.depth, 1)) / np.log(seed.depth[-1])
    return replace(seed, norms=np.where(seed.layers == seed.layers.min(), 1 + 1e-4 * course[:, None], 1) * seed.norms)


def dropping(seed: SeedRecords) -> SeedRecords:
    """A smoothed margin that drops by 1e-3 late."""
    late = seed.depth > 0.5 * seed.depth[-1]
    return with_steps(seed, smoothed_margin=seed.steps["smoothed_margin"] * np.where(late, 1 - 1e-3, 1))


def noisy(seed: SeedRecords) -> SeedRecords:
    """Records with independent noise of 1 %."""
    rng = np.random.default_rng(seed.seed)

    def noise(array):
        return _NOISE * rng.standard_normal(np.shape(array))

    factors = ("margin", "weight_norm", "smoothed_margin", "kkt_epsilon", "kkt_delta")
    columns: dict[str, Any] = {name: seed.steps[name] * (1 + noise(seed.steps[name])) for name in factors}
    columns["log_time"] = seed.steps["log_time"] + noise(seed.depth)
    return replace(
        with_steps(seed, **columns),
        norms=seed.norms * (1 + noise(seed.norms)),
        log_gradients=seed.log_gradients + noise(seed.norms),
    )


def all_wrong(seed: SeedRecords) -> SeedRecords:
    """Everything above that is not noise, in one seed of three."""
    if seed.seed % 3 != 1:
        return seed
    for change in (partial(other_exponent, 0.1), other_slope, stopped, leaking, dropping):
        seed = change(seed)
    return seed


def radial_part(weight, vectors):
    """The part of every neuron's vector along its weights."""
    return polar_metric(weight, vectors, math.inf, 1.0)


def standard(self, weight, gradient):
    """SWN's metric, whatever the norm."""
    return polar_metric(weight, gradient, self.v_norm, 1.0)


def slow_to_turn(self, weight, gradient):
    """SWN whose directions turn with `||w_u||` instead of its square."""
    radial = radial_part(weight, gradient)
    return radial + neuron_norms(weight) * (gradient - radial)


def doubled_radial(metric):
    """A norm whose scales move twice as fast."""

    def doubled(self, weight, gradient):
        once = metric(self, weight, gradient)
        return once + radial_part(weight, once)

    return doubled


FALSIFICATIONS: dict[str, Falsification] = {
    "EWN with SWN's metric": Falsification(
        ("C1", "C10", "C11", "C13"), patches={(EWN, "metric"): standard}, norms=("ewn",)
    ),
    "SWN with no norm's metric": Falsification(("C13",), patches={(SWN, "metric"): NONE.metric}, norms=("swn",)),
    "no norm with SWN's metric": Falsification(("C13",), overrides=("norm=swn",), norms=("none",)),
    "SWN on record as EWN": Falsification(("C5", "C6", "C10", "C13"), overrides=("norm=swn",), norms=("ewn",)),
    "SWN turns with its norm": Falsification(("C13",), patches={(SWN, "metric"): slow_to_turn}, norms=("swn",)),
    "SWN, radial rate doubled": Falsification(
        ("C13",), patches={(SWN, "metric"): doubled_radial(SWN.metric)}, norms=("swn",)
    ),
    "EWN, radial rate doubled": Falsification(
        ("C13",), patches={(EWN, "metric"): doubled_radial(EWN.metric)}, norms=("ewn",)
    ),
    "ReLU squared on record as ReLU": Falsification(
        ("C6", "C10"), overrides=("model.activation=relu_squared",), networks=("relu",), norms=("none", "swn")
    ),
    "descent on record as flow": Falsification(
        ("C10", "C13"),
        overrides=(*battery.DESCENT, "optimizer.factor=1.01", "stop.log_loss=-10000"),
        norms=("none", "ewn"),
        networks=("linear2", "relu_squared"),
    ),
    "exponent off by 0.02": Falsification(("C6", "P1"), partial(other_exponent, 0.02)),
    "exponent off by 0.1": Falsification(("C6", "P1"), partial(other_exponent, 0.1)),
    "exponent off by 0.1 under one loss": Falsification(
        ("C12",), partial(other_exponent, 0.1), losses=("exponential",)
    ),
    "growth off by 0.05": Falsification(("C7", "P4"), other_growth),
    "time off by 30 %": Falsification(("C13", "C14"), other_time),
    "slope off by 0.1": Falsification(("C3", "C4", "P2"), other_slope),
    "alignment stopped at 5 degrees": Falsification(("C2", "C9", "P3", "SVM", "margin"), stopped, turned=True),
    "conservation broken by 1e-4": Falsification(("C10",), leaking),
    "margin drops by 1e-3": Falsification(("C8",), dropping),
    "noise of 1 %": Falsification(("C8", "C10", "C13"), noisy),
    "one seed of three wrong": Falsification(("C2", "C6", "C8", "C10"), all_wrong),
}


@dataclass(frozen=True, kw_only=True)
class TurnedRun(Run):
    """A run whose first layer looks at inputs turned by five degrees, away from the hard margin's normal."""

    normal: np.ndarray  # (d,)

    def weights(self, seed, name):
        """The weights, turned."""
        found = super().weights(seed, name)
        if found is None:
            return None
        first = min(found)
        weight = np.array(found[first])
        across = np.eye(len(weight))[np.argmin(np.abs(self.normal))]
        across = across - (across @ self.normal) * self.normal
        plane = np.stack([self.normal, across / np.linalg.norm(across)])
        cosine, sine = np.cos(FIVE_DEGREES), np.sin(FIVE_DEGREES)
        turn = np.array([[cosine, -sine], [sine, cosine]]) - np.eye(2)
        return {**found, first: weight + plane.T @ (turn @ (plane @ weight))}


def concerns(what: Falsification, run: TrainedRun) -> bool:
    """Whether a falsification of records is about that run."""
    return run.config.names["norm"] in what.norms and run.config.names["loss"] in what.losses


def falsified(run: TrainedRun, what: Falsification) -> TrainedRun:
    """The run with doctored records, and turned weights."""
    source, data = run.run, run.dataset
    if what.turned and reference.is_linear(run):
        source = TurnedRun(directory=run.directory, normal=reference.hard_margin_normal(data.train_x, data.train_y))
    with np.errstate(all="ignore"):  # neurons without a gradient
        return replace(run, run=source, seeds=[what.doctor(seed) for seed in run.seeds])
