"""optax used plainly in JAX, on gradients of L itself: what the log-domain frame of wnexp is timed against.

python tests/benchmarks/optax_rules.py small RULE --start FILE [--updates N]
python tests/benchmarks/optax_rules.py epoch RULE [--samples N] [--width W] [--batch B] [--epochs E]

`small`: full-batch updates in float64 from the data and initial weights that `bench.py` wrote from a wnexp run, as one
scan. `epoch`: epochs of MNIST's size, 784-1024-10 with a first-layer bias, each a pass over shuffled batches and a pass
for the training loss. Both compile first and are timed warm. Prints one JSON line.
"""

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from harness import random_images, rule_script
from optax import contrib

EVALUATION_BLOCK = 4_096
TINY = 1e-30  # eps; the square of a float32 gradient may be as small


def _muon() -> optax.GradientTransformation:
    """Newton-Schulz for matrices, the sign for vectors."""

    def axes(tree):
        return jax.tree.map(lambda _: contrib.MuonDimensionNumbers(), tree)

    rules: dict[Hashable, optax.GradientTransformation] = {
        "matrix": contrib.scale_by_muon(beta=0.9, nesterov=False, eps=TINY, weight_dimension_numbers=axes),
        "vector": optax.chain(optax.ema(0.9, debias=False), optax.scale_by_sign()),
    }
    return optax.partition(rules, lambda tree: jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", tree))


RULES: dict[str, Callable[[], optax.GradientTransformation]] = {
    "momentum": lambda: optax.trace(0.9),
    "nesterov": lambda: optax.trace(0.9, nesterov=True),
    "sign": optax.scale_by_sign,
    "signum": lambda: optax.chain(optax.ema(0.9, debias=False), optax.scale_by_sign()),
    "lion": lambda: optax.scale_by_lion(0.9, 0.99),
    "adam": lambda: optax.scale_by_adam(0.9, 0.999, eps=TINY),
    "rmsprop": lambda: optax.scale_by_rms(0.999, eps=TINY, eps_in_sqrt=False),
    "adagrad": lambda: optax.scale_by_rss(0.0, eps=TINY),
    "muon": _muon,
}


def updates_of(loss: Callable, rule: optax.GradientTransformation, step_size: float) -> Callable:
    """`(parameters, state), *batch -> (parameters, state)`."""
    transformation = optax.chain(rule, optax.scale(-step_size))

    def update(carry: Any, *batch: jax.Array) -> Any:
        parameters, state = carry
        direction, state = transformation.update(jax.grad(loss)(parameters, *batch), state, parameters)
        return optax.apply_updates(parameters, direction), state

    return update


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a second call, and its result."""
    jax.block_until_ready(run())
    began = time.perf_counter()
    result = jax.block_until_ready(run())
    return time.perf_counter() - began, result


def small(rule: str, start: Path, updates: int, step_size: float) -> dict[str, float]:
    """Seconds of so many updates of the 2-8-1 net on lin-sep, and the log loss they reach (nats)."""
    jax.config.update("jax_enable_x64", True)
    with np.load(start) as arrays:
        x, y = jnp.asarray(arrays["train_x"], float), jnp.asarray(arrays["train_y"], float)
        weights = {key: jnp.asarray(arrays[key]) for key in arrays.files if key.startswith("layers.")}

    def loss(w):
        outputs = jax.nn.relu(x @ w["layers.0"]) ** 2 @ w["layers.1"]
        return jax.nn.softplus(-y * outputs[:, 0]).sum()

    update, state = updates_of(loss, RULES[rule](), step_size), optax.chain(RULES[rule](), optax.scale(1.0)).init
    scan = jax.jit(lambda w: jax.lax.scan(lambda c, _: (update(c), None), (w, state(w)), length=updates)[0][0])
    seconds, reached = timed(lambda: scan(weights))
    return {"seconds": seconds, "updates": updates, "log_loss": float(jnp.log(loss(reached)))}


def epoch(rule: str, samples: int, width: int, batch: int, epochs: int, step_size: float) -> dict[str, float]:
    """Seconds of an epoch with its pass for the training loss, and the last loss."""
    x, y = map(jnp.asarray, random_images(samples))

    def mean_loss(w, xs, ys):
        logits = jax.nn.relu(xs @ w["hidden"] + w["bias"]) @ w["output"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, ys).mean()

    update, state = updates_of(mean_loss, RULES[rule](), step_size), optax.chain(RULES[rule](), optax.scale(1.0)).init

    @jax.jit
    def one(carry, key):
        whole = samples // batch * batch
        order = jax.random.permutation(key, samples)
        carry, _ = jax.lax.scan(lambda c, at: (update(c, x[at], y[at]), None), carry, order[:whole].reshape(-1, batch))
        if whole < samples:
            carry = update(carry, x[order[whole:]], y[order[whole:]])
        blocks = range(0, samples, EVALUATION_BLOCK)
        sizes = jnp.array([len(x[at : at + EVALUATION_BLOCK]) for at in blocks])
        losses = [mean_loss(carry[0], x[at : at + EVALUATION_BLOCK], y[at : at + EVALUATION_BLOCK]) for at in blocks]
        return carry, (jnp.stack(losses) * sizes).sum() / samples

    keys = jax.random.split(jax.random.key(0), 3)
    start = {
        "hidden": jax.random.normal(keys[0], (784, width)) * np.sqrt(2 / 784),
        "bias": jnp.zeros(width),
        "output": jax.random.normal(keys[1], (width, 10)) * np.sqrt(2 / width),
    }
    carry, loss = one((start, state(start)), keys[2])
    jax.block_until_ready(loss)
    began = time.perf_counter()
    for index in range(epochs):
        carry, loss = one(carry, jax.random.fold_in(keys[2], index))
    jax.block_until_ready(loss)
    return {"epoch": (time.perf_counter() - began) / epochs, "loss": float(loss)}


if __name__ == "__main__":
    rule_script(__doc__, RULES, small, epoch)
