"""A slow, plain numpy twin of the measures' inputs: losses by their definitions, gradients by differences."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import mlp
from wnexp.measures.base import Look
from wnexp.nn import losses, network
from wnexp.nn.initializers import initialize
from wnexp.nn.losses import LOSSES

SAMPLE_LOSSES = {
    "exponential": lambda z: np.exp(-z),
    "cross_entropy": lambda z: np.log1p(np.exp(-z)),
    "polynomial": lambda z: 1 / (1 + z) if z > 0 else np.exp(-z),
}
CASES = [
    (classes, activation, loss, reduction, bias)
    for classes, activation in ((1, "relu"), (1, "relu_squared"), (3, "relu"))
    for loss in SAMPLE_LOSSES
    for reduction, bias in (("sum", False), ("mean", True))
]


def quick(*indices):
    """All cases, of which only these are quick."""
    return [
        case if index in indices else pytest.param(case, marks=pytest.mark.slow) for index, case in enumerate(CASES)
    ]


ALL, QUICK = quick(0, 3, 5, 10), quick(0, 5, 10)


class Twin(NamedTuple):
    """A network that separates its data, just, with all that the measures are made of, and the `Look` at it."""

    x: Any
    look: Look
    weights: Any  # numpy
    gradient: Any  # of L
    value: Any  # L
    sample_losses: np.ndarray
    soft: np.ndarray
    hard: list[list[float]]
    differences: Any  # function of the twin's (sample losses, soft margins) -> its gradient in the weights


@cache
def twin(case) -> Twin:
    classes, activation, loss, reduction, bias = case
    made = replace(LOSSES[loss], reduction=reduction)
    architecture = mlp(3, (6,), classes, activation, first_bias=bias)
    x, y = separable(np.random.default_rng(20101290), classes)
    weights = tuple({name: array.copy() for name, array in layer.items()} for layer in fitted(architecture, x, y, made))
    total = (lambda values: values.mean()) if reduction == "mean" else (lambda values: values.sum())
    sample_losses, soft, hard = twin_samples(weights, x, y, activation, loss)

    def differences(function):
        return numeric_gradient(lambda: function(*twin_samples(weights, x, y, activation, loss)[:2]), weights)

    return Twin(
        x=jnp.asarray(x),
        look=look_at(architecture, weights, x, y, made),
        weights=weights,
        gradient=differences(lambda losses, soft: total(losses)),
        value=total(sample_losses),
        sample_losses=sample_losses,
        soft=soft,
        hard=hard,
        differences=differences,
    )


def forward(weights, x, activation):
    hidden = x @ weights[0]["weight"] + weights[0].get("bias", 0.0)
    hidden = np.maximum(hidden, 0) ** (2 if activation == "relu_squared" else 1)
    return hidden @ weights[1]["weight"]


def twin_samples(weights, x, y, activation, loss):
    """Losses of the samples, soft margins and margins by their definitions, in plain loops."""
    outputs = forward(weights, x, activation)
    sample_losses, soft, hard = [], [], []
    for row, label in zip(outputs, y, strict=True):
        s = [label * row[0]] if len(row) == 1 else [row[label] - row[j] for j in range(len(row)) if j != label]
        z = -np.log(sum(np.exp(-value) for value in s))
        sample_losses.append(SAMPLE_LOSSES[loss](z))
        soft.append(z)
        hard.append(s)
    return np.array(sample_losses), np.array(soft), hard


def numeric_gradient(function, weights, step=1e-6):
    """Central differences, entry by entry."""
    gradient = []
    for layer in weights:
        entry = {}
        for name, array in layer.items():
            entry[name] = np.zeros_like(array)
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                above = function()
                array[index] = kept - step
                entry[name][index] = (above - function()) / (2 * step)
                array[index] = kept
        gradient.append(entry)
    return gradient


def flat(tree):
    return np.concatenate([np.ravel(layer[name]) for layer in tree for name in sorted(layer)])


def separable(random, classes):
    if classes == 1:
        y = np.array([-1, 1, 1, -1, 1])
        return random.uniform(0.5, 1.5, (5, 3)) * y[:, None], y
    y = np.array([0, 1, 2, 0, 1])
    return np.eye(3)[y] + random.uniform(-0.2, 0.2, (5, 3)), y


def fitted(architecture, x, y, loss):
    """Weights that separate the data, just: steps of fixed length along the gradient until the margin is 0.3."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    weights = jax.tree.map(jnp.asarray, initialize(architecture, 4, "normal", "float64"))

    @jax.jit
    def step(w):
        def log_loss(w):
            outputs = network.apply(architecture, w, x)
            return replace(loss, reduction="sum").log_loss(outputs, y), jnp.min(losses.margins(outputs, y))

        gradient, q = jax.grad(log_loss, has_aux=True)(w)
        length = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
        return jax.tree.map(lambda p, g: p - 0.02 * g / length, w, gradient), q

    for _ in range(2000):
        weights, q = step(weights)
        if q > 0.3:
            return jax.tree.map(np.array, weights)
    raise AssertionError("the data were not separated")


def look_at(architecture, weights, x, y, loss) -> Look:
    """The same points are the test set too."""
    x, y, weights = jnp.asarray(x), jnp.asarray(y), jax.tree.map(jnp.asarray, weights)

    def log_loss(w):
        outputs = network.apply(architecture, w, x)
        return loss.log_loss(outputs, y), outputs

    (value, outputs), gradient = jax.value_and_grad(log_loss, has_aux=True)(weights)
    return Look(
        network=architecture,
        loss=loss,
        weights=weights,
        gradient=gradient,
        log_loss=value,
        outputs=outputs,
        labels=y,
        margins=losses.margins(outputs, y),
        test_outputs=outputs,
        test_labels=y,
        progress={"attempts": jnp.asarray(7)},
    )


def small_look(weight, gradient, log_loss, loss="exponential", margin=1.0) -> Look:
    """One linear layer and one sample."""
    weight, gradient = jnp.asarray(weight, float), jnp.asarray(gradient, float)
    return Look(
        network=mlp(*weight.shape[:1], (), weight.shape[1], "linear"),
        loss=LOSSES[loss] if isinstance(loss, str) else loss,
        weights=({"weight": weight},),
        gradient=({"weight": gradient},),
        log_loss=jnp.asarray(log_loss, float),
        outputs=jnp.array([[margin]]),
        labels=jnp.array([1]),
        margins=jnp.array([[margin]]),
    )
