"""The step rules, by name."""

import sys

import absl.logging

from wnexp.optim.adaptive import AdaGrad, Adam, RmsProp
from wnexp.optim.base import Rule
from wnexp.optim.descent import ConstantGradientDescent, GradientDescent
from wnexp.optim.epochs import Epochs
from wnexp.optim.flow import Flow
from wnexp.optim.momentum import DualAcceleration, Momentum
from wnexp.optim.steepest import Lion, Muon, Signum, SpectralDescent, Steepest

# optax brings absl. Its log handler holds what is the standard error now, a notebook's or a redirection's own stream,
# and would close it when Hydra sets its logging up; this one it leaves alone.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

OPTIMIZERS: dict[str, Rule] = {
    "gd": GradientDescent(),
    "gd_constant": ConstantGradientDescent(),
    "sgd": Epochs(step_size_cap=None, frac=0.0),
    "sgd_clipped": Epochs(step_size_cap=None, frac=0.0, factor=1.05, shrink=1.2, clipped=True),
    "flow": Flow(),
    "momentum": Momentum(),
    "nesterov": Momentum(nesterov=True),
    "normalized_gd": Steepest(),
    "dual_acceleration": DualAcceleration(),
    "sign": Steepest(steep_in="linf"),
    "signum": Signum(),
    "lion": Lion(),
    "adam": Adam(),
    "adamw": Adam(),
    "rmsprop": RmsProp(),
    "adagrad": AdaGrad(),
    "coordinate": Steepest(steep_in="l1"),
    "spectral": SpectralDescent(),
    "muon": Muon(),
    "nuclear": Steepest(steep_in="nuclear"),
}
