"""The standing battery of `wnexp verify`: runs that between them have something to say on every claim."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

from wnexp.nn.weightnorm import NORMS
from wnexp.resources import cores

_NORMS = tuple(name for name, norm in NORMS.items() if norm.law is not None)
_NORMALIZING = tuple(name for name, norm in NORMS.items() if norm.law is not None and norm.law.normalizes)
_FLOW = (
    *("optimizer=flow", "seeds=3", "snapshots=[-1,-10,-100,-1000]"),
    *("record.every=2", "record.max_gradient=0", "record.max_samples=0"),
)
_LINEAR = ("data=gaussian", "data.inputs=5", "model.activation=linear", "model.widths=[5]")
_TWO_LAYERS = ("data=gaussian", "data.inputs=2", "data.train_per_class=8", "model.widths=[8]")
_NETWORKS = {f"linear{depth}": (*_LINEAR, f"model.depth={depth}") for depth in (1, 2, 3, 4)} | {
    name: (*_TWO_LAYERS, f"model.activation={name}") for name in ("relu", "relu_squared")
}
_BOTH_LOSSES = ("linear2", "relu", "relu_squared")
_STANDING, _DEEP = -10_000, -1_000_000


def jobs(deep: bool = False) -> dict[str, tuple[str, ...]]:
    """Name -> overrides of every run: flow of linear nets of depth 1 to 4 and of two-layer nets, the latter and
    depth 2 under both losses; in the parameters (scale, v) for C1; XOR; discrete descent on lin-sep."""
    target = _DEEP if deep else _STANDING
    flow = (*_FLOW, f"stop.log_loss={target}")
    found = {}
    for (name, network), norm in product(_NETWORKS.items(), _NORMS):
        for loss in ("exponential", "cross_entropy") if name in _BOTH_LOSSES else ("exponential",):
            found[f"{name}-{norm}-{loss}"] = (*network, *flow, f"norm={norm}", f"loss={loss}")
    for name, norm in product(("linear2", "relu_squared"), _NORMALIZING):
        twin = (*_NETWORKS[name], *_FLOW, "stop.log_loss=-1000", f"norm={norm}", "loss=exponential")
        found[f"{name}-{norm}-parameters"] = (*twin, "optimizer.variables=parameters")
    for norm in _NORMS:
        found[f"xor-{norm}-gd"] = ("experiment=xor", f"norm={norm}", "seeds=3")
        found[f"lin_sep-{norm}-gd"] = ("experiment=lin_sep", f"norm={norm}", "seeds=3")
    return found


def folder(deep: bool = False) -> Path:
    """Where the battery is trained."""
    return Path("outputs") / ("verify-deep" if deep else "verify")


def train(name: str, overrides: tuple[str, ...], folder: Path) -> str:
    """Train one job into `folder/name`, or leave it if it has been; returns its name."""
    from wnexp import runner

    runner.train(overrides, folder / name)
    return name


def run(folder: Path, deep: bool = False) -> Iterator[tuple[int, int, str]]:
    """Train the battery on all cores, yielding `(done, of how many, name)`. Finished runs are not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = jobs(deep)
    workers = min(cores(), len(todo))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            futures = [pool.submit(train, name, overrides, folder) for name, overrides in todo.items()]
            for done, future in enumerate(as_completed(futures), 1):
                yield done, len(todo), future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
