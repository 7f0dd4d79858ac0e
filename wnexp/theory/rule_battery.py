"""The part of the standing battery that trains by every step rule, for the claims on the margins that they maximize.

One linear layer for four classes, where the largest margin in every geometry is known from a convex program, with steps
short enough that their length costs little of it; two-layer nets, which have a fingerprint; Adam and RMSProp with long
steps, for the speed that their memory allows; the sign with an absolute eps, for the depth at which it takes over.
"""

from collections.abc import Iterable
from itertools import product

_RECORDED = (
    *("record.geometry_every=1", "record.points=300", "record.max_gradient=0", "record.max_samples=0"),
    *("loss=exponential", "stop.max_steps=20000000"),
)
_GAUSSIAN = ("data=gaussian", "model.activation=linear", "model.depth=1")
_LINEAR = (*_GAUSSIAN, "data.inputs=4", "data.train_per_class=3", "data.classes=4")
_FOUR_CLASSES = (*_LINEAR, "stop.log_loss=-1000")
_ON_LOSS = ("optimizer.frac=0", "optimizer.step_size=0.002", "optimizer.step_size_cap=0.002")
# Steps about as long in nats.
RULES = {
    "normalized_gd": ("optimizer.step_size=0.002",),
    "sign": ("optimizer.step_size=0.001",),
    "coordinate": ("optimizer.step_size=0.004",),
    "spectral": ("optimizer.step_size=0.002",),
    "nuclear": ("optimizer.step_size=0.004",),
    "momentum": _ON_LOSS,
    "nesterov": _ON_LOSS,
    "dual_acceleration": ("optimizer.step_size=0.05", "stop.log_loss=-10000"),
    "signum": ("optimizer.step_size=0.001",),
    "lion": ("optimizer.step_size=0.001", "optimizer.b2=0.9"),
    "muon": ("optimizer.step_size=0.002",),
    "adam": ("optimizer.step_size=0.001", "optimizer.b2=0.98"),
    "rmsprop": ("optimizer.step_size=0.001", "optimizer.b2=0.98"),
}
SCHEDULED = {"normalized_gd": 1.0, "sign": 0.5, "spectral": 1.0}  # with decay 1/2
ON_NETS = ("normalized_gd", "sign", "coordinate", "spectral", "nuclear", "adam", "muon")
_NETS = {
    name: ("data=gaussian", "data.inputs=2", "data.train_per_class=6", f"model.activation={name}", "model.widths=[8]")
    for name in ("relu", "relu_squared")
}


def jobs(data_seeds: Iterable[int]) -> dict[str, tuple[str, ...]]:
    """Name -> overrides of every run, `of/rule/data seed`."""
    found: dict[str, tuple[str, ...]] = {}
    for name, words in RULES.items():
        found[f"classes/{name}"] = (*_FOUR_CLASSES, *words, f"optimizer={name}")
    for name, step in SCHEDULED.items():
        words = (f"optimizer.step_size={step}", "optimizer.decay=0.5", f"optimizer={name}", "stop.log_loss=-1000")
        found[f"scheduled/{name}"] = (*_LINEAR, *words)
    for (net, network), name in product(_NETS.items(), ON_NETS):
        words = (*network, "seeds=3", "optimizer.step_size=0.0005", "stop.log_loss=-1000", f"optimizer={name}")
        found[f"{net}/{name}"] = words if name != "adam" else (*words, "optimizer.b2=0.98")
    for name, b2 in product(("adam", "rmsprop"), (0.9, 0.99)):
        words = ("optimizer.step_size=1", f"optimizer.b2={b2}", "stop.log_loss=-100000", "stop.max_steps=20000")
        found[f"speed/{name}-{b2}"] = (*_LINEAR, *words, f"optimizer={name}")
    for eps in (-20, -40):
        words = ("optimizer=rmsprop", "optimizer.b2=0", f"optimizer.log_eps={eps}", "optimizer.accept=lower")
        words = (
            *words,
            "optimizer.step_size=0.001",
            "optimizer.factor=1.002",
            "optimizer.shrink=2",
            "record.points=3000",
        )
        found[f"eps/{eps}"] = (*_LINEAR, *words, "stop.log_loss=-600")
    return {
        f"rules/{name}/{seed}": (*words[:1], *_RECORDED, *words[1:], f"data.seed={seed}")
        for (name, words), seed in product(found.items(), data_seeds)
    }
