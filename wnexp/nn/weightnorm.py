"""Weight normalizations of one layer's weights: none, SWN, EWN, each an object that knows its law.

`w_u` is the incoming weight vector of neuron `u`; the last axis of a weight array is the neuron axis, so
every per-neuron norm is a norm over all other axes (dense `(fan_in, neurons)`, convolution
`(height, width, in, neurons)`).

| name | parameters    | `w_u`               | gradient in the parameters, with `G = grad_{w_u} L`, `vhat = v/||v||`  |
|------|---------------|---------------------|------------------------------------------------------------------------|
| none | `w_u`         | `w_u`               | `G`                                                                    |
| swn  | `gamma_u, v_u`| `gamma_u vhat_u`    | `d gamma = vhat.G`, `d v = (gamma/||v||) (I - vhat vhat^T) G`          |
| ewn  | `alpha_u, v_u`| `exp(alpha_u) vhat_u`| `d alpha = w.G`, `d v = (exp(alpha)/||v||) (I - vhat vhat^T) G`       |

(Morwani and Ramaswamy, arXiv 2010.12909, section 3.) The gradients are not written out below: they are
`jax.vjp` of `to_weights`. All three start at the same network: `from_weights` then `to_weights` is the identity.

Gradient flow in the parameters moves the weights by `dw_u/dt = -M_u G_u`, with the metric `M_u = J J^T` of
`J = dw_u / d(parameters)`, and conserves `||v_u|| = c`:

* none: `M G = G`;
* EWN: `M G = ||w||^2 ((vhat.G) vhat + (I - vhat vhat^T) G / c^2)`, for `c = 1` an adaptive rate `||w_u||^2` per neuron;
* SWN: `M G = (vhat.G) vhat + ||w||^2 (I - vhat vhat^T) G / c^2`: radial rate 1, tangential rate `||w_u||^2`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wnexp.settings import setting

Parameters = dict[str, Array]


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

    def penalty(self, norms: np.ndarray) -> np.ndarray:
        """`||w_u||^(2/P)` of every neuron; 1 for EWN, whose neurons are counted."""
        return norms ** (2 / self.power)

    def conserved(self, norms: np.ndarray) -> np.ndarray:
        """`(P/2) (||w_u||^(2/P) - 1)`, EWN's limit `log ||w_u||`, whose velocity is `-w_u.grad_u L`.

        By Euler's theorem flow conserves the difference of `sum_{u in l} / k_l` between any two layers, each by its own
        law.
        """
        if math.isinf(self.power):
            return np.log(norms)
        return self.power / 2 * (self.penalty(norms) - 1)


def rate_exponent(laws: Sequence[Law], degrees: Sequence[int]) -> float:
    """`p` of `L = Theta(1/(t (log t)^p))`: `2 - 2/sum_l P_l k_l` over the trained layers, 2 where one is EWN."""
    return 2 - 2 / sum(law.power * degree for law, degree in zip(laws, degrees, strict=True))


@dataclass(frozen=True)
class Norm:
    """How a weight array becomes parameters and how parameters become weights; a row of `NORMS`."""

    layers: str = setting(
        "all", "which layers are normalized: all, or all but the output layer", choices=("all", "hidden")
    )
    v_norm: float = setting(1.0, "initial ||v_u||; the function does not depend on it, the step of v does", above=0)
    output_v: str = setting(
        "scaled", "raw: the output layer starts with v_u = w_u instead of ||v_u|| = v_norm", choices=("scaled", "raw")
    )
    starts_as_weights: bool = False  # v_u = w_u at first, whatever `v_norm` is
    law: ClassVar[Law | None] = None  # None: nothing is known, claims that need it do not apply
    is_identity: ClassVar[bool] = False  # the parameters are the weights
    passes_zero: ClassVar[bool] = False  # a neuron's scale may change its sign

    def by_layer(self, count: int) -> "tuple[Norm, ...]":
        """The norm of each of so many layers."""
        last = Unnormalized() if self.layers == "hidden" else self
        if self.output_v == "raw":
            last = replace(last, starts_as_weights=True)
        return (*(self,) * (count - 1), last)

    def from_weights(self, weight: Float[Array, "... neurons"]) -> Parameters:
        """Parameters of the same function."""
        raise TypeError(f"{type(self).__name__} has no from_weights")

    def weight_and_scale(self, parameters: Parameters) -> Parameters:
        """`weight`, and perhaps the `scale (neurons,)` that it lacks."""
        raise TypeError(f"{type(self).__name__} has no weight_and_scale")

    def metric(self, weight: Float[Array, "... neurons"], gradient: Float[Array, "... neurons"]) -> Array:
        """`M G`, minus the velocity of the weights under gradient flow in the parameters, `||v_u|| = v_norm`."""
        raise TypeError(f"{type(self).__name__} has no metric: gradient flow needs optimizer.variables=parameters")

    def to_weights(self, parameters: Parameters) -> Array:
        """The effective weight array."""
        parts = self.weight_and_scale(parameters)
        return parts["scale"] * parts["weight"] if "scale" in parts else parts["weight"]

    def _start_direction(self, weight: Array) -> Array:
        return weight if self.starts_as_weights else scale_to(self.v_norm, weight) * weight


def neuron_norms(weight: Float[Array, "... neurons"]) -> Float[Array, " neurons"]:
    """`||w_u||` of every neuron, shape `(neurons,)`."""
    return jnp.sqrt(jnp.sum(jnp.square(weight), axis=tuple(range(weight.ndim - 1))))


def scale_to(length: Array | float, vectors: Array) -> Array:
    """The factor `(neurons,)` that gives every neuron's vector the length.

    For a vector so long that its squares overflow it is NaN, which the step rules refuse: `length / inf` would be a
    dead neuron that no step made.
    """
    norms = neuron_norms(vectors)
    return length / jnp.where(jnp.isfinite(norms), norms, jnp.nan)


def polar_metric(weight: Array, gradient: Array, v_norm: float, radial_rate: Array | float) -> Array:
    """`radial_rate (vhat.G) vhat + ||w||^2 (I - vhat vhat^T) G / v_norm^2`."""
    square = jnp.sum(jnp.square(weight), axis=tuple(range(weight.ndim - 1)))
    radial = weight * (jnp.sum(weight * gradient, axis=tuple(range(weight.ndim - 1))) / square)
    return radial_rate * radial + (square / v_norm**2) * (gradient - radial)


@dataclass(frozen=True)
class Unnormalized(Norm):
    """The parameters are the weights; the settings change nothing."""

    law: ClassVar[Law | None] = Law(power=1.0, normalizes=False)
    is_identity: ClassVar[bool] = True

    def from_weights(self, weight):
        return {"w": weight}

    def weight_and_scale(self, parameters):
        return {"weight": parameters["w"]}

    def metric(self, weight, gradient):
        return gradient


@dataclass(frozen=True)
class StandardWeightNorm(Norm):
    """SWN: `w_u = gamma_u v_u / ||v_u||`."""

    law: ClassVar[Law | None] = Law(power=1.0)
    passes_zero: ClassVar[bool] = True

    def from_weights(self, weight):
        return {"gamma": neuron_norms(weight), "v": self._start_direction(weight)}

    def weight_and_scale(self, parameters):
        return {"weight": parameters["v"], "scale": scale_to(parameters["gamma"], parameters["v"])}

    def metric(self, weight, gradient):
        return polar_metric(weight, gradient, self.v_norm, 1.0)


@dataclass(frozen=True)
class ExponentialWeightNorm(Norm):
    """EWN: `w_u = exp(alpha_u) v_u / ||v_u||`."""

    law: ClassVar[Law | None] = Law(power=math.inf)

    def from_weights(self, weight):
        return {"alpha": jnp.log(neuron_norms(weight)), "v": self._start_direction(weight)}

    def weight_and_scale(self, parameters):
        return {"weight": parameters["v"], "scale": scale_to(jnp.exp(parameters["alpha"]), parameters["v"])}

    def metric(self, weight, gradient):
        return polar_metric(weight, gradient, self.v_norm, jnp.square(neuron_norms(weight)))


NORMS: dict[str, Norm] = {"none": Unnormalized(), "swn": StandardWeightNorm(), "ewn": ExponentialWeightNorm()}


def from_weights(weights, norms: Sequence[Norm]):
    """Parameters of a network that compute the same function as `weights`.

    `weights` holds one entry per layer, a dict with `weight` and perhaps `bias`, or None for a layer that is
    not trained; `norms` are the parametrizations of each. Biases are plain parameters.
    """
    return _by_layer(lambda entry, norm: norm.from_weights(entry["weight"]), weights, norms)


def to_weights(parameters, norms: Sequence[Norm]):
    """The effective weights, the inverse of `from_weights`."""
    return _by_layer(lambda entry, norm: {"weight": norm.to_weights(entry)}, parameters, norms)


def weights_and_scales(parameters, norms: Sequence[Norm]):
    """The effective weights with every neuron's `scale` beside its `weight`, not multiplied in.

    A network that applies the scale to the products spares a pass over the weights forwards and two backwards.
    """
    return _by_layer(lambda entry, norm: norm.weight_and_scale(entry), parameters, norms)


def precondition(weights, gradient, metrics: Sequence[Norm]):
    """`M G` of every layer: minus the velocity of the effective weights under gradient flow in the parameters.

    `metrics` are the parametrizations whose flow it is. Biases have metric 1.
    """

    def layer(entry, slope, norm):
        return slope | {"weight": norm.metric(entry["weight"], slope["weight"])}

    layers = zip(weights, gradient, metrics, strict=True)
    return tuple(None if entry is None else layer(entry, slope, norm) for entry, slope, norm in layers)


def _by_layer(convert, entries, norms: Sequence[Norm]):
    def layer(entry, norm):
        return convert(entry, norm) | {key: value for key, value in entry.items() if key == "bias"}

    return tuple(None if entry is None else layer(entry, norm) for entry, norm in zip(entries, norms, strict=True))
