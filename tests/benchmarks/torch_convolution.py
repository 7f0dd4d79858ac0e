"""Epochs of convolutional networks in PyTorch: what `wnexp_convolution.py` does, from the file that it wrote.

python tests/benchmarks/torch_convolution.py --norm ewn --start FILE [--epochs E] [--threads T]

Autograd with oneDNN's convolutions in channels-last layout, the same order of samples, the loss in the log domain, one
fused update of all parameters, no autograd in the loss pass; an epoch after which the loss is higher is undone. Prints
one JSON line: the seconds of an epoch after two warm ones, and the log loss (nats) after every epoch up to the second.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BATCH, EVALUATION_BLOCK, LEARNING_RATE, FACTOR = 128, 256, 0.01, 1.1


class Start(NamedTuple):
    """What wnexp started from, in PyTorch's layouts."""

    x: Tensor  # (n, channels, height, width), channels last in memory
    y: Tensor  # (n,)
    weights: list[Tensor]  # (neurons, in, 3, 3), channels last in memory, or (neurons, fan_in)
    bias: Tensor | None  # (neurons,) of the first layer
    pool: list[bool]
    orders: Tensor  # (epochs, n)


def load(path: Path) -> Start:
    """Read the file."""
    with np.load(path) as arrays:
        height, width, channels = arrays["image"]
        x = torch.from_numpy(arrays["x"].astype(np.float32)).reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        kept = [torch.from_numpy(arrays[f"layers.{index}.weight"]) for index in range(len(arrays["pool"]))]
        bias = torch.from_numpy(arrays["layers.0.bias"]) if "layers.0.bias" in arrays.files else None
        weights = [w.permute(3, 2, 0, 1) if w.ndim == 4 else w.T.contiguous() for w in kept]
        return Start(
            x.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(arrays["y"]),
            [w.contiguous(memory_format=torch.channels_last) if w.ndim == 4 else w for w in weights],
            bias,
            arrays["pool"].tolist(),
            torch.from_numpy(arrays["orders"].astype(np.int64)),
        )


class Net:
    """Parameters: of a normalized layer `alpha (neurons,)` and `v`, else the weight; the first layer's bias."""

    def __init__(self, norm: str, start: Start):
        self.pool = start.pool
        self.normalized = [norm == "ewn"] * (len(start.weights) - 1) + [False]
        self.layers: list[list[Tensor]] = []
        for weight, normalized in zip(start.weights, self.normalized, strict=True):
            length = weight.flatten(1).norm(dim=1)
            shaped = length.reshape(-1, *[1] * (weight.ndim - 1))
            self.layers.append([weight / shaped, length.log()] if normalized else [weight.clone()])
        self.bias = None if start.bias is None else start.bias.clone()
        self.parameters = [p for layer in self.layers for p in layer] + ([] if self.bias is None else [self.bias])
        for parameter in self.parameters:
            parameter.requires_grad_()

    def weight(self, index: int) -> Tensor:
        """The effective weight of a layer."""
        v, *alpha = self.layers[index]
        if not alpha:
            return v
        scale = alpha[0].exp() / v.flatten(1).norm(dim=1)
        return v * scale.reshape(-1, *[1] * (v.ndim - 1))

    def outputs(self, x: Tensor) -> Tensor:
        """`(n, channels, height, width) -> (n, k)`."""
        for index, pooled in enumerate(self.pool):
            weight, bias = self.weight(index), self.bias if index == 0 else None
            if weight.ndim == 4:
                x = F.conv2d(x, weight, bias, padding=1)
            else:
                x = F.linear(x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x, weight, bias)
            if index < len(self.pool) - 1:
                x = F.relu(x, inplace=True)
            if pooled:
                x = F.max_pool2d(x, 2)
        return x

    def log_losses(self, x: Tensor, y: Tensor) -> Tensor:
        """The log of every sample's cross-entropy (nats); beyond 40 nats it is minus the margin to the last digit."""
        outputs = self.outputs(x)
        own = y[:, None]
        below = torch.logsumexp(outputs.scatter(1, own, -math.inf), dim=1) - outputs.gather(1, own)[:, 0]
        return torch.where(below < -40.0, below, F.softplus(below.clamp(min=-40.0), threshold=40.0).log())

    def log_loss(self, x: Tensor, y: Tensor) -> float:
        """The log of the mean cross-entropy over all of the samples (nats)."""
        with torch.inference_mode():
            blocks = zip(x.split(EVALUATION_BLOCK), y.split(EVALUATION_BLOCK), strict=True)
            return torch.logsumexp(torch.cat([self.log_losses(*block) for block in blocks]), 0).item() - math.log(
                len(x)
            )


def train(net: Net, start: Start, order: Tensor, log_eta: float) -> None:
    """One pass over the batches, of step `exp(log_eta)` on the loss."""
    for chosen in order.split(BATCH):
        log_loss = torch.logsumexp(net.log_losses(start.x[chosen], start.y[chosen]), 0) - math.log(len(chosen))
        gradients = torch.autograd.grad(log_loss, net.parameters)
        with torch.no_grad():
            torch._foreach_sub_(net.parameters, gradients, alpha=math.exp(log_eta + log_loss.item()))


def run(norm: str, path: Path, epochs: int) -> tuple[list[float], list[float]]:
    """Seconds of every epoch, and the log loss after it."""
    start = load(path)
    net = Net(norm, start)
    lr, log_reference, log_loss = LEARNING_RATE, 0.0, net.log_loss(start.x, start.y)
    seconds, log_losses = [], []
    for order in start.orders[:epochs]:
        began = time.perf_counter()
        before = [parameter.detach().clone() for parameter in net.parameters]
        train(net, start, order, math.log(lr) - log_reference)
        proposed = net.log_loss(start.x, start.y)
        if proposed <= log_loss:
            log_loss = log_reference = proposed
            lr *= FACTOR
        else:
            lr /= FACTOR
            with torch.no_grad():
                torch._foreach_copy_(net.parameters, before)
        seconds.append(time.perf_counter() - began)
        log_losses.append(log_loss)
    return seconds, log_losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", choices=("ewn", "none"), required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3, help="timed")
    parser.add_argument("--threads", type=int, help="PyTorch's own choice if not given")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    seconds, log_losses = run(options.norm, options.start, 2 + options.epochs)
    print(json.dumps({"epoch": float(np.mean(seconds[2:])), "log_losses": log_losses[:2], "seconds": seconds}))


if __name__ == "__main__":
    main()
