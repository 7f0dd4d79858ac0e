"""Rows that a user adds from outside the package: a norm, a rule, a loss, a measure, a data set, in use together."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from tests.helpers import compose
from wnexp.data import DATA_SETS
from wnexp.data.dataset import Dataset, Source
from wnexp.errors import UserError
from wnexp.measures import MEASURES
from wnexp.measures.base import REAL, Measure
from wnexp.nn.law import Law
from wnexp.nn.losses import LOSSES, Loss
from wnexp.nn.weightnorm import NORMS, ScaledDirection
from wnexp.optim import OPTIMIZERS
from wnexp.optim.base import Proposal, Rule, moved
from wnexp.settings import setting


@dataclass(frozen=True)
class Root(ScaledDirection):
    """`w_u = (1 + alpha_u/P)^P v_u / ||v_u||`."""

    power: float = setting(2.0, "P", above=0)

    @property
    def law(self):
        return Law(power=self.power)

    def scale_of(self, sizes):
        return self.power * (sizes ** (1 / self.power) - 1)

    def length(self, scale):
        return (1 + scale / self.power) ** self.power


@dataclass(frozen=True)
class HeavyBall(Rule):
    """`m' = decay m + grad log L`, a step of `step_size m'`; refused where the loss rises."""

    has_time: ClassVar[bool] = False
    step_size: float = setting(0.05, "length of a step", above=0, traced=True)
    decay: float = setting(0.5, "of the momentum", least=0, below=1, traced=True)

    def hyperparameters(self):
        return {"step_size": self.step_size, "decay": self.decay}

    def _slope(self, problem, parameters):
        def log_loss(parameters):
            return problem.log_loss(problem.to_weights(parameters), problem.x, problem.y)

        return jax.value_and_grad(log_loss)(parameters)

    def init(self, problem, parameters, hyperparameters):
        log_loss, slope = self._slope(problem, parameters)
        return log_loss, {"momentum": jax.tree.map(jnp.zeros_like, parameters), "slope": slope}

    def propose(self, problem, now, hyperparameters):
        momentum = jax.tree.map(
            lambda m, g: hyperparameters["decay"] * m + g, now.memory["momentum"], now.memory["slope"]
        )
        parameters = moved(now.parameters, momentum, now.step_size)
        log_loss, slope = self._slope(problem, parameters)
        state = now._replace(parameters=parameters, log_loss=log_loss, memory={"momentum": momentum, "slope": slope})
        return Proposal(
            state=state,
            accept=log_loss <= now.log_loss,
            step_size_if_accepted=now.step_size * 1.1,
            step_size_if_refused=now.step_size / 2,
        )


@dataclass(frozen=True)
class Quadratic(Loss):
    """`(f - y)^2`."""

    def log_losses(self, outputs, labels):
        low = 2 * jnp.log(jnp.abs(outputs[:, 0] - labels))
        return jnp.zeros_like(low), low


@dataclass(frozen=True)
class Spectral(Measure):
    """The largest singular value of every layer."""

    table: ClassVar[str] = "spectra"
    axes: ClassVar[tuple[str, ...]] = ("layer",)
    columns: ClassVar = {"spectral_norm": (REAL, "largest singular value")}
    spectral_every: int = setting(5, "every so many records", least=1)

    @property
    def every(self):
        return self.spectral_every

    def measure(self, look):
        arrays = [layer["weight"] for layer in look.weights if layer is not None]
        return {"spectral_norm": jnp.stack([jnp.linalg.norm(array, 2) for array in arrays])}


@dataclass(frozen=True)
class Line(Source):
    """Points on a line through the origin."""

    points: int = setting(3, "of each class", least=1)

    def load(self):
        x = np.outer(np.concatenate([-1 - np.arange(self.points), 1 + np.arange(self.points)]), [0.6, 0.8])
        y = np.repeat([-1, 1], self.points)
        return Dataset(train_x=x, train_y=y, test_x=x, test_y=y)


@pytest.fixture(autouse=True)
def rows(monkeypatch):
    """The rows, for the time of a test."""
    monkeypatch.setitem(NORMS, "root", Root())
    monkeypatch.setitem(OPTIMIZERS, "heavy_ball", HeavyBall())
    monkeypatch.setitem(LOSSES, "quadratic", Quadratic())
    monkeypatch.setitem(MEASURES, "spectral", Spectral())
    monkeypatch.setitem(DATA_SETS, "line", Line())


WORDS = ("norm=root", "norm.power=3", "optimizer=heavy_ball", "optimizer.decay=0.3", "data=line", "seeds=2")


def test_train_plot_and_verify_with_rows_of_ones_own(inside, tmp_path):
    words = (*WORDS, "stop.log_loss=-12", "record.spectral_every=4", "data.points=4", "stop.max_steps=400")
    code, out, err = inside("train", *words, "loss=cross_entropy")
    assert code == 0, err
    folder = next(path.parent for path in tmp_path.rglob("run.json"))
    steps, layers = (pd.read_parquet(folder / f"{name}.parquet") for name in ("steps", "spectra"))
    assert (steps.groupby("seed")["log_loss"].last() <= -12).all()
    assert steps[["log_time", "decay_rate"]].isna().all().all(), "its steps are no time"
    for seed, own in steps.groupby("seed"):
        assert layers[layers["seed"] == seed]["step"].unique().tolist() == own["step"].tolist()[::4]
    code, out, err = inside("plot", folder)
    assert code == 0 and "norm_gradient.png" in out, err
    code, out, err = inside("verify", folder)
    assert code in (0, 1) and "C2" in out, err
    assert "claims that apply to none of these runs: C1, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12" in out


def test_a_loss_that_is_no_margin_loss(inside, tmp_path):
    code, _, err = inside(
        "train", "data=line", "loss=quadratic", "optimizer.frac=1", "stop.log_loss=-3", "model.widths=[]"
    )
    assert code == 0, err
    steps = pd.read_parquet(next(tmp_path.rglob("steps.parquet")))
    last = steps.iloc[-1]
    weight = pd.read_parquet(next(tmp_path.rglob("neurons.parquet"))).iloc[-1]
    x, y = np.array([-3, -2, -1, 1, 2, 3.0]), np.repeat([-1, 1], 3)
    slope = weight["weight_norm"] * (np.array(weight["direction"]) @ [0.6, 0.8])
    assert last["log_loss"] == pytest.approx(math.log(((slope * x - y) ** 2).sum()), rel=1e-10)
    assert np.isnan(last["smoothed_margin"]) and np.isnan(last["margin"]) and last["train_accuracy"] == 1


@pytest.mark.slow
def test_flow_of_a_norm_with_a_number(inside, tmp_path):
    """Its metric is that of its parameters: both flows reach the same weights."""
    words = ("norm=root", "optimizer=flow", "stop.log_loss=-20", "snapshots=[-10]")
    assert inside("train", "-m", *words, "optimizer.variables=weights,parameters", "model.activation=linear")[0] == 0
    out = inside("verify", "outputs/lin_sep")[1]
    (line,) = (line.split() for line in out.splitlines() if line.split()[:2] == ["C1", "root"])
    assert "holds" in line and line[-3:] == ["1", "of", "1"], out


def test_settings_of_rows_from_outside_are_checked_and_named():
    with pytest.raises(UserError, match=r"norm.power=-1.0 is out of range; allowed: a number above 0"):
        compose("norm=root", "norm.power=-1")
    with pytest.raises(UserError, match="did you mean"):
        compose("norm=root", "+norm.pover=1")
    assert compose("norm=root", "norm.power=3").norm == Root(power=3.0)
