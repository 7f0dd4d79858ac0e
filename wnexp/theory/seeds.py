"""The records of one seed as the claims need them: plain arrays, and what the theory reads off them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

DEEP = 1000.0  # nats; statements about the limit are not refuted before
_HALF_DECADE = 10**0.5
_STANDS = 0.02  # of a layer's growth, slower or faster: the share of such a neuron changes by 1 to 5 % a decade
_VISIBLE = 0.01  # of a layer's norm
_RESTS = 0.02  # nats, or of a layer's Euler sum


@dataclass
class SeedRecords:
    """One seed: `r` records and `u` neurons of all trained layers side by side.

    A layer with one scale (`norm.per=layer`) counts as one neuron, whose weights are all of the layer's.
    """

    seed: int
    steps: dict[str, np.ndarray]  # columns of steps.parquet, each (r,)
    norms: np.ndarray  # (r, u), ||w_u||
    log_gradients: np.ndarray  # (r, u), log ||grad_u L||
    alignments: np.ndarray  # (r, u), cos(w_u, -grad_u L)
    layers: np.ndarray  # (u,)
    degrees: np.ndarray  # (u,), k_l of the neuron's layer

    @property
    def depth(self) -> np.ndarray:
        """`tau = -log L` in nats, `(r,)`."""
        return -self.steps["log_loss"]

    def window(self, decades: float, end: float = 1.0) -> np.ndarray:
        """The records of so many decades of `tau` up to the share `end` of the final one, a mask `(r,)`."""
        last = end * self.depth[-1]
        return (self.depth >= last / 10**decades) & (self.depth <= last * (1 + 1e-9)) & (self.depth > 1)

    @property
    def gradients(self) -> np.ndarray:
        """`||grad_u log L||`, `(r, u)`."""
        return np.exp(np.nan_to_num(self.log_gradients, nan=-np.inf, neginf=-np.inf) + self.depth[:, None])

    @property
    def cosines(self) -> np.ndarray:
        """`cos(w_u, -grad_u L)`, 0 where there is no gradient, `(r, u)`."""
        return np.nan_to_num(self.alignments)

    @cached_property
    def pull(self) -> np.ndarray:
        """`Q = sum_i p_i |lam'(z_i)| z_i`, `(r,)`: by Euler's theorem `-sum_{u in l} w_u.grad_u log L = k_l Q`."""
        return np.sum(self.norms * self.gradients * self.cosines, axis=1) / self._degree

    @property
    def _degree(self) -> float:
        return float(sum(dict(zip(self.layers.tolist(), self.degrees, strict=True)).values()))

    @property
    def shares(self) -> np.ndarray:
        """`a_u = -w_u.grad_u log L / Q`, `(r, u)`: what a neuron contributes to its layer's Euler sum, `k_l`."""
        return self.norms * self.gradients * self.cosines / self.pull[:, None]

    @cached_property
    def growth(self) -> np.ndarray:
        """`d log ||w_u|| / d log tau` over the last decade, `(u,)`."""
        return self._power(np.maximum(self.norms, np.finfo(float).tiny))

    def _power(self, values: np.ndarray) -> np.ndarray:
        window = self.window(1.0)
        if window.sum() < 3:
            return np.zeros(values.shape[1])
        return np.polyfit(np.log(self.depth[window]), np.log(values[window]), 1)[0]

    @cached_property
    def _layer_norms(self) -> np.ndarray:
        """The norm of the neuron's layer, `(r, u)`."""
        squares = np.square(self.norms)
        return np.sqrt(np.stack([squares[:, self.layers == layer].sum(axis=1) for layer in self.layers], axis=1))

    @cached_property
    def active(self) -> np.ndarray:
        """Neurons whose share of their layer's norm does not fall, `(u,)`; the norms alone decide.

        Norms grow as powers of `tau`. Over the last decade the neuron's power is at most 2 % below its layer's; the
        share of a neuron that is further behind vanishes, be it slowly.
        """
        return self._behind >= -_STANDS

    @cached_property
    def _behind(self) -> np.ndarray:
        """How much slower (< 0) or faster a neuron grows than its layer, relative, `(u,)`."""
        layer = self._power(self._layer_norms)
        return (self.growth - layer) / np.maximum(np.abs(layer), np.finfo(float).tiny)

    @cached_property
    def undecided(self) -> bool:
        """Whether neurons still compete: one of more than a hundredth of its layer's norm changes its share."""
        visible = self.norms[-1] >= _VISIBLE * self._layer_norms[-1]
        return bool(np.any(visible & (np.abs(self._behind) > _STANDS)))

    @property
    def _deep(self) -> bool:
        return bool(self.depth[-1] >= DEEP)

    def _rests(self, values: np.ndarray) -> bool:
        """Whether values `(r, ...)` have moved by less than 0.02 since half a decade of `tau` before."""
        before = int(np.searchsorted(self.depth, self.depth[-1] / _HALF_DECADE))
        return bool(np.all(np.abs(values[-1] - values[before]) < _RESTS))

    @cached_property
    def steady(self) -> bool:
        """Whether the run is deep enough to refute a statement about time.

        At least 1,000 nats; the largest loss share of a sample, `exp(-(margin - tau))` up to a constant, and the
        neurons' shares of the Euler sums have come to rest.
        """
        return self._deep and self._rests(self.steps["margin"] - self.depth) and self._rests(self.shares)

    @cached_property
    def settled(self) -> bool:
        """Whether it is deep enough to refute a statement about the weights: no neurons that still compete either."""
        return self._deep and self._rests(self.steps["margin"] - self.depth) and not self.undecided


def of_whole_layers(seed: SeedRecords, whole: Sequence[int]) -> SeedRecords:
    """The records with the neurons of each of these layers taken together as one."""
    for layer in whole:
        own = seed.layers == layer
        norms, logs, cosines = seed.norms[:, own], seed.log_gradients[:, own], np.nan_to_num(seed.alignments[:, own])
        size, log_size = np.sqrt(np.sum(norms**2, axis=1)), 0.5 * np.logaddexp.reduce(2 * logs, axis=1)
        with np.errstate(invalid="ignore"):
            cosine = np.sum(norms * np.exp(logs - log_size[:, None]) * cosines, axis=1) / size
        kept = np.flatnonzero(~own | (np.arange(len(own)) == np.argmax(own)))
        place, columns = int(np.flatnonzero(seed.layers[kept] == layer)[0]), {}
        for name, values in (("norms", size), ("log_gradients", log_size), ("alignments", cosine)):
            columns[name] = getattr(seed, name)[:, kept].copy()
            columns[name][:, place] = values
        seed = replace(seed, **columns, layers=seed.layers[kept], degrees=seed.degrees[kept])
    return seed
