"""The comparisons of `bench.py`: a wnexp side and PyTorch sides that do the same, in turns."""

import statistics
from collections.abc import Callable
from pathlib import Path

from exchange import compare, export
from harness import Bench, Row, in_turns, script, statuses, wnexp

BLOCK = 128  # steps that the faster PyTorch loop measures together


def small(name: str, title: str, *words: str) -> Callable[[Bench], list[Row]]:
    """The rows of an experiment that both record at every step: whole processes, and their loops alone."""

    def make(bench: Bench) -> list[Row]:
        folder = bench.fresh(name)
        limit = ["stop.max_steps=300"] if bench.quick else []
        # Gradients for limit_cosine, which the PyTorch loop does not record, would be 20,300 numbers a step at depth 4.
        train = wnexp("train", *words, *limit, "record.every=1", "record.max_gradient=0", f"outputs={folder}")
        loop = script("torch_small.py", name, "--start", folder, *(["--steps", 300] if bench.quick else []))
        blocks = [*loop, "--block", str(BLOCK)]
        bench.python(train)  # compiles; its data and initial weights are PyTorch's
        runs = {_stem(name, path): path.parent for path in sorted(folder.rglob("run.json"))}
        for stem, path in runs.items():
            export(path, folder / f"{stem}.npz")
        for words_of in (blocks, loop):
            bench.python(words_of)
            bench.agreements.extend(compare(path, folder / f"{stem}.records.npz") for stem, path in runs.items())

        def ours() -> tuple[float, float]:
            seconds = bench.python([*train, "overwrite=true"]).seconds
            return seconds, sum(status["loop_seconds"] for status in statuses(folder))

        def theirs(words: list[str]) -> Callable[[], tuple[float, float]]:
            def timed() -> tuple[float, float]:
                done = bench.python(words)
                return done.seconds, done.json()["seconds_loop"]

            return timed

        sides = in_turns(bench.repeats, ours, theirs(loop), theirs(blocks))
        (whole, inner), *others = ([list(column) for column in zip(*side, strict=True)] for side in sides)
        rows = []
        for way, side in zip(("step by step", f"{BLOCK} steps at a time"), others, strict=True):
            rows.append(Row(f"{title}, whole process; PyTorch measures {way}", whole, side[0]))
            rows.append(Row(f"{title}, loop alone; PyTorch measures {way}", inner, side[1]))
        return rows

    return make


def _stem(name: str, status: Path) -> str:
    """The name under which `torch_small.py` looks for a run's start; a net of conv-rate is named by its depth."""
    depth = [word for part in status.parent.parts for word in part.split(",") if word.startswith("model.depth=")]
    return f"{name}.seed=0.{depth[0].removeprefix('model.') if depth else 'start'}"


def epoch(norm: str) -> Callable[[Bench], list[Row]]:
    """The rows of an epoch of MNIST's size: warm, in one process a side."""

    def make(bench: Bench) -> list[Row]:
        size = [
            "--norm",
            norm,
            "--samples",
            "2048" if bench.quick else "60000",
            "--epochs",
            "2" if bench.quick else "3",
        ]
        variants = ("loader", "indexing", "tuned")
        bench.python(script("wnexp_epoch.py", *size))

        def ours() -> dict[str, float]:
            return bench.python(script("wnexp_epoch.py", *size)).json()

        def theirs(variant: str) -> Callable[[], dict[str, float]]:
            def timed() -> dict[str, float]:
                epochs = bench.python(script("torch_epoch.py", *size, "--variant", variant)).json()["seconds"][1:]
                return {key: statistics.median(seconds[key] for seconds in epochs) for key in epochs[0]}

            return timed

        mine, *others = in_turns(bench.repeats, ours, *map(theirs, variants))
        title = f"MNIST-sized epoch, {norm}"
        made = [
            Row(
                f"{title}: training and loss passes; PyTorch {variant}",
                [figures["epoch"] for figures in mine],
                [figures["training"] + figures["loss"] for figures in side],
            )
            for variant, side in zip(variants, others, strict=True)
        ]
        full = [figures["epoch_and_record"] for figures in mine]
        tested = [figures["total"] for figures in others[-1]]
        return [
            *made,
            Row(f"{title}: with a full record; PyTorch {variants[-1]}, with the test pass only", full, tested),
        ]

    return make


def matrix_product(bench: Bench) -> list[Row]:
    """float32 products: of large matrices, and those of an epoch of 784-1024-10 in batches of 128."""
    made = []
    for what, shape, more in (
        ("large matrices", (2048, 2048, 2048), ()),
        ("a batch forwards", (128, 784, 1024), ()),
        ("a batch's gradient", (784, 128, 1024), ("--transposed",)),
        ("a block of the loss pass", (4096, 784, 1024), ()),
    ):
        words = ["--shape", *map(str, shape), *more, "--products", "1" if bench.quick else "100"]
        sides = [lambda side=side: bench.python(script("matrix_product.py", side, *words)) for side in ("jax", "torch")]  # noqa: B023
        ours, theirs = ([done.json()["gflops"] for done in side] for side in in_turns(bench.repeats, *sides))
        title = f"float32 product, {what}, {shape[0]} x {shape[1]} x {shape[2]}, XLA and PyTorch"
        made.append(Row(title, ours, theirs, "GFLOP/s", True))
    return made
