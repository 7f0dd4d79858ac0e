"""The rows of `bench.py` against what else a user might take: scikit-learn, scipy's LSODA, PyTorch's compiler and vmap,
and PyTorch's convolutions. Each side is its own process; both reach the same before a time counts.
"""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from exchange import Agreement, Reached, export
from harness import Bench, Row, in_turns, script, statuses, wnexp

from wnexp.runs.reader import Run

QUIET = ("snapshots=[]", "record.every=1000000")  # first and last record only
LINEAR = {
    "conv_rate": ("conv-rate", ("+experiment=conv_rate", "model.depth=1", "norm.output_v=scaled")),
    "gaussian": ("20 points in 10-D", ("+data=gaussian", "model.widths=[]")),
}
# Gap to the largest margin -> the log loss (nats) at which flow is that near; without a goal, as near as it gets.
DEPTHS = {"conv_rate": {1e-3: -15.0, 1e-6: -25.0, 0.0: -100.0}, "gaussian": {1e-3: -600.0, 1e-6: -1e6, 0.0: -1e8}}
SKLEARN = {"linear_svc": "LinearSVC", "logistic": "LogisticRegression"}
FLOW_DEPTHS, FLOW_TOLERANCE = (-50, -1_000, -1_000_000), 1e-5
SEEDS_STEPS, FIRST_STEPS = 1000, 50
CONVOLUTION_TOLERANCE = {"digits_cnn": 1e-5, "vgg": 1e-3}  # nats after two epochs in float32


def _run(bench: Bench, folder: Path, words: Sequence[str]) -> tuple[float, float]:
    """Seconds of the whole process, and of its loop."""
    seconds = bench.python(wnexp("train", *words, f"outputs={folder}", "overwrite=true")).seconds
    return seconds, statuses(folder)[0]["loop_seconds"]


def _first(bench: Bench, folder: Path, words: Sequence[str], start: Path, every_seed: bool = False) -> list[np.ndarray]:
    """A first run, which compiles; the others' start goes to a file. The final weights of its first seed's layers."""
    _run(bench, folder, words)
    (path,) = (status.parent for status in folder.rglob("run.json"))
    export(path, start, every_seed)
    read = Run(path)
    return list((read.weights(read.seeds[0], "final") or {}).values())


def _both(what: str, other: str, mine: list[tuple[float, float]], side: list[tuple[float, dict]]) -> list[Row]:
    """The rows of loops and of whole processes."""
    loops = [inner for _, inner in mine], [figures["seconds"] for _, figures in side]
    wholes = [seconds for seconds, _ in mine], [seconds for seconds, _ in side]
    return [Row(f"{what}, loop; {other}", *loops), Row(f"{what}, whole process; {other}", *wholes)]


def _timed(bench: Bench, words: list[str]) -> tuple[float, dict]:
    """Seconds of the whole process, and its figures."""
    done = bench.python(words)
    return done.seconds, done.json()


def margins(name: str) -> Callable[[Bench], list[Row]]:
    """A linear model to the largest margin: flow against scikit-learn's path of growing C."""
    return lambda bench: [row for goal, depth in DEPTHS[name].items() for row in _margin(bench, name, goal, depth)]


def _margin(bench: Bench, name: str, goal: float, depth: float) -> list[Row]:
    from largest_margins import normalized_margin

    from wnexp.theory.largest_margin import largest_margin

    (title, data), folder = LINEAR[name], bench.fresh(f"margins_{name}")
    start, words = folder / "start.npz", [*data, "+norm=none", "optimizer=flow", f"stop.log_loss={depth}", *QUIET]
    (weights,) = _first(bench, folder, words, start)
    with np.load(start) as arrays:
        x, y = arrays["train_x"], arrays["train_y"]
    largest = largest_margin(x, y, 1, "l2")
    gap = max(1 - normalized_margin(weights[:, 0], x, y) / largest.margin, largest.gap)
    path = ["--start", start, "--largest", largest.margin, "--gap", goal]
    sides = [lambda side=side: _timed(bench, script("largest_margins.py", side, *path)) for side in SKLEARN]
    mine, *others = in_turns(bench.repeats if goal else 1, lambda: _run(bench, folder, words), *sides)
    if goal:
        bench.agreements.append(Reached(f"{title}, wnexp", "1 - margin / largest", gap, goal))
    rows: list[Row] = []
    for label, side in zip(SKLEARN.values(), others, strict=True):
        found = max(max(figures["best"] for _, figures in side), largest.gap)
        what = f"{title}, 1 - margin / largest <= {goal:.0e}"
        if not goal:
            rows.append(Row(f"{title}: smallest 1 - margin / largest; {label}", [gap], [found], ""))
        elif found > goal:
            rows.append(Row(f"{what}, loop; {label} stops at {found:.1e}", [inner for _, inner in mine]))
        else:
            rows += _both(what, f"{label}, its fits", mine, side)
    return rows


def flow(norm: str) -> Callable[[Bench], list[Row]]:
    """Gradient flow of the 2-8-1 net on lin-sep: `optimizer=flow` against LSODA."""
    return lambda bench: [row for depth in FLOW_DEPTHS[: 1 if bench.quick else 3] for row in _flow(bench, norm, depth)]


