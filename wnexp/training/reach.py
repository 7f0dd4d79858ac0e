"""What weight decay leaves out of reach: a bound of the margins, and of the loss, that a rule's steps can come to.

A rule whose directions have `N(d) <= 1` (`Rule.widest_norm`) with decoupled decay, `w' = (1 - eta lambda) w - eta d`,
keeps `N(w) <= 1/lambda` in the long run. Without hidden layers a margin is `<w, y x>` or `<W, x (e_y - e_j)^T>`, so at
most `N(w)` times the dual norm `N*` of that. With them every layer's largest singular value is at most `c_l / lambda`,
`c_l = sqrt(fan_in neurons)` for linf and 1 else (all other norms are no smaller than it), and with `|a(z)| <= |z|^a`

    |Phi(w; x)| <= prod_l (c_l / lambda)^k_l ||x||^(a^(layers - 1)),

times `sqrt 2` for the difference of two outputs. The bound is exact for one linear layer and a single sample, and loose
for deep nets: it warns of what cannot be, not of all that will not be. Nothing is said of normalized layers, whose
parameters are not the weights, of biases and of convolutions.
"""

import math

import jax.numpy as jnp
import numpy as np

from wnexp.data.dataset import Dataset
from wnexp.nn.geometry import GEOMETRIES
from wnexp.nn.losses import Loss, MarginLoss
from wnexp.nn.network import Layer, Network
from wnexp.nn.weightnorm import Norm
from wnexp.optim.base import Rule


def notes(rule: Rule, network: Network, norm: Norm, loss: Loss, dataset: Dataset, target: float) -> list[str]:
    """A line where the target (nats) lies below all that the rule's weight decay allows."""
    if rule.widest_norm is None or not isinstance(loss, MarginLoss):
        return []
    margins = widest_margins(rule.widest_norm, str(rule.geometry), network, norm, dataset)
    if margins is None or (least := float(loss.log_loss_of_margins(jnp.asarray(margins)[:, None]))) <= target:
        return []
    return [
        f"optimizer.weight_decay keeps the {rule.geometry} norm of the weights at {rule.widest_norm:.4g} or less, and "
        f"so the log loss above about {least:.4g}: the target {target:.4g} is out of reach"
    ]


def widest_margins(widest: float, geometry: str, network: Network, norm: Norm, dataset: Dataset) -> np.ndarray | None:
    """No margin `(n,)` is wider than this while `N(w) <= widest`; None where nothing is known."""
    layers, x = network.layers, np.asarray(dataset.train_x, float)
    if not norm.is_identity or any(layer.kind == "convolution" or layer.bias for layer in layers):
        return None
    if len(layers) == 1 and layers[0].kind == "dense" and layers[0].fixed is None:
        return widest * np.exp(np.asarray(GEOMETRIES[geometry].log_dual_of_margins(jnp.asarray(x), dataset.outputs)))
    sizes = [_largest_singular_value(layer, widest, geometry) for layer in layers]
    with np.errstate(divide="ignore"):
        logs = sum(k * math.log(size) for k, size in zip(network.degrees, sizes, strict=True))
        logs = logs + network.activation.degree ** (len(layers) - 1) * np.log(np.linalg.norm(x, axis=1))
    return np.exp(np.minimum(logs + (math.log(2) / 2 if dataset.outputs > 1 else 0.0), 700.0))


def _largest_singular_value(layer: Layer, widest: float, geometry: str) -> float:
    if layer.fixed is not None:
        return float(np.linalg.norm(layer.fixed))
    if geometry == "linf" and layer.kind == "dense":
        return widest * math.sqrt(math.prod(layer.shape))
    return widest
