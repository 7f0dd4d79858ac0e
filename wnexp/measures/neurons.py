"""Columns of `neurons`, one row per neuron of a trained layer."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from wnexp.measures.base import REAL, REALS, Columns, Measure, cosine, neuron_log_norm, neuron_units
from wnexp.settings import setting


@dataclass(frozen=True)
class Neurons(Measure):
    """Norm, gradient and direction of every neuron, bias left out."""

    table: ClassVar[str] = "neurons"
    axes: ClassVar[tuple[str, ...]] = ("layer", "neuron")
    columns: ClassVar[Columns] = {
        "weight_norm": (REAL, "||w_u||"),
        "norm_ratio": (REAL, "||w_u|| over the largest of the layer"),
        "log_gradient_norm": (REAL, "nats; log ||grad_u L||"),
        "log_gradient_ratio": (REAL, "nats; log ||grad_u L|| - log ||w_u||"),
        "alignment": (REAL, "cos(w_u, -grad_u L)"),
        "direction": (REALS, "w_u / ||w_u||, for fan-in up to record.max_direction"),
    }
    max_direction: int = setting(16, "record weight directions of neurons with at most this fan-in", least=0)

    def cost(self, network, samples):
        numbers = 0
        for layer in network.layers:
            fan_in = math.prod(layer.shape[:-1])
            numbers += layer.shape[-1] * (5 + (fan_in if fan_in <= self.max_direction else 0))
        return numbers

    def measure(self, look):
        layers = enumerate(zip(look.weights, look.gradient, strict=True))
        return {index: self._layer(look, w, g) for index, (w, g) in layers if w is not None}

    def _layer(self, look, layer, layer_gradient):
        dtype = look.log_loss.dtype
        w, g = layer["weight"].astype(dtype), layer_gradient["weight"].astype(dtype)
        log_size, log_pull = neuron_log_norm(w), neuron_log_norm(g)
        axes = tuple(range(w.ndim - 1))
        w_unit, h_unit = neuron_units(w), -neuron_units(g)
        log_gradient_norm = look.log_loss + log_pull
        rows = {
            "weight_norm": jnp.exp(log_size),
            "norm_ratio": jnp.exp(log_size - jnp.max(log_size)),
            "log_gradient_norm": log_gradient_norm,
            "log_gradient_ratio": log_gradient_norm - log_size,
            "alignment": cosine(jnp.sum(w_unit * h_unit, axis=axes)),
        }
        if w[..., 0].size <= self.max_direction:
            rows["direction"] = w_unit.reshape(-1, w.shape[-1])
        return rows
