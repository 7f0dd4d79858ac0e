"""Gradient flow by scipy's LSODA, as a careful user would write it: what `optimizer=flow` is timed against.

python tests/benchmarks/lsoda_flow.py --norm ewn --start FILE --log-loss -1000 [--tolerance 1e-8]

The 2-8-1 net with squared ReLU from the data and initial weights that `bench.py` wrote from a wnexp run. The loss is in
the log domain and the clock `tau = -log L`, since integrating in time would end at the largest float: in the
parameters, `dz/dtau = -g / <g, g>` with `g = grad log L`. Right-hand side and Jacobian are jitted JAX; LSODA switches
between Adams and BDF. Prints one JSON line: seconds of the integration (compiled before), log loss (nats), evaluations;
the effective weights it reached go to FILE.flow.npz.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp


def to_parameters(weights: list[jax.Array], norm: str) -> list:
    """Parameters of the same function with `||v_u|| = 1`: `(alpha (neurons,), v (fan_in, neurons))` a layer."""
    if norm == "none":
        return weights
    lengths = [jnp.linalg.norm(w, axis=0) for w in weights]
    return [(jnp.log(length), w / length) for w, length in zip(weights, lengths, strict=True)]


def to_weights(parameters: list, norm: str) -> list[jax.Array]:
    """Effective weights `(fan_in, neurons)`."""
    if norm == "none":
        return parameters
    return [jnp.exp(alpha) * v / jnp.linalg.norm(v, axis=0) for alpha, v in parameters]


def log_loss(weights: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """`log sum_i log(1 + exp(-z_i))` (nats)."""
    z = y * (jnp.square(jax.nn.relu(x @ weights[0])) @ weights[1])[:, 0]
    shallow = jnp.log(jax.nn.softplus(-jnp.minimum(z, 40.0)))
    return jax.nn.logsumexp(jnp.where(z > 40.0, -z, shallow))


def flow(norm: str, path: Path, target: float, tolerance: float) -> tuple[dict[str, float], list[np.ndarray]]:
    """The figures, and the effective weights reached."""
    with np.load(path) as arrays:
        x, y = jnp.asarray(arrays["train_x"], float), jnp.asarray(arrays["train_y"], float)
        weights = [jnp.asarray(arrays[f"layers.{index}"], float) for index in (0, 1)]
    start, unravel = ravel_pytree(to_parameters(weights, norm))

    def loss_at(z):
        return log_loss(to_weights(unravel(z), norm), x, y)

    def velocity(_, z):
        slope = jax.grad(loss_at)(z)
        return -slope / jnp.vdot(slope, slope)

    field, jacobian = jax.jit(velocity), jax.jit(jax.jacfwd(velocity, argnums=1))
    jax.block_until_ready((field(0.0, start), jacobian(0.0, start)))
    span = (0.0, float(loss_at(start)) - target)
    began = time.perf_counter()
    solved = solve_ivp(
        lambda t, z: np.asarray(field(t, z)),
        span,
        np.asarray(start),
        method="LSODA",
        rtol=tolerance,
        atol=tolerance / 100,
        jac=lambda t, z: np.asarray(jacobian(t, z)),
    )
    seconds = time.perf_counter() - began
    end = jnp.asarray(solved.y[:, -1])
    figures = {"seconds": seconds, "log_loss": float(loss_at(end)), "evaluations": solved.nfev}
    return figures | {"reached": bool(solved.success)}, [np.asarray(w) for w in to_weights(unravel(end), norm)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", choices=("none", "ewn"), required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--log-loss", type=float, required=True, help="nats")
    parser.add_argument("--tolerance", type=float, default=1e-8, help="relative")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    figures, weights = flow(options.norm, options.start, options.log_loss, options.tolerance)
    np.savez(options.start.with_suffix(".flow.npz"), *weights)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
