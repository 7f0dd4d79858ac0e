"""Epochs of MNIST's size in PyTorch, 784-1024-10: what wnexp's mini-batch training is timed against.

python tests/benchmarks/torch_epoch.py --norm ewn --variant tuned [--samples N] [--width W] [--batch B] [--epochs E]

Random images, ReLU, first-layer bias, hidden layer normalized, mean cross-entropy, float32. An epoch is one pass over
freshly shuffled mini-batches with the step `lr / L_ref` (undone, were the loss higher), a pass for the training loss,
and a pass over 10,000 test images. Four ways to write it, all of the same arithmetic:

* loader: DataLoader over a TensorDataset, autograd, torch.optim.SGD;
* indexing: batches by indexing, the weights formed from scale and direction, autograd, the update by hand;
* compiled: as indexing, loss, gradient and update of a batch one function under torch.compile;
* tuned: no autograd. The scale is applied after the product with `v`, gradients by hand, every buffer allocated once,
  updates in place inside `addmm_`, blocks of 4,096 in the loss passes.

Prints one JSON line with the seconds of each epoch; the first one is warm-up, and compiles.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from harness import random_images
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch_tuned import TunedNet

CLASSES, TEST_SAMPLES, EVALUATION_BLOCK = 10, 10_000, 4_096
LEARNING_RATE, FACTOR = 0.01, 1.1


class PlainNet:
    """The net with autograd, in torch.nn.Linear's layout.

    Parameters: `alpha (width, 1)` and `v (width, 784)`, or `w`; `bias (width,)`, `output (10, width)`.
    """

    def __init__(self, norm: str, weights: dict[str, Tensor]):
        self.normalized, w = norm == "ewn", weights["hidden"].T.contiguous()
        lengths = w.norm(dim=1, keepdim=True)
        first = [lengths.log(), w / lengths] if self.normalized else [w.clone()]
        others = [weights["bias"].clone(), weights["output"].T.contiguous()]
        self.parameters = [p.requires_grad_() for p in [*first, *others]]

    def outputs(self, x: Tensor, parameters: list[Tensor] | None = None) -> Tensor:
        """`(n, 784) -> (n, 10)`."""
        *first, bias, output = self.parameters if parameters is None else parameters
        w = first[0].exp() / first[1].norm(dim=1, keepdim=True) * first[1] if self.normalized else first[0]
        return F.linear(torch.relu(F.linear(x, w, bias)), output)

    def mean_loss(self, x: Tensor, y: Tensor) -> float:
        """Mean cross-entropy over all of the samples."""
        with torch.inference_mode():
            blocks = zip(x.split(EVALUATION_BLOCK), y.split(EVALUATION_BLOCK), strict=True)
            return sum(F.cross_entropy(self.outputs(a), b, reduction="sum").item() for a, b in blocks) / len(x)


def train_loader(net: PlainNet, x: Tensor, y: Tensor, order: Tensor, batch: int, step: float) -> None:
    """A DataLoader's epoch in that order."""
    optimizer = torch.optim.SGD(net.parameters, lr=step)
    for xs, ys in DataLoader(TensorDataset(x, y), batch_size=batch, sampler=order.tolist()):
        optimizer.zero_grad()
        F.cross_entropy(net.outputs(xs), ys).backward()
        optimizer.step()


def train_indexing(net: PlainNet, x: Tensor, y: Tensor, order: Tensor, batch: int, step: float) -> None:
    """The same by indexing and an update by hand."""
    for chosen in order.split(batch):
        loss = F.cross_entropy(net.outputs(x[chosen]), y[chosen])
        gradients = torch.autograd.grad(loss, net.parameters)
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters, gradients, strict=True):
                parameter -= step * gradient


def update(net: PlainNet, parameters: list[Tensor], xs: Tensor, ys: Tensor, step: Tensor) -> None:
    """A step on the mean loss of a batch, in place."""
    gradients = torch.func.grad(lambda p: F.cross_entropy(net.outputs(xs, p), ys))(parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.sub_(step * gradient)


@cache
def compiled_update() -> Callable:
    """One program for whole batches, another for the last one."""
    return torch.compile(update, dynamic=False)


def train_compiled(net: PlainNet, x: Tensor, y: Tensor, order: Tensor, batch: int, step: float) -> None:
    """The same with every batch one compiled function."""
    size = torch.tensor(step)  # a number would be compiled in
    parameters = [parameter.detach() for parameter in net.parameters]  # the same memory
    for chosen in order.split(batch):
        compiled_update()(net, parameters, x[chosen], y[chosen], size)


def train_tuned(net: TunedNet, x: Tensor, y: Tensor, order: Tensor, batch: int, step: float) -> None:
    """The same by `TunedNet`."""
    with torch.inference_mode():
        for chosen in order.split(batch):
            net.step(x, y, chosen, step)


VARIANTS: dict[str, tuple[Callable, Callable]] = {
    "loader": (PlainNet, train_loader),
    "indexing": (PlainNet, train_indexing),
    "compiled": (PlainNet, train_compiled),
    "tuned": (TunedNet, train_tuned),
}


def initial_weights(width: int, seed: int) -> dict[str, Tensor]:
    """Normal with variance 2 over the fan-in; `(fan_in, neurons)`."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(784, width, generator=generator) * math.sqrt(2 / 784)
    output = torch.randn(width, CLASSES, generator=generator) * math.sqrt(2 / width)
    return {"hidden": hidden, "bias": torch.zeros(width), "output": output}


def run(norm: str, variant: str, samples: int, width: int, batch: int, epochs: int) -> tuple[list[dict], float]:
    """Per epoch the seconds of its passes; and the training loss at the end."""
    make, train = VARIANTS[variant]
    x, y = map(torch.from_numpy, random_images(samples))
    test_x, test_y = map(torch.from_numpy, random_images(TEST_SAMPLES, seed=1))
    net, generator = make(norm, initial_weights(width, 0)), torch.Generator().manual_seed(0)
    lr, reference, loss, seconds = LEARNING_RATE, 1.0, net.mean_loss(x, y), []
    for _ in range(epochs):
        marks = [time.perf_counter()]
        before = [parameter.detach().clone() for parameter in net.parameters]
        train(net, x, y, torch.randperm(samples, generator=generator), batch, lr / reference)
        marks.append(time.perf_counter())
        proposed = net.mean_loss(x, y)
        if proposed <= loss:
            loss, reference, lr = proposed, proposed, lr * FACTOR
        else:
            lr /= FACTOR
            with torch.inference_mode():
                for parameter, old in zip(net.parameters, before, strict=True):
                    parameter.copy_(old)
        marks.append(time.perf_counter())
        net.mean_loss(test_x, test_y)
        marks.append(time.perf_counter())
        passes = zip(("training", "loss", "test"), marks, marks[1:], strict=False)
        seconds.append({name: end - start for name, start, end in passes} | {"total": marks[-1] - marks[0]})
    return seconds, loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", choices=("ewn", "none"), required=True)
    parser.add_argument("--variant", choices=VARIANTS, required=True)
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2, help="the first is warm-up")
    options = vars(parser.parse_args())
    seconds, loss = run(**options)
    print(json.dumps(options | {"seconds": seconds, "loss": loss}))


if __name__ == "__main__":
    main()
