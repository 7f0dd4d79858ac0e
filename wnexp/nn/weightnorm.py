"""Weight normalizations of one layer's weights: none, SWN, EWN and the family between, objects that know their law.

`w_u` is the incoming weight vector of neuron `u`; the last axis of a weight array is the neuron axis, so
every per-neuron norm is a norm over all other axes (dense `(fan_in, neurons)`, convolution
`(height, width, in, neurons)`). With `per=layer` a layer has one scale: read `w_u` as the whole weight array.

| name  | parameters    | `w_u`                      | gradient in the parameters                  |
|-------|---------------|----------------------------|---------------------------------------------|
| none  | `w_u`         | `w_u`                      | `G`                                         |
| swn   | `gamma_u, v_u`| `gamma_u vhat_u`           | `d gamma = vhat.G`                          |
| power | `alpha_u, v_u`| `(1 + alpha_u/P)^P vhat_u` | `d alpha = (1 + alpha/P)^(P - 1) vhat.G`    |
| ewn   | `alpha_u, v_u`| `exp(alpha_u) vhat_u`      | `d alpha = w.G`                             |

with `G = grad_{w_u} L`, `vhat = v/||v||`, and `d v = (||w||/||v||) (I - vhat vhat^T) G` under all but none. (SWN, EWN:
Morwani and Ramaswamy, arXiv 2010.12909, section 3; the line from one to the other, `P = 1` to infinity, is ours.) The
gradients are not written out below: they are `jax.vjp` of `to_weights`. All start at the same network: `from_weights`
then `to_weights` is the identity.

Gradient flow in the parameters moves the weights by `dw_u/dt = -M_u G_u`, with the metric `M_u = J J^T` of
`J = dw_u / d(parameters)`, and conserves `||v_u|| = c`:

* none: `M G = G`;
* else: `M G = ||w||^(2 - 2/P) (vhat.G) vhat + ||w||^2 (I - vhat vhat^T) G / c^2`: the radial rate is 1 under SWN, and
  under EWN, for `c = 1`, all of it is an adaptive rate `||w_u||^2` per neuron.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from wnexp.errors import UserError
from wnexp.nn.law import Law
from wnexp.settings import setting

Parameters = dict[str, Array]


def _are_layers(value: Any) -> bool:
    if not isinstance(value, list):
        return value in ("all", "hidden")
    return all(type(index) is int and index >= 0 for index in value) and 0 < len(value) == len(set(value))


@dataclass(frozen=True)
class Norm:
    """How a weight array becomes parameters and how parameters become weights; a row of `NORMS`."""

    layers: Any = setting(
        "all",
        "which layers are normalized",
        allowed="all, hidden (all but the output layer), or a list of indices from 0, like [0,2]",
        test=_are_layers,
    )
    per: str = setting("neuron", "what has a scale of its own: every neuron, or a layer", choices=("neuron", "layer"))
    v_norm: float = setting(1.0, "initial ||v_u||; the function does not depend on it, the step of v does", above=0)
    output_v: str = setting(
        "scaled", "raw: the output layer starts with v_u = w_u instead of ||v_u|| = v_norm", choices=("scaled", "raw")
    )
    starts_as_weights: bool = False  # v_u = w_u at first, whatever `v_norm` is
    is_identity: ClassVar[bool] = False  # the parameters are the weights

    @property
    def law(self) -> Law | None:
        """What theory says of it; None where nothing is known, and claims that need it do not apply."""
        return None

    @property
    def passes_zero(self) -> bool:
        """Whether a scale may change its sign under gradient flow."""
        return False

    def least_size(self, eps: float) -> float:
        """The norm below which the parameters no longer tell a neuron's norm from 0, in numbers of that precision."""
        return 0.0

    def by_layer(self, count: int) -> "tuple[Norm, ...]":
        """The norm of each of so many layers. Raises `UserError` for a list that does not fit them."""
        indices = self.layers if isinstance(self.layers, list) else range(count - (self.layers == "hidden"))
        if max(indices, default=0) >= count:
            raise UserError(f"norm.layers={self.layers}: the network has {count} layers, 0 to {count - 1}")
        norms = [self._of_layer(index, count) if index in indices else Unnormalized() for index in range(count)]
        if self.output_v == "raw":
            norms[-1] = replace(norms[-1], starts_as_weights=True)
        return tuple(norms)

    def _of_layer(self, index: int, count: int) -> "Norm":
        return replace(self, layers="all")

    def from_weights(self, weight: Float[Array, "... neurons"]) -> Parameters:
        """Parameters of the same function."""
        raise TypeError(f"{type(self).__name__} has no from_weights")

    def weight_and_scale(self, parameters: Parameters) -> Parameters:
        """`weight`, and perhaps the `scale` that it lacks, `(neurons,)` or `(1,)`."""
        raise TypeError(f"{type(self).__name__} has no weight_and_scale")

    def metric(self, weight: Float[Array, "... neurons"], gradient: Float[Array, "... neurons"]) -> Array:
        """`M G`, minus the velocity of the weights under gradient flow in the parameters, `||v_u|| = v_norm`."""
        raise TypeError(f"{type(self).__name__} has no metric: gradient flow needs optimizer.variables=parameters")

    def to_weights(self, parameters: Parameters) -> Array:
        """The effective weight array."""
        parts = self.weight_and_scale(parameters)
        return parts["scale"] * parts["weight"] if "scale" in parts else parts["weight"]

    def square(self, weight: Float[Array, "... neurons"]) -> Float[Array, ""]:
        """What a penalty on the parameters adds up: `||w||^2`, or squared scales; no function depends on `||v_u||`."""
        return jnp.sum(jnp.square(weight))

    def sizes(self, weight: Float[Array, "... neurons"]) -> Float[Array, " units"]:
        """`||w_u||` of whatever has a scale of its own: `(neurons,)`, or `(1,)` for the layer."""
        return neuron_norms(weight) if self.per == "neuron" else neuron_norms(weight.reshape(-1, 1))


