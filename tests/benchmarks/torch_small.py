"""The paper's small experiments as full-batch PyTorch loops, recorded at every step: what wnexp is timed against.

python tests/benchmarks/torch_small.py lin_sep_ewn --start FOLDER [--seed S] [--steps N] [--log-loss X] [--block B]

Eager autograd in float64 with the loss in the log domain, on one thread: two cost more than they bring at this size.
FOLDER holds the data and initial weights that `bench.py` wrote from a wnexp run; the records go beside them.
`--block 1` measures each step as it comes, the straightforward way; `--block 128` keeps weights and gradients of 128
steps and measures them together, the fast way. Prints one JSON line.
"""

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch_measures import Architecture, log_losses, measure, outputs  # noqa: E402

FACTOR = 1.1
SMALLEST_STEP_SIZE = 1e-290


class Problem(NamedTuple):
    """One experiment: architecture, parametrization and step rule."""

    architecture: Architecture
    norm: str  # none, swn, ewn; of all trained layers
    step_size: float
    cap: float
    frac: float | None  # None: a constant step on L, every step accepted
    log_loss: float  # the target, nats
    steps: int
    files: tuple[str, ...] = ("start",)  # one net a file


LIN_SEP = Problem(Architecture("relu_squared"), "ewn", 0.01, 0.01, 30, -300.0, 40_000)
PROBLEMS = {
    "lin_sep_ewn": LIN_SEP,
    "lin_sep_swn": LIN_SEP._replace(norm="swn"),
    "xor_ewn": Problem(Architecture("relu", fixed_output=True), "ewn", 0.01, 0.1, 5, -50.0, 100_000),
    "conv_rate": Problem(
        Architecture("linear"),
        "none",
        0.001,
        math.inf,
        None,
        -300.0,
        5_000,
        ("depth=1", "depth=2", "depth=3", "depth=4"),
    ),
}


class Point(NamedTuple):
    """Parameters with the loss there; `weights` and `margins` are on the autograd graph."""

    parameters: list[Tensor]  # none: W of each layer; else scale (neurons,) and v (fan_in, neurons) of each
    weights: list[Tensor]  # effective, (fan_in, neurons)
    margins: Tensor  # (n,)
    log_loss: Tensor  # (), nats


def to_parameters(weights: list[Tensor], norm: str) -> list[Tensor]:
    """Parameters of the same function with `||v|| = 1`."""
    if norm == "none":
        return weights
    lengths = [w.norm(dim=0) for w in weights]
    scales = [n.log() if norm == "ewn" else n for n in lengths]
    return [p for scale, w, n in zip(scales, weights, lengths, strict=True) for p in (scale, w / n)]


def to_weights(parameters: list[Tensor], norm: str) -> list[Tensor]:
    """Effective weights `(fan_in, neurons)` of the trained layers."""
    if norm == "none":
        return parameters
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    return [(scale.exp() if norm == "ewn" else scale) / v.norm(dim=0) * v for scale, v in pairs]


def evaluate(problem: Problem, data: dict[str, Tensor], parameters: list[Tensor]) -> Point:
    """The loss at these parameters."""
    parameters = [p.requires_grad_() for p in parameters]
    weights = to_weights(parameters, problem.norm)
    margins = outputs(problem.architecture, weights, data["fixed"], data["train_x"]) * data["train_y"]
    return Point(parameters, weights, margins, torch.logsumexp(log_losses(margins), dim=0))


class Records:
    """The rows of one run; every `block` steps are measured together."""

    def __init__(self, problem: Problem, data: dict[str, Tensor], block: int):
        self.problem, self.data, self.block = problem, data, block
        self.raw: list[tuple[list[Tensor], list[Tensor], Tensor, Tensor]] = []
        self.rows: list[dict[str, Tensor]] = []
        self.scalars: list[tuple[int, float, float]] = []  # attempts, step size, log time

    def add(self, point: Point, gradient: list[Tensor], attempts: int, step_size: float, log_time: float) -> None:
        """Keep one step: `gradient` of log L in the effective weights."""
        weights = [w.detach() for w in point.weights]
        self.raw.append((weights, gradient, point.margins.detach(), point.log_loss.detach()))
        self.scalars.append((attempts, step_size, log_time))
        if len(self.raw) == self.block:
            self.flush()

    def flush(self) -> None:
        """Measure what has been kept."""
        if not self.raw:
            return
        weights, gradients, margins, log_loss = zip(*self.raw, strict=True)
        stacked = [[torch.stack(layer) for layer in zip(*tree, strict=True)] for tree in (weights, gradients)]
        tensors = stacked[0], stacked[1], torch.stack(margins), torch.stack(log_loss)
        if self.block == 1:
            tensors = weights[0], gradients[0], margins[0], log_loss[0]
        self.rows.append(measure(self.problem.architecture, self.data, *tensors))
        self.raw = []

    def arrays(self) -> dict[str, np.ndarray]:
        """Every column as one array, the first axis the step."""
        join = torch.stack if self.block == 1 else torch.cat
        columns = {key: join([row[key] for row in self.rows]).numpy() for key in self.rows[0]}
        attempts, step_size, log_time = (np.array(column) for column in zip(*self.scalars, strict=True))
        columns |= {"attempts": attempts, "step_size": step_size, "log_time": log_time}
        with np.errstate(invalid="ignore"):
            columns["decay_rate"] = -np.diff(columns["log_loss"], prepend=np.nan) / np.diff(log_time, prepend=np.nan)
        return columns


