"""torch.optim used plainly, on gradients of L itself, eager: the same work as `optax_rules.py` has.

python tests/benchmarks/torch_rules.py small RULE --start FILE [--updates N]
python tests/benchmarks/torch_rules.py epoch RULE [--samples N] [--width W] [--batch B] [--epochs E]

`small` on one thread, which is the fastest at this size. Prints one JSON line.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from harness import random_images, rule_script
from torch import Tensor
from torch_epoch import PlainNet, initial_weights

TINY = 1e-30  # eps
RULES: dict[str, Callable[[Iterable[Tensor], float], torch.optim.Optimizer]] = {
    "momentum": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
    "nesterov": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True),
    "adam": lambda p, lr: torch.optim.Adam(p, lr, eps=TINY),
    "rmsprop": lambda p, lr: torch.optim.RMSprop(p, lr, alpha=0.999, eps=TINY),
    "adagrad": lambda p, lr: torch.optim.Adagrad(p, lr, eps=TINY),
}


def small(rule: str, start: Path, updates: int, step_size: float) -> dict[str, float]:
    """Seconds of so many updates of the 2-8-1 net on lin-sep, and the log loss they reach (nats)."""
    torch.set_num_threads(1)
    with np.load(start) as arrays:
        x, y, first, second = (
            torch.from_numpy(arrays[key].astype(float)) for key in ("train_x", "train_y", "layers.0", "layers.1")
        )

    def loss() -> Tensor:
        return F.softplus(-y * (torch.relu(x @ first).square() @ second)[:, 0]).sum()

    optimizer = RULES[rule]([first.requires_grad_(), second.requires_grad_()], step_size)
    began = time.perf_counter()
    for _ in range(updates):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return {"seconds": time.perf_counter() - began, "updates": updates, "log_loss": loss().log().item()}


def epoch(rule: str, samples: int, width: int, batch: int, epochs: int, step_size: float) -> dict[str, float]:
    """Seconds of an epoch with its pass for the training loss after a warm one, and the last loss."""
    x, y = map(torch.from_numpy, random_images(samples))
    net, generator = PlainNet("none", initial_weights(width, 0)), torch.Generator().manual_seed(0)
    optimizer, loss, seconds = RULES[rule](net.parameters, step_size), 0.0, []
    for _ in range(1 + epochs):
        began = time.perf_counter()
        for chosen in torch.randperm(samples, generator=generator).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(net.outputs(x[chosen]), y[chosen]).backward()
            optimizer.step()
        loss = net.mean_loss(x, y)
        seconds.append(time.perf_counter() - began)
    return {"epoch": sum(seconds[1:]) / epochs, "loss": loss}


if __name__ == "__main__":
    rule_script(__doc__, RULES, small, epoch)
