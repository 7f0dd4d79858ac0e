"""A small network under a normalization, in plain floats: its loss and the gradients, by hand."""

from dataclasses import dataclass

import numpy as np

# Norm -> length of a neuron from its scale, the derivative, the scale from the length; P = 2 for the one between.
SCALES = {
    "swn": (lambda s: s, np.ones_like, lambda n: n),
    "power": (lambda s: (1 + s / 2) ** 2, lambda s: 1 + s / 2, lambda n: 2 * (np.sqrt(n) - 1)),
    "ewn": (np.exp, np.exp, np.log),
}


@dataclass
class Net:
    """`phi(x W_1) W_2` with squared ReLU under none or a norm of `SCALES` (no bias), logistic loss or cross-entropy."""

    norm: str
    x: np.ndarray
    y: np.ndarray

    def parameters(self, weights):
        """The leaves: of every layer its weights, or scale and direction."""
        lengths = [np.linalg.norm(w, axis=0) for w in weights]
        if self.norm == "none":
            return [w.copy() for w in weights]
        scales = [SCALES[self.norm][2](length) for length in lengths]
        return [leaf for w, scale, length in zip(weights, scales, lengths, strict=True) for leaf in (scale, w / length)]

    def weights(self, leaves):
        if self.norm == "none":
            return leaves
        radius = SCALES[self.norm][0]
        return [radius(s) * v / np.linalg.norm(v, axis=0) for s, v in zip(leaves[::2], leaves[1::2], strict=True)]

    def look(self, leaves, batch=slice(None)):
        """`log L` of a batch and the gradients of `log L` in the leaves."""
        w1, w2 = self.weights(leaves)
        x, y = self.x[batch], self.y[batch]
        before = np.maximum(x @ w1, 0)
        outputs = before**2 @ w2
        if outputs.shape[1] == 1:
            s = y * outputs[:, 0]
            loss = np.logaddexp(0, -np.minimum(s, 40))
            logs = np.where(s > 40, -s, np.log(loss))
            pull = np.where(s > 40, -y, -y / (1 + np.exp(np.clip(s, -700, 40))) / loss)[:, None]
        else:
            own = outputs[np.arange(len(y)), y]
            s = -np.log(np.sum(np.exp(-(own[:, None] - outputs)) * (np.arange(outputs.shape[1]) != y[:, None]), axis=1))
            logs = np.log(np.log1p(np.exp(-s)))
            share = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
            pull = (share - (np.arange(outputs.shape[1]) == y[:, None])) * np.exp(-logs)[:, None]
        parts = np.exp(logs - logs.max())
        log_loss = logs.max() + np.log(parts.sum())
        pull = pull * (parts / parts.sum())[:, None]
        slopes = [x.T @ (2 * before * (pull @ w2.T)), (before**2).T @ pull]
        return log_loss, self._pulled(leaves, slopes)

    def _pulled(self, leaves, slopes):
        if self.norm == "none":
            return slopes
        found = []
        for scale, v, slope in zip(leaves[::2], leaves[1::2], slopes, strict=True):
            length = np.linalg.norm(v, axis=0)
            radius, derivative, _ = SCALES[self.norm]
            unit = v / length
            radial = (unit * slope).sum(axis=0)
            found += [derivative(scale) * radial, radius(scale) / length * (slope - unit * radial)]
        return found
