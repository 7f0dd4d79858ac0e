"""Whole runs against a plain numpy loop written from the paper's equations, with its own gradients."""

import numpy as np
import pytest

from tests.helpers import column, make_program, make_settings, measures, mlp, points_of, run
from wnexp.nn.initializers import initialize

X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
Y = np.array([-1, -1, 1, 1])
OUTPUT = np.repeat([1.0, -1.0], 10)


def look(alpha, v):
    """Log loss, and its gradients in `alpha` and `v`, of XOR under EWN (logistic loss, ReLU, fixed output)."""
    length = np.linalg.norm(v, axis=0)
    unit = v / length
    w = np.exp(alpha) * unit
    z = X @ w
    s = Y * (np.maximum(z, 0) @ OUTPUT)
    loss = np.logaddexp(0, -s)
    share = np.exp(np.log(loss) - np.log(loss).max())
    log_loss = np.log(loss).max() + np.log(share.sum())
    pull = -share / share.sum() * np.exp(-s - loss) / loss * Y
    g = X.T @ (pull[:, None] * (z > 0) * OUTPUT)
    return log_loss, (w * g).sum(axis=0), np.exp(alpha) / length * (g - unit * (unit * g).sum(axis=0))


def descend(weight, frac, cap, target, decay):
    """The log loss before every accepted step; decay shrinks `alpha` and `v`."""
    alpha, v = np.log(np.linalg.norm(weight, axis=0)), weight / np.linalg.norm(weight, axis=0)
    lr, log_reference, now, log_losses = 0.01, 0.0, look(alpha, v), []
    while now[0] > target:
        log_losses.append(now[0])
        while True:
            scale = lr * np.exp((1 / frac - 1) * log_reference + now[0])
            kept = 1 - lr * decay
            proposal = look(kept * alpha - scale * now[1], kept * v - scale * now[2])
            if proposal[0] <= now[0]:
                break
            lr /= 1.1
        alpha, v = kept * alpha - scale * now[1], kept * v - scale * now[2]
        lr = lr * 1.1 if lr < cap else lr
        log_reference, now = now[0], proposal
    return np.array([*log_losses, now[0]])


@pytest.mark.parametrize(
    ("seed", "decay", "target"), [(0, 0.0, -50.0), (0, 0.3, -1.5), pytest.param(1, 0.0, -50.0, marks=pytest.mark.slow)]
)
def test_xor_under_ewn_to_1e_12_nats_at_every_step(seed, decay, target):
    architecture = mlp(2, (20,), 1, "relu", fixed_output=tuple(OUTPUT.tolist()))
    weight = initialize(architecture, seed, "uniform", "float64")[0]["weight"]
    want = descend(weight, 5.0, 0.1, target, decay)
    configuration = make_settings(target=target, max_steps=100_000, ratio=1.0, frac=5.0, cap=0.1, weight_decay=decay)
    _, records = run(
        make_program(architecture, "ewn", measures=measures()), points_of(X, Y, X, Y), configuration, seeds=(seed,)
    )
    assert len(want) > (2000 if not decay else 20)
    np.testing.assert_allclose(column(records, "log_loss"), want, atol=1e-12)
