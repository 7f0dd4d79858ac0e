"""The step rules, by name."""

from wnexp.optim.base import Rule
from wnexp.optim.descent import ConstantGradientDescent, GradientDescent
from wnexp.optim.epochs import Epochs
from wnexp.optim.flow import Flow

OPTIMIZERS: dict[str, Rule] = {
    "gd": GradientDescent(),
    "gd_constant": ConstantGradientDescent(),
    "sgd": Epochs(step_size_cap=None, frac=0.0),
    "sgd_clipped": Epochs(step_size_cap=None, frac=0.0, factor=1.05, shrink=1.2, clipped=True),
    "flow": Flow(),
}
