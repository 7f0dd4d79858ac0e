"""What theory says of gradient flow under a weight normalization, from one number, the power `P`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Law:
    """What gradient flow does under a normalization whose radial rate is `||w_u||^(2 - 2/P)` at `||v_u|| = 1`.

    SWN has `P = 1`, EWN is the limit `P = infinity` of `w_u = (1 + alpha_u/P)^P vhat_u`; without normalization the
    radial rate is that of `P = 1`. What follows from `P` alone, for neurons that stay active:

    * the direction tends to a stationary point of the penalty `sum_u ||w_u||^(2/P)` (of `sum_u log ||w_u||` for EWN)
      among those with margins of at least 1;
    * `||grad_u L||` is proportional to `||w_u||^(2/P - 1)` within a layer;
    * the loss decays as `1/(t (log t)^p)`, `p` of `rate_exponent`, and at that `t L` tends to the reciprocal of
      `tau^2 sum_l k_l^2 / sum_{u in l} ||w_u||^(2/P)`, `tau = -log L`.
    """

    power: float  # P
    normalizes: bool = True

    @property
    def radial_power(self) -> float:
        """The power of `||w_u||` in the radial rate."""
        return 2 - 2 / self.power

    @property
    def slope(self) -> float:
        """Of `log ||grad_u L||` against `log ||w_u||` over the active neurons of a layer."""
        return 2 / self.power - 1

    def radial_rate(self, norms: np.ndarray) -> np.ndarray:
        """`||w_u||^(2 - 2/P)`: `d||w_u||/dt = -rate vhat_u.grad_u L`."""
        return norms**self.radial_power

    def tangential_rate(self, norms: np.ndarray) -> np.ndarray:
        """Of the gradient's part across `w_u`, at `||v_u|| = 1`."""
        return norms**2 if self.normalizes else np.ones_like(norms)

    def penalty(self, norms: Any) -> Any:
        """`||w_u||^(2/P)` of every neuron, arrays of numpy or JAX; 1 for EWN, whose neurons are counted."""
        return norms ** (2 / self.power)

    def conserved(self, norms: Any, log: Callable[[Any], Any] = np.log) -> Any:
        """`(P/2) (||w_u||^(2/P) - 1)`, EWN's limit `log ||w_u||`, whose velocity is `-w_u.grad_u L`.

        By Euler's theorem flow conserves the difference of `sum_{u in l} / k_l` between any two layers, each by its own
        law. `log` is that of the array's library.
        """
        if math.isinf(self.power):
            return log(norms)
        return self.power / 2 * (self.penalty(norms) - 1)


def rate_exponent(laws: Sequence[Law], degrees: Sequence[int]) -> float:
    """`p` of `L = Theta(1/(t (log t)^p))`: `2 - 2/sum_l P_l k_l` over the trained layers, 2 where one is EWN."""
    return 2 - 2 / sum(law.power * degree for law, degree in zip(laws, degrees, strict=True))
