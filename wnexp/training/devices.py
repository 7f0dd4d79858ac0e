"""The devices of a run: JAX set up for them, and the seeds, or the samples, spread over them.

Seeds are independent, so every device trains its own share of them in its own loop and waits for no other. On a CPU
each core counts as a device, takes `_CPU_SEEDS` seeds before the next one gets any, and never more: what costs is
then the arithmetic, no longer the operations' overhead, seeds that are done make room for others instead of being
computed along, and no number depends on how many devices share them.

Where there are fewer seeds than cards, and a step is long enough to be worth the sum of the gradients over them, all
cards train all seeds together, each on its share of the samples. Sums are then taken in another order. So do the
devices of all processes of a distributed run, where a whole CPU is one device.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wnexp.errors import UserError
from wnexp.training import environment

_CPU_SEEDS = 64
_OF_CORES = frozenset({"cpu"})  # platforms whose devices are cores: one seed uses all of them
# Multiply-adds of a step, forwards, that a card must have to itself before a batch is split: some .1 ms of arithmetic,
# when to sum a large network's gradients over cards takes about as long. Reckoned, not measured.
_WORTH_A_SUM = 2**30
# Multiply-adds of an attempt up to which the launches of a GPU's kernels take longer than the whole of it on a CPU.
_TINY = 2**20


def open_devices(name: str, precision: str, work: float = math.inf, distributed: bool = False) -> list[Any]:
    """The devices of that name, those of all processes if `distributed`, with JAX set up for them. Raises `UserError`.

    `auto` is the best kind there is, but a CPU if an attempt takes few multiply-adds (`work`).
    """
    environment.pin()
    devices = _devices(name, "cpu" if name == "auto" and work < _TINY else name)
    if distributed:
        devices = jax.devices(devices[0].platform)
    check_precision(precision, devices[0].platform)
    jax.config.update("jax_enable_x64", devices[0].platform != "tpu")
    return devices


def _devices(name: str, chosen: str) -> list[Any]:
    """The devices of the kind chosen for `name`, or of the best kind if it is `auto`."""
    try:
        return jax.local_devices(backend=None if chosen == "auto" else chosen)
    except (RuntimeError, AssertionError):
        known = ", ".join(environment.platforms())
    if name == "auto":  # a cpu would have been as good, but JAX_PLATFORMS has none
        return jax.local_devices()
    limit = f" under JAX_PLATFORMS={asked}" if (asked := environment.asked_platforms()) else ""
    raise UserError(f"device={name} is not on this machine{limit}; here: auto, {known}")


def check_precision(precision: str, platform: str) -> None:
    """Raise `UserError` for float64 on a device that has none."""
    if precision == "float64" and platform == "tpu":
        raise UserError("precision=float64 needs a cpu or gpu; a tpu has float32 only (precision=float32)")


def cards_that_share(seeds: int, cards: int, work: float) -> int:
    """How many share the samples of a step of `work` multiply-adds a seed; 1 where every card has seeds of its own."""
    worth_it = int(min(cards, work * seeds // _WORTH_A_SUM))
    return worth_it if worth_it > seeds else 1


class SeedBatch:
    """The seeds of a run on their devices: `count` seeds in `total` places, `width` of them trained at once.

    Places beyond the seeds fill the last device; they repeat the last seed. `work` is the multiply-adds of a step of
    one seed. `mesh` is of devices that have seeds of their own, `samples` of devices that share the samples of all.
    """

    def __init__(self, seeds: np.ndarray, devices: list[Any], work: float = 0.0, distributed: bool = False):
        self.seeds, count = seeds, len(seeds)
        cores = devices[0].platform in _OF_CORES
        share = min(count, _CPU_SEEDS) if cores else -(-count // len(devices))
        if distributed and cores:
            devices = list({device.process_index: device for device in devices}.values())
        one_each = 1 if cores else cards_that_share(count, len(devices), work)
        sharing = len(devices) if distributed else one_each
        of_samples = sharing > 1
        devices = devices[: sharing if of_samples else -(-count // share)]
        self.count, self.devices = count, len(devices)
        self.width = count if of_samples else share * len(devices)
        self.total = max(count, self.width)
        mesh = Mesh(np.array(devices), ("samples" if of_samples else "seeds",)) if len(devices) > 1 else None
        self.mesh, self.samples = (None, mesh) if of_samples else (mesh, None)
        self._split, self._same = devices[0], devices[0]
        if mesh is not None:
            self._same = NamedSharding(mesh, PartitionSpec())
            self._split = self._same if of_samples else NamedSharding(mesh, PartitionSpec("seeds"))

    @property
    def whole(self) -> bool:
        """Whether all places are trained at once; their state then stays on the devices."""
        return self.width == self.total

    def share(self, tree: Any) -> Any:
        """Arrays that every device needs."""
        return _put_on(self._same, tree)

    def split(self, tree: Any) -> Any:
        """Arrays with a leading axis of `width` places, every device its own."""
        return _put_on(self._split, tree)

    def pad(self, tree: Any) -> Any:
        """Host arrays of all seeds, for all places."""
        extra = self.total - self.count
        return jax.tree.map(lambda a: np.concatenate([a, np.repeat(a[-1:], extra, axis=0)]) if extra else a, tree)

    def own(self, tree: Any) -> Any:
        """The seeds' part of arrays with a leading axis of places, on the host."""
        return jax.tree.map(lambda a: np.asarray(a)[: self.count], tree)

    def groups(self, active: np.ndarray) -> list[np.ndarray]:
        """Places `(width,)` to train together, each active one in a group; the last group is filled with others."""
        if self.whole:
            return [np.arange(self.total)]
        order = np.argsort(~active, kind="stable")
        starts = range(0, max(1, int(active.sum())), self.width)
        return [order[min(start, self.total - self.width) :][: self.width] for start in starts]

    def map(self, function: Callable, tree: Any, *shared: Any, wanted: Any = slice(None)) -> Any:
        """`function(*tree, *shared)` over all places, or at least those wanted; in groups the result is on the host."""
        if self.whole:
            return function(*self.split(tree), *shared)
        result: Any = None
        active = np.zeros(self.total, bool)
        active[wanted] = True
        for group in self.groups(active):
            part = jax.device_get(function(*self.split(take(tree, group)), *shared))
            if result is None:
                result = jax.tree.map(lambda a: np.empty((self.total, *a.shape[1:]), a.dtype), part)
            put(result, group, part)
        return result


def _put_on(place: Any, tree: Any) -> Any:
    if not isinstance(place, NamedSharding) or place.is_fully_addressable:
        return jax.device_put(tree, place)

    def put(array):  # which every process has: JAX need not compare them
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, place, lambda index: array[index])

    return jax.tree.map(put, tree)


def take(whole: Any, group: np.ndarray | int) -> Any:
    """The places of a group, or one place, from host arrays of all places."""
    return jax.tree.map(lambda a: a[group], whole)


def put(whole: Any, group: np.ndarray, part: Any) -> None:
    """Write the places of a group into host arrays of all places."""
    for to, value in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        to[group] = value