def neuron_norms(weight: Float[Array, "... neurons"]) -> Float[Array, " neurons"]:
    """`||w_u||` of every neuron, shape `(neurons,)`."""
    return jnp.sqrt(jnp.sum(jnp.square(weight), axis=tuple(range(weight.ndim - 1))))


def polar_metric(weight: Array, gradient: Array, v_norm: float, radial_rate: Array | float, per="neuron") -> Array:
    """`radial_rate (vhat.G) vhat + ||w||^2 (I - vhat vhat^T) G / v_norm^2`."""
    axes = tuple(range(weight.ndim - 1)) if per == "neuron" else None
    square = jnp.sum(jnp.square(weight), axis=axes)
    radial = weight * (jnp.sum(weight * gradient, axis=axes) / square)
    return radial_rate * radial + (square / v_norm**2) * (gradient - radial)


@dataclass(frozen=True)
class Unnormalized(Norm):
    """The parameters are the weights; the settings change nothing."""

    is_identity: ClassVar[bool] = True

    @property
    def law(self):
        return Law(power=1.0, normalizes=False)

    def from_weights(self, weight):
        return {"w": weight}

    def weight_and_scale(self, parameters):
        return {"weight": parameters["w"]}

    def metric(self, weight, gradient):
        return gradient


@dataclass(frozen=True)
class ScaledDirection(Norm):
    """`w_u = length(scale_u) v_u / ||v_u||`, of radial rate `||w_u||^(2 - 2/P)`: its law must be known."""

    scale: ClassVar[str] = "alpha"  # what the parameter is called

    def scale_of(self, sizes: Float[Array, " units"]) -> Float[Array, " units"]:
        """The inverse of `length`."""
        raise TypeError(f"{type(self).__name__} has no scale_of")

    def length(self, scale: Float[Array, " units"]) -> Float[Array, " units"]:
        """`||w_u||`, with a sign where the scale may pass 0."""
        raise TypeError(f"{type(self).__name__} has no length")

    def from_weights(self, weight):
        v = weight if self.starts_as_weights else self._scaled_to(self.v_norm, weight) * weight
        return {self.scale: self.scale_of(self.sizes(weight)), "v": v}

    def weight_and_scale(self, parameters):
        v = parameters["v"]
        return {"weight": v, "scale": self._scaled_to(self.length(parameters[self.scale]), v)}

    def metric(self, weight, gradient):
        power = self.law.radial_power  # pyright: ignore[reportOptionalMemberAccess]
        radial_rate = self.sizes(weight) ** (int(power) if power.is_integer() else power)
        return polar_metric(weight, gradient, self.v_norm, radial_rate, self.per)

    def square(self, weight):
        return jnp.sum(jnp.square(self.scale_of(self.sizes(weight))))

    def _scaled_to(self, length: Array | float, vectors: Array) -> Array:
        """The factor `(neurons,)` or `(1,)` that gives the vectors the length.

        For a vector so long that its squares overflow it is NaN, which the step rules refuse: `length / inf` would be a
        dead neuron that no step made.
        """
        norms = self.sizes(vectors)
        return length / jnp.where(jnp.isfinite(norms), norms, jnp.nan)