def _flow(bench: Bench, norm: str, depth: int) -> list[Row]:
    folder = bench.fresh(f"flow_{norm}")
    start, words = folder / "start.npz", ["+experiment=lin_sep", f"+norm={norm}", "optimizer=flow", *QUIET]
    words.append(f"stop.log_loss={depth}")
    ours = _direction(_first(bench, folder, words, start))
    solver = script("lsoda_flow.py", "--norm", norm, "--start", start, "--log-loss", depth)
    mine, side = in_turns(bench.repeats, lambda: _run(bench, folder, words), lambda: _timed(bench, solver))
    with np.load(start.with_suffix(".flow.npz")) as arrays:
        apart = float(np.abs(ours - _direction([arrays[key] for key in arrays.files])).max())
    title, reached = f"flow of lin-sep, {norm}, to {depth:,} nats", side[-1][1]["log_loss"]
    bench.agreements.append(Reached(title, "an entry of w / ||w||", apart, FLOW_TOLERANCE))
    bench.agreements.append(Reached(title, "log loss, relative", abs(reached / depth - 1), FLOW_TOLERANCE))
    return _both(title, "LSODA", mine, side)


def _direction(weights: list[np.ndarray]) -> np.ndarray:
    flat = np.concatenate([w.ravel() for w in weights])
    return flat / np.linalg.norm(flat)


def seeds(experiment: str, title: str) -> Callable[[Bench], list[Row]]:
    """Many seeds, to the target or a thousand steps, nothing recorded: against vmap, torch.compile and both."""
    counts = {True: (1, 8), False: (1, 64, 1024)}
    return lambda bench: [row for count in counts[bench.quick] for row in _seeds(bench, experiment, title, count)]


def _seeds(bench: Bench, experiment: str, title: str, count: int) -> list[Row]:
    folder = bench.fresh(f"torch_seeds_{experiment}")
    start, words = folder / "start.npz", [f"+experiment={experiment}", "+norm=ewn", f"seeds={count}", *QUIET]
    _first(bench, folder, [*words, f"stop.max_steps={FIRST_STEPS}"], start, every_seed=True)
    ours = [seed["log_loss"] for seed in statuses(folder)[0]["seeds"]]
    loop = script("torch_seeds.py", f"{experiment}_ewn", "--start", start, "--seeds", count)
    theirs = bench.python([*loop, "--steps", str(FIRST_STEPS)]).json()["log_losses"]
    apart, folder = float(np.abs(np.subtract(ours, theirs)).max()), bench.fresh(f"torch_seeds_{experiment}_whole")
    words.append(f"stop.max_steps={SEEDS_STEPS}")
    _run(bench, folder, words)  # compiles
    ways = {
        "vmap" if count > 1 else "eager": [],
        "vmap and torch.compile" if count > 1 else "torch.compile": ["--compile"],
    }
    sides = [lambda more=more: _timed(bench, [*loop, *more]) for more in ways.values()]
    mine, *others = in_turns(bench.repeats, lambda: _run(bench, folder, words), *sides)
    attempts, what = sum(seed["attempts"] for seed in statuses(folder)[0]["seeds"]), f"{title}, seeds={count}"
    rows: list[Row] = []
    for way, side in zip(ways, others, strict=True):
        bench.agreements.append(Agreement(f"{what}, {way}", apart, (attempts, side[-1][1]["attempts"])))
        rows += _both(what, way, mine, side)
    return [*rows, Row(f"{what}: torch.compile alone", (), [figures["compiling"] for _, figures in others[-1]])]


def convolution(net: str, norm: str) -> Callable[[Bench], list[Row]]:
    """An epoch (training and loss passes) of a convolutional network."""

    def make(bench: Bench) -> list[Row]:
        start = bench.fresh(f"{net}_{norm}") / "start.npz"
        size = ["--norm", norm, "--start", start, "--epochs", 2 if net == "vgg" else 5]
        threads = [] if net == "vgg" else ["--threads", 1]  # two cost small images more than they bring
        mine, theirs = in_turns(
            bench.repeats,
            lambda: bench.python(script("wnexp_convolution.py", net, *size)).json(),
            lambda: bench.python(script("torch_convolution.py", *size, *threads)).json(),
        )
        title = f"{net}, {norm}, " + ("256 images of 32 x 32 x 3" if net == "vgg" else "the digits")
        apart = max(abs(a - b) for a, b in zip(mine[-1]["log_losses"], theirs[-1]["log_losses"], strict=True))
        bench.agreements.append(Reached(title, "log loss of two epochs (nats)", apart, CONVOLUTION_TOLERANCE[net]))
        epochs = [[figures["epoch"] for figures in side] for side in (mine, theirs)]
        return [Row(f"epoch of {title}; PyTorch, channels last", *epochs)]

    return make


def compiled_epoch(bench: Bench) -> list[Row]:
    """An epoch of MNIST's size under torch.compile, and what compiling costs."""
    samples = 2_048 if bench.quick else 60_000
    size = ["--norm", "ewn", "--samples", samples, "--epochs", 2]
    mine, theirs = in_turns(
        bench.repeats,
        lambda: bench.python(script("wnexp_epoch.py", *size)).json()["epoch"],
        lambda: bench.python(script("torch_epoch.py", *size, "--variant", "compiled")).json()["seconds"],
    )
    epochs = [turn[1]["training"] + turn[1]["loss"] for turn in theirs]
    compiling = [turn[0]["training"] - statistics.median(epochs) for turn in theirs]
    return [
        Row("MNIST-sized epoch, ewn: training and loss passes; torch.compile", mine, epochs),
        Row("the same: torch.compile alone", (), compiling),
    ]
