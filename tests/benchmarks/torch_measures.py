"""What wnexp records at a step, in PyTorch: nets, losses and measures of `torch_small.py`.

All functions work on the last axes, so they take one step or a stack of steps `(t, ...)` alike.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS = {
    "linear": (1, lambda z: z),
    "relu": (1, torch.relu),
    "relu_squared": (2, lambda z: torch.relu(z).square()),
}


class Architecture(NamedTuple):
    """A dense net with one output."""

    activation: str  # a row of `ACTIVATIONS`
    fixed_output: bool = False  # the last layer is constant


def outputs(architecture: Architecture, weights: list[Tensor], fixed: Tensor, x: Tensor) -> Tensor:
    """Outputs `(..., n)` for inputs `(n, d)`; weights `(..., fan_in, neurons)`."""
    activation = ACTIVATIONS[architecture.activation][1]
    layers = [*weights, fixed] if architecture.fixed_output else weights
    for index, weight in enumerate(layers):
        x = (activation(x) if index else x) @ weight
    return x.squeeze(-1)


def log_losses(margins: Tensor) -> Tensor:
    """`log log(1 + exp(-s))` (nats) of margins of any shape; beyond 40 nats it is `-s` to the last digit."""
    shallow = F.softplus(-margins.clamp(max=40.0), threshold=40.0).log()
    return torch.where(margins > 40.0, -margins, shallow)


def inverse_loss(log_loss: Tensor) -> Tensor:
    """The margin at which one sample alone has this log loss (nats): `-log(exp(L) - 1)`."""
    return torch.where(log_loss < -40.0, -log_loss, -torch.expm1(log_loss.clamp(min=-40.0).exp()).log())


@torch.no_grad()
def measure(
    architecture: Architecture,
    data: dict[str, Tensor],
    weights: list[Tensor],
    gradients: list[Tensor],
    margins: Tensor,
    log_loss: Tensor,
) -> dict[str, Tensor]:
    """The columns of wnexp's steps, neurons and samples tables, `(...)`, `(..., neurons)` and `(..., n)`.

    weights, gradients: `(..., fan_in, neurons)` a trained layer, gradients of log L (nats); margins `(..., n)`.
    """
    lengths = [w.norm(dim=-2) for w in weights]
    slopes = [g.norm(dim=-2) for g in gradients]
    products = [-(w * g).sum(dim=-2) for w, g in zip(weights, gradients, strict=True)]
    layer_norms = [n.norm(dim=-1) for n in lengths]
    weight_norm = torch.stack(layer_norms).norm(dim=0)
    gradient_norm = torch.stack([n.norm(dim=-1) for n in slopes]).norm(dim=0)
    alignment = sum(p.sum(dim=-1) for p in products) / (weight_norm * gradient_norm)
    q = margins.amin(dim=-1)
    degrees = _degrees(architecture, len(weights))
    degree = sum(degrees)
    test = outputs(architecture, weights, data["fixed"], data["test_x"]) * data["test_y"]
    layers = torch.stack([n**k for n, k in zip(layer_norms, degrees, strict=True)]).prod(dim=0)
    columns = {
        "log_loss": log_loss,
        "train_accuracy": (margins > 0).double().mean(dim=-1),
        "test_accuracy": (test > 0).double().mean(dim=-1),
        "log_test_loss": torch.logsumexp(log_losses(test), dim=-1),
        "margin": q,
        "weight_norm": weight_norm,
        "normalized_margin": q / weight_norm**degree,
        "layer_margin": q / layers,
        "smoothed_margin": inverse_loss(log_loss) / weight_norm**degree,
        "alignment": alignment,
    }
    columns |= _kkt(margins, q, weight_norm, gradient_norm, alignment, degree)
    for index, (n, slope, product) in enumerate(zip(lengths, slopes, products, strict=True)):
        columns |= _neurons(index, log_loss, n, slope, product)
        if weights[index].shape[-2] <= 16:
            columns[f"layers.{index}.direction"] = weights[index] / n.unsqueeze(-2)
    relative = log_losses(margins)
    relative = (relative - relative.amax(dim=-1, keepdim=True)).exp()
    return columns | {"margins": margins, "loss_share": relative / relative.norm(dim=-1, keepdim=True)}


def _degrees(architecture: Architecture, trained: int) -> list[int]:
    base, layers = ACTIVATIONS[architecture.activation][0], trained + architecture.fixed_output
    return [base ** (layers - 1 - index) for index in range(trained)]


def _neurons(index: int, log_loss: Tensor, lengths: Tensor, slopes: Tensor, products: Tensor) -> dict[str, Tensor]:
    """Columns `(..., neurons)` of one layer."""
    log_gradient_norm = log_loss.unsqueeze(-1) + slopes.log()
    columns = {
        "weight_norm": lengths,
        "norm_ratio": lengths / lengths.amax(dim=-1, keepdim=True),
        "log_gradient_norm": log_gradient_norm,
        "log_gradient_ratio": log_gradient_norm - lengths.log(),
        "alignment": products / (lengths * slopes),
    }
    return {f"layers.{index}.{key}": value for key, value in columns.items()}


def _kkt(
    margins: Tensor, q: Tensor, weight_norm: Tensor, gradient_norm: Tensor, alignment: Tensor, degree: int
) -> dict[str, Tensor]:
    """Residuals `(...)` of `w/||w||` as a KKT point; NaN until the data are separated."""
    safe = torch.where(q > 0, q, math.nan)
    shares = torch.softmax(log_losses(margins), dim=-1)
    deep = margins.clamp(max=40.0)
    pull = shares * torch.sigmoid(-deep) / F.softplus(-deep, threshold=40.0)
    multipliers = (safe ** (1 - 2 / degree) * weight_norm / gradient_norm).unsqueeze(-1) * pull
    slack = multipliers * (margins / safe.unsqueeze(-1) - 1)
    epsilon = (2 * (1 - alignment)).clamp(min=0).sqrt() * weight_norm / safe ** (1 / degree)
    return {"kkt_epsilon": epsilon, "kkt_delta": slack.amax(dim=-1)}
