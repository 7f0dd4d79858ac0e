"""Many seeds of the paper's small experiments as one PyTorch program: torch.func.vmap, torch.compile, or both.

python tests/benchmarks/torch_seeds.py lin_sep_ewn --start FILE [--seeds S] [--compile] [--steps N]

An attempt is a pure function of one seed's state with `where` in the place of branches, mapped over the seeds by vmap
(one seed alone is not), perhaps compiled as a whole; the loop over attempts is Python's, float64, nothing is recorded,
and every 50 attempts it looks whether all seeds are done. FILE holds data and every seed's initial weights as
`bench.py` wrote them from a wnexp run. Prints one JSON line: seconds of the loop and those of compiling before it,
attempts and accepted steps in all, log losses (nats).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch_measures import log_losses, outputs
from torch_small import FACTOR, PROBLEMS, SMALLEST_STEP_SIZE, Problem, load, to_parameters, to_weights

LOOK_EVERY = 50
State = dict[str, Tensor | list[Tensor]]


def loss_of(problem: Problem, data: dict[str, Tensor]) -> Callable[[list[Tensor]], Tensor]:
    """Parameters -> log L (nats)."""

    def log_loss(parameters: list[Tensor]) -> Tensor:
        weights = to_weights(parameters, problem.norm)
        margins = outputs(problem.architecture, weights, data["fixed"], data["train_x"]) * data["train_y"]
        return torch.logsumexp(log_losses(margins), dim=0)

    return log_loss


def attempt_of(problem: Problem, data: dict[str, Tensor], steps: int) -> Callable[[State], State]:
    """One attempt of one seed that is not done; else its state as it was."""
    assert problem.frac is not None
    exponent, slope = 1 / problem.frac - 1, torch.func.grad_and_value(loss_of(problem, data))

    def attempt(now):
        scale = now["lr"] * torch.exp(exponent * now["log_reference"] + now["log_loss"])
        moved = [p - scale * g for p, g in zip(now["parameters"], now["gradient"], strict=True)]
        gradient, log_loss = slope(moved)
        going = (now["log_loss"] > problem.log_loss) & (now["step"] < steps) & (now["lr"] > SMALLEST_STEP_SIZE)
        accept = going & (log_loss <= now["log_loss"])

        def chosen(new, old):
            return [torch.where(accept, a, b) for a, b in zip(new, old, strict=True)]

        grown = torch.where(now["lr"] < problem.cap, now["lr"] * FACTOR, now["lr"])
        return {
            "parameters": chosen(moved, now["parameters"]),
            "gradient": chosen(gradient, now["gradient"]),
            "log_loss": torch.where(accept, log_loss, now["log_loss"]),
            "log_reference": torch.where(accept, now["log_loss"], now["log_reference"]),
            "lr": torch.where(accept, grown, torch.where(going, now["lr"] / FACTOR, now["lr"])),
            "step": now["step"] + accept,
            "attempts": now["attempts"] + going,
            "going": going,
        }

    return attempt


def started(problem: Problem, data: dict[str, Tensor], weights: list[Tensor]) -> State:
    """The state of one seed at its initial weights."""
    parameters = [p.detach() for p in to_parameters(weights, problem.norm)]
    gradient, log_loss = torch.func.grad_and_value(loss_of(problem, data))(parameters)
    zero = torch.zeros_like(log_loss)
    count = torch.zeros_like(log_loss, dtype=torch.int64)
    numbers = {"log_loss": log_loss, "log_reference": zero, "lr": zero + problem.step_size, "going": count == 0}
    return numbers | {"parameters": parameters, "gradient": list(gradient), "step": count, "attempts": count.clone()}


def run(problem: Problem, path: Path, seeds: int, steps: int, compiled: bool) -> dict:
    """Train so many seeds until all are done."""
    data, weights = load(problem, path)
    data["fixed"] = data["fixed"][0] if len(data["fixed"]) else data["fixed"]  # is every seed's
    attempt, begin = attempt_of(problem, data, steps), lambda weights: started(problem, data, weights)
    if seeds > 1:
        weights, attempt, begin = [w[:seeds] for w in weights], torch.func.vmap(attempt), torch.func.vmap(begin)
    else:
        weights = [w[0] for w in weights]
    attempt, began = torch.compile(attempt) if compiled else attempt, time.perf_counter()
    with torch.no_grad():
        state = begin(weights)
        warm = state
        for _ in range(3):  # the first call compiles, the second perhaps once more for what the first returns
            warm = attempt(warm)
        compiling, began = time.perf_counter() - began, time.perf_counter()
        while state["going"].any():
            for _ in range(LOOK_EVERY):
                state = attempt(state)
    figures = {"seconds": time.perf_counter() - began, "compiling": compiling}
    figures |= {key: int(state[key].sum()) for key in ("attempts", "step")}
    return figures | {"log_losses": state["log_loss"].reshape(-1).tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("lin_sep_ewn", "xor_ewn"))
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000, help="accepted steps of a seed at most")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    print(json.dumps(run(PROBLEMS[options.name], options.start, options.seeds, options.steps, options.compile)))


if __name__ == "__main__":
    main()
