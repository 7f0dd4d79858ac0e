"""A small network under none, SWN or EWN, in plain floats: its loss and the gradients, by hand."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Net:
    """`phi(x W_1) W_2` with squared ReLU under none, SWN or EWN (no bias), logistic loss or cross-entropy (sum)."""

    norm: str
    x: np.ndarray
    y: np.ndarray

    def parameters(self, weights):
        """The leaves: of every layer its weights, or scale and direction."""
        lengths = [np.linalg.norm(w, axis=0) for w in weights]
        if self.norm == "none":
            return [w.copy() for w in weights]
        scales = lengths if self.norm == "swn" else [np.log(length) for length in lengths]
        return [leaf for w, scale, length in zip(weights, scales, lengths, strict=True) for leaf in (scale, w / length)]

    def weights(self, leaves):
        if self.norm == "none":
            return leaves
        radius = (lambda scale: scale) if self.norm == "swn" else np.exp
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
            unit, radius = v / length, scale if self.norm == "swn" else np.exp(scale)
            radial = (unit * slope).sum(axis=0)
            found += [radial if self.norm == "swn" else radius * radial, radius / length * (slope - unit * radial)]
        return found