@dataclass(frozen=True)
class StandardWeightNorm(ScaledDirection):
    """SWN: `w_u = gamma_u v_u / ||v_u||`."""

    scale: ClassVar[str] = "gamma"

    @property
    def law(self):
        return Law(power=1.0)

    @property
    def passes_zero(self):
        return True

    def scale_of(self, sizes):
        return sizes

    def length(self, scale):
        return scale


@dataclass(frozen=True)
class ExponentialWeightNorm(ScaledDirection):
    """EWN: `w_u = exp(alpha_u) v_u / ||v_u||`."""

    @property
    def law(self):
        return Law(power=math.inf)

    def scale_of(self, sizes):
        return jnp.log(sizes)

    def length(self, scale):
        return jnp.exp(scale)


def _is_power(value: Any) -> bool:
    return value == "inf" or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0)


@dataclass(frozen=True)
class PowerWeightNorm(ScaledDirection):
    """The family between: `w_u = (1 + alpha_u/P)^P v_u / ||v_u||`, SWN at P = 1 and EWN in the limit.

    It is `rho_u^P vhat_u` with `rho_u` counted in other units. Where `rho_u` is below 0, `w_u = -|rho_u|^P vhat_u`:
    scale and length determine each other for every `P`. Norms whose root `||w_u||^(1/P)` is a rounding beside 1 are
    lost in `1 + alpha_u/P`.
    """

    power: Any = setting(
        2.0,
        "P; sparsity grows with it: 1 is SWN, 2 the group lasso, inf EWN",
        allowed="a number above 0, inf, or a list of them with one for every layer, like [2,1]",
        test=lambda value: all(map(_is_power, value if isinstance(value, list) else [value])),
    )

    @property
    def law(self):
        return None if isinstance(self.power, list) else Law(power=float(self.power))

    @property
    def passes_zero(self):
        return any(float(power) <= 1 for power in (self.power if isinstance(self.power, list) else [self.power]))

    def _of_layer(self, index, count):
        if not isinstance(self.power, list):
            return super()._of_layer(index, count)
        if len(self.power) != count:
            raise UserError(f"norm.power={self.power}: {len(self.power)} powers for the network's {count} layers")
        return replace(self, layers="all", power=self.power[index])

    def least_size(self, eps):
        return 0.0 if math.isinf(float(self.power)) else (1000 * eps) ** float(self.power)

    def scale_of(self, sizes):
        power = float(self.power)
        return jnp.log(sizes) if math.isinf(power) else power * jnp.expm1(jnp.log(sizes) / power)

    def length(self, scale):
        power = float(self.power)
        if math.isinf(power):
            return jnp.exp(scale)
        over = scale / power
        log_root = jnp.log1p(jnp.where(over > -1, over, -2 - over))  # log |1 + alpha/P|, also for large P
        return jnp.sign(1 + over) * jnp.exp(power * log_root)


NORMS: dict[str, Norm] = {
    "none": Unnormalized(),
    "swn": StandardWeightNorm(),
    "power": PowerWeightNorm(),
    "ewn": ExponentialWeightNorm(),
}
