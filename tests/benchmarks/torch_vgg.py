"""Epochs of a plain VGG in PyTorch, as `+experiment=cifar10` has them: a training pass and a pass for the loss.

Float32 without TF32, channels last, images and order on the device, torch.optim.SGD; `compiled` is torch.compile.
"""

import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

_BLOCK = 5_000  # images of the loss pass at once


def vgg(image: tuple[int, int, int], channels: tuple[int | str, ...], widths: tuple[int, ...]) -> nn.Sequential:
    """3 x 3 convolutions, ReLU, "M" for pooling, then dense layers to ten outputs; no biases."""
    height, width, inputs = image
    layers: list[nn.Module] = []
    for entry in channels:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        else:
            layers += [nn.Conv2d(inputs, int(entry), 3, padding=1, bias=False), nn.ReLU()]
            inputs = int(entry)
    layers.append(nn.Flatten())
    sizes = (height * width * inputs, *widths)
    for before, after in zip(sizes, widths, strict=False):
        layers += [nn.Linear(before, after, bias=False), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 10, bias=False))


def epochs(dataset: Any, channels: tuple, widths: tuple, batch: int, way: str, device: str) -> list[float]:
    """Seconds of two epochs after one of warming up."""
    place = torch.device("cuda" if device == "gpu" else device)
    height, width, depth = dataset.image
    x = torch.from_numpy(dataset.train_x).reshape(-1, height, width, depth).permute(0, 3, 1, 2)
    x = x.to(place, memory_format=torch.channels_last)
    y = torch.from_numpy(dataset.train_y).to(place)
    net = vgg(dataset.image, channels, widths).to(place, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

    def loss_of(x, y):
        return F.cross_entropy(net(x), y)

    called = torch.compile(loss_of) if way == "compiled" else loss_of

    def epoch() -> float:
        began = time.perf_counter()
        for chosen in torch.randperm(len(x), device=place).split(batch):
            optimizer.zero_grad(set_to_none=True)
            called(x[chosen], y[chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            total = sum(called(a, b) * len(a) for a, b in zip(x.split(_BLOCK), y.split(_BLOCK), strict=True))
        float(total)  # waits for the device
        return time.perf_counter() - began

    return [epoch() for _ in range(3)][1:]