def train(problem: Problem, data: dict[str, Tensor], weights: list[Tensor], records: Records) -> tuple[int, int, float]:
    """Gradient descent until the target, the last step or a stall. Returns steps, attempts, log loss."""
    exponent = 0.0 if problem.frac is None else 1 / problem.frac - 1
    lr, step, attempts, log_time, log_reference = problem.step_size, 0, 0, -math.inf, 0.0
    point = evaluate(problem, data, to_parameters(weights, problem.norm))
    log_loss = point.log_loss.item()
    gradients = slopes(problem, point, records, attempts, lr, log_time)
    while log_loss > problem.log_loss and step < problem.steps and lr > SMALLEST_STEP_SIZE:
        attempts += 1
        scale = lr * math.exp(exponent * log_reference + log_loss)
        with torch.no_grad():
            moved = [p - scale * g for p, g in zip(point.parameters, gradients, strict=True)]
        proposal = evaluate(problem, data, moved)
        proposed = proposal.log_loss.item()
        if problem.frac is not None and not proposed <= log_loss:  # higher or NaN
            lr /= FACTOR
            continue
        log_time = float(np.logaddexp(log_time, math.log(lr) + exponent * log_reference))
        log_reference, point, log_loss, step = log_loss, proposal, proposed, step + 1
        if problem.frac is not None and lr < problem.cap:
            lr *= FACTOR
        gradients = slopes(problem, point, records, attempts, lr, log_time)
    records.flush()
    return step, attempts, log_loss


def slopes(problem: Problem, point: Point, records: Records, attempts: int, lr: float, log_time: float) -> list[Tensor]:
    """Records the point and returns the gradient of log L in its parameters."""
    wanted = point.weights if problem.norm == "none" else [*point.weights, *point.parameters]
    gradients = list(torch.autograd.grad(point.log_loss, wanted))
    layers = len(point.weights)
    records.add(point, gradients[:layers], attempts, lr, log_time)
    return gradients[-len(point.parameters) :]


def load(problem: Problem, path: Path) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The data, float64 with labels -1/+1, and the trained layers' initial weights."""
    with np.load(path) as arrays:
        tensors = {key: torch.from_numpy(arrays[key].astype(np.float64)) for key in arrays.files}
    weights = [tensors.pop(key) for key in sorted(tensors) if key.startswith("layers.")]
    fixed = weights.pop() if problem.architecture.fixed_output else torch.empty(0)
    return tensors | {"fixed": fixed}, weights


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PROBLEMS)
    parser.add_argument("--start", type=Path, required=True, help="folder of NAME.seed=S.start.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--log-loss", type=float, help="nats")
    parser.add_argument("--block", type=int, default=1)
    options = parser.parse_args(words)
    given: dict[str, Any] = {"steps": options.steps, "log_loss": options.log_loss}
    problem = PROBLEMS[options.name]._replace(**{key: value for key, value in given.items() if value is not None})
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    totals, seconds = np.zeros(2, int), 0.0
    log_loss = math.nan
    for file in problem.files:
        stem = f"{options.name}.seed={options.seed}.{file}"
        data, weights = load(problem, options.start / f"{stem}.npz")
        records = Records(problem, data, options.block)
        began = time.perf_counter()
        steps, attempts, log_loss = train(problem, data, weights, records)
        seconds += time.perf_counter() - began
        totals += steps, attempts
        np.savez(options.start / f"{stem}.records.npz", **records.arrays())  # pyright: ignore[reportArgumentType]
    figures = {"name": options.name, "steps": int(totals[0]), "attempts": int(totals[1])}
    figures |= {"seconds_total": time.perf_counter() - BEGAN, "seconds_loop": seconds, "log_loss": log_loss}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
