"""The standing battery of `wnexp verify`: runs that between them have something to say on every claim.

Flow on several data sets of every kind, drawn by `data.seed`: points fewer and more than the inputs (support vectors
that do not span the space, and that do), independent and correlated inputs, points that are there twice, two classes
and five; linear nets of depth 1 to 4, two-layer ReLU and squared ReLU; some of them under norms between SWN and EWN.
Discrete descent of two, by steps whose growth is capped so that they do not become visible: to -10,000 nats, under SWN,
where stability limits them, to -1,000.
"""

import math
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

from wnexp.nn.weightnorm import NORMS
from wnexp.resources import cores
from wnexp.theory import rule_battery

DATA_SEEDS = 4
_RULE_DATA_SEEDS = 1
_STANDING, _DEEP, _TWINS, _OF_FAMILY = -100_000, -1_000_000, -1000, -20_000
_DESCENT_TARGETS = {"none": -10_000, "swn": -1000, "ewn": -10_000}
_LAWS = {name: norm.law for name, norm in NORMS.items() if norm.law and norm.law.power in (1, math.inf)}
_LEVELS = ",".join(f"{-(10 ** (third / 3)):.6g}" for third in range(19))  # for the angle of linear nets
_RECORDED = ("seeds=3", f"snapshots=[{_LEVELS}]", "record.max_gradient=0", "record.max_samples=0")
_FLOW = ("optimizer=flow", *_RECORDED, "record.every=2")
DESCENT = (
    *("optimizer=gd", "optimizer.reference=present", "optimizer.frac=30", "optimizer.step_size_cap=null"),
    *("optimizer.factor=1.003", "optimizer.shrink=2", "stop.max_steps=100000000"),
)


def _network(activation: str, width: int, inputs: int, per_class: int, *more: str) -> tuple[str, ...]:
    data = ("data=gaussian", f"data.inputs={inputs}", f"data.train_per_class={per_class}")
    return (*data, f"model.activation={activation}", f"model.widths=[{width}]", *more)


NETWORKS = {
    "linear1": _network("linear", 5, 3, 8, "model.depth=1"),
    "linear2": _network("linear", 10, 10, 2, "model.depth=2"),
    "linear2-correlated": _network("linear", 6, 4, 12, "model.depth=2", "data.correlation=0.7"),
    "linear3": _network("linear", 5, 5, 6, "model.depth=3"),
    "linear4-copies": _network("linear", 5, 5, 2, "model.depth=4", "data.copies=2"),
    "linear2-classes": _network("linear", 5, 5, 3, "model.depth=2", "data.classes=5"),
    "relu": _network("relu", 8, 2, 8),
    "relu_squared": _network("relu_squared", 8, 2, 8),
}
_BOTH_LOSSES = ("linear2", "relu_squared")
_MULTICLASS = ("linear2-classes",)
_WITH_DESCENT = ("linear2", "relu_squared")
_WITH_TWINS = {"swn": "linear2", "ewn": "relu_squared"}
# Network -> powers between SWN and EWN, and one before; its flow is stiff at depth 1.
_POWERS = {"linear1": (3,), "linear2": (0.5, 2, 4), "linear3": (1.5,), "relu_squared": (1.5, 3)}


def _losses(network: str) -> tuple[str, ...]:
    if network in _BOTH_LOSSES:
        return ("exponential", "cross_entropy")
    return ("cross_entropy",) if network in _MULTICLASS else ("exponential",)


def flows(data_seeds: Iterable[int], target: int) -> dict[str, tuple[str, ...]]:
    """Name `network/norm/loss/data seed` -> overrides of the flow of every network under every norm."""
    found = {}
    for (name, network), norm in product(NETWORKS.items(), _LAWS):
        for loss, seed in product(_losses(name), data_seeds):
            words = (*network, *_FLOW, f"norm={norm}", f"loss={loss}", f"data.seed={seed}", f"stop.log_loss={target}")
            found[f"{name}/{norm}/{loss}/{seed}"] = words
    return found


def twins(data_seeds: Iterable[int]) -> dict[str, tuple[str, ...]]:
    """Name `network/norm/parameters/data seed` -> overrides of flows in the parameters (scale, v), for C1."""
    found = {}
    for (norm, name), seed in product(_WITH_TWINS.items(), data_seeds):
        words = (*NETWORKS[name], *_FLOW, f"stop.log_loss={_TWINS}", f"norm={norm}", "loss=exponential")
        found[f"{name}/{norm}/parameters/{seed}"] = (*words, "optimizer.variables=parameters", f"data.seed={seed}")
    return found


def family(data_seeds: Iterable[int], target: int) -> dict[str, tuple[str, ...]]:
    """Name `network/power-P/data seed` -> overrides of flows under the norms between SWN and EWN."""
    pairs = [(name, power) for name, powers in _POWERS.items() for power in powers]
    shared = (*_FLOW, "norm=power", "loss=exponential", f"stop.log_loss={target}")
    return {
        f"{name}/power-{power}/{seed}": (*NETWORKS[name], *shared, f"norm.power={power}", f"data.seed={seed}")
        for (name, power), seed in product(pairs, data_seeds)
    }


def jobs(deep: bool = False, data_seeds: int = DATA_SEEDS) -> dict[str, tuple[str, ...]]:
    """Name -> overrides of every run: the flows, some in the parameters (scale, v) for C1, descent, step rules."""
    found = flows(range(data_seeds), _DEEP if deep else _STANDING) | twins(range(1))
    found |= family(range(1), _DEEP if deep else _OF_FAMILY)
    found |= rule_battery.jobs(range(min(data_seeds, _RULE_DATA_SEEDS)))
    for name, (norm, target) in product(_WITH_DESCENT, _DESCENT_TARGETS.items()):
        words = (*NETWORKS[name], *DESCENT, *_RECORDED, f"norm={norm}", "loss=exponential", f"stop.log_loss={target}")
        found |= {f"{name}/{norm}/descent/{seed}": (*words, f"data.seed={seed}") for seed in range(data_seeds)}
    return found


def folder(deep: bool = False) -> Path:
    """Where the battery is trained."""
    return Path("outputs") / ("verify-deep" if deep else "verify")


def train(jobs: dict[str, tuple[str, ...]], folder: Path) -> int:
    """Train jobs one after the other, each into `folder/name`, or leave those that have been; how many.

    Jobs that differ in their data's seed alone are compiled once where one process trains them.
    """
    from wnexp import runner

    for name, overrides in jobs.items():
        runner.train(overrides, folder / name)
    return len(jobs)


def run(folder: Path, jobs: dict[str, tuple[str, ...]]) -> Iterator[tuple[int, str]]:
    """Train the jobs on all cores, yielding `(how many are done, the last one)`. Finished runs are not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, words in jobs.items():
        groups.setdefault(name.rpartition("/")[0] if words[0] == "data=gaussian" else name, {})[name] = words
    with ProcessPoolExecutor(min(cores(), len(groups)), mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            futures = {pool.submit(train, group, folder): name for name, group in groups.items()}
            done = 0
            for future in as_completed(futures):
                done += future.result()
                yield done, futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
