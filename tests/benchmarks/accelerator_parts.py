"""The parts of `accelerator.py`: each a generator of `(what, samples, unit)`, given its options."""

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import seconds

Rows = Iterator[tuple[str, list[float], str]]
# XLA's command buffers are CUDA's graphs: with these the whole loop of attempts is one, its condition on the card.
GRAPHS = "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,WHILE,CONDITIONAL"
NEVER = 10**6
_SMALL = (
    "data=gaussian data.inputs=64 data.train_per_class=128 norm=ewn optimizer=gd_constant optimizer.step_size=1e-6 "
    f"precision=float32 stop.max_steps={10**9} record.every={NEVER}"
)


def session(words: str, device: str, dataset: Any = None) -> Any:
    """The training of a command, started, its first record written."""
    from wnexp.config.compose import compose
    from wnexp.runs import snapshots
    from wnexp.training.options import OPTIONS
    from wnexp.training.prepare import prepare

    config = compose((*words.split(), f"device={device}", "snapshots=[]"), OPTIONS).config(OPTIONS)
    made = prepare(config, config.data.load() if dataset is None else dataset, snapshots.read)
    made.start()
    made.chunk(0)
    return made


def rates(words: str, device: str, attempts: int) -> list[float]:
    """Attempts a second of all seeds together, three times."""
    made = session(words, device)
    seconds(made, 10)
    return [attempts / seconds(made, attempts) for _ in range(3)]


def card(options: Any) -> Rows:
    """Which device it is, and whether it is there."""
    import jax

    device = jax.local_devices(backend=options.device)[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    yield f"{device.device_kind}, memory for JAX", [memory / 2**30] if memory else [], "GiB"


def crossover(options: Any) -> Rows:
    """Full-batch attempts of a 64-W-1 net on 256 samples, on the device and on the CPU: where `auto` should change."""
    widths, seeds, most = ((8, 64, 512), (1, 16, 256), 1000) if not options.quick else ((8,), (1, 2), 20)
    for width in widths:
        for count in seeds:
            words = f"{_SMALL} model.widths=[{width}] seeds={count}"
            work = 256 * 65 * width * count
            for device in dict.fromkeys((options.device, "cpu")):
                few = max(10, most // max(1, work // 2**22))  # where a CPU takes long for one
                what = f"width {width}, {count} seeds, {work / 2**20:.2f} x 2^20 multiply-adds, {device}"
                yield what, rates(words, device, few), "attempts/s"


def attempts(options: Any) -> Rows:
    """Attempts of lin-sep's net, which are launches of kernels and nothing else on a card."""
    words = "experiment=lin_sep norm=ewn optimizer=gd_constant stop.log_loss=-1e9 stop.max_steps=1000000000"
    count = 20 if options.quick else 2000
    yield "lin-sep, EWN", rates(f"{words} record.every={NEVER}", options.device, count), "attempts/s"


def graphs(options: Any) -> Rows:
    """The same with the loop of attempts as one graph of CUDA."""
    if options.device != "gpu":
        yield "CUDA's graphs are for a gpu", [], ""
        return
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {GRAPHS}"  # JAX has not started
    yield from attempts(options)


def images(samples: int, test: int, shape: tuple[int, int, int]) -> Any:
    """Noisy prototypes of ten classes: any network of some width separates them."""
    from wnexp.data.dataset import Dataset

    random = np.random.default_rng(0)
    labels = np.arange(samples + test) % 10
    x = random.standard_normal((10, int(np.prod(shape))), np.float32)[labels]
    x += 3 * random.standard_normal(x.shape, np.float32)
    return Dataset(x[:samples], labels[:samples], x[samples:], labels[samples:], image=shape)


def mnist(options: Any) -> Rows:
    """`+experiment=mnist`, three norms of three seeds, to -300 nats or for 40 s each."""
    given: Path | None = options.mnist
    small = "model.widths=[16] optimizer.batch_size=64" if options.quick else ""
    dataset = None if given else images(*((256, 64) if options.quick else (60_000, 10_000)), (28, 28, 1))
    name = "MNIST" if given else "images of MNIST's size"
    for norm in ("none", "swn", "ewn"):
        words = f"experiment=mnist norm={norm} seeds=3 {small} {f'data.dir={given}' if given else ''}"
        began = time.perf_counter()
        made = session(words, options.device, dataset)
        seconds(made, 1)
        yield f"{name}, {norm}, start and compilation", [time.perf_counter() - began], "s"
        yield f"{name}, {norm}, an epoch and a record of three seeds", [seconds(made, 1) for _ in range(3)], "s"
        limit, began = 1 if options.quick else 40, time.perf_counter()
        while made.running() and time.perf_counter() - began < limit:
            made.chunk(10)
        attempts = [float(seed["attempts"]) for seed in made.seed_figures()]
        yield f"{name}, {norm}, epochs in {time.perf_counter() - began:.1f} s", attempts, ""
        yield f"{name}, {norm}, log loss reached", made.log_losses().tolist(), "nats"


def _vgg(options: Any) -> tuple[str, Any]:
    """The words and the data of a VGG's training."""
    if options.quick:
        return "experiment=cifar10 model.channels=[4,M] model.widths=[8] optimizer.batch_size=8", images(
            16, 8, (8, 8, 3)
        )
    return "experiment=cifar10", images(50_000, 10_000, (32, 32, 3))


def vgg(options: Any) -> Rows:
    """An epoch of `+experiment=cifar10` with random images, from the difference of chunks of one and of two."""
    words, dataset = _vgg(options)
    began = time.perf_counter()
    made = session(words, options.device, dataset)
    short = seconds(made, 1)
    yield "start, compilation and a first epoch", [time.perf_counter() - began], "s"
    short = seconds(made, 1)
    yield "an epoch and a record", [short], "s"
    yield "an epoch", [seconds(made, 2) - short], "s"


def torch_vgg(options: Any) -> Rows:
    """The same in PyTorch, eager and by torch.compile; a note where there is no PyTorch for the device."""
    if importlib.util.find_spec("torch") is None:
        yield "no PyTorch here", [], ""
        return
    import torch

    if options.device != "cpu" and not torch.cuda.is_available():
        yield "PyTorch here has no CUDA", [], ""
        return
    from torch_vgg import epochs

    words, dataset = _vgg(options)
    from wnexp.config.compose import compose
    from wnexp.training.options import OPTIONS

    model = compose(tuple(words.split()), OPTIONS).config(OPTIONS).model
    batch = 8 if options.quick else 128
    for way in ("eager", *(() if options.quick else ("compiled",))):
        times = epochs(dataset, tuple(model.channels), tuple(model.widths), batch, way, options.device)
        yield f"an epoch, {way}", times, "s"
