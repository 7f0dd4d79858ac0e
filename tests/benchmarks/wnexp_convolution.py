"""Epochs of convolutional networks in wnexp, and the file from which `torch_convolution.py` does the same ones.

python tests/benchmarks/wnexp_convolution.py digits_cnn --norm ewn --start FILE [--samples N] [--epochs E]

`digits_cnn` trains on the bundled digits, `vgg` (the network of `+experiment=cifar10`) on random images of CIFAR's
shape. FILE gets the data, the initial weights and the order of the samples in every epoch. The seconds of an epoch
(training pass, loss pass) are told apart from those of a record as in `wnexp_epoch.py`. Prints one JSON line, with the
log loss (nats) after every epoch up to the second.
"""

import argparse
import json
from pathlib import Path

import jax
import numpy as np
from harness import seconds
from wnexp_epoch import NEVER, SGD

from wnexp.config.compose import compose, typed
from wnexp.data.dataset import Dataset
from wnexp.runs import snapshots
from wnexp.training.options import OPTIONS
from wnexp.training.prepare import prepare
from wnexp.training.session import Session

NETS = {"digits_cnn": "experiment=digits_cnn", "vgg": "experiment=cifar10"}
WORDS = ("snapshots=[]", "device=cpu", f"record.every={NEVER}", "stop.log_loss=-1e9", f"stop.max_steps={NEVER}", *SGD)
IMAGE, CLASSES = (32, 32, 3), 10


def random_dataset(samples: int) -> Dataset:
    """Images of CIFAR's shape, labels 0..9 in turn, and ten test images."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((samples + CLASSES, *IMAGE), dtype=np.float32).reshape(samples + CLASSES, -1)
    labels = np.arange(samples + CLASSES) % CLASSES
    return Dataset(images[:samples], labels[:samples], images[samples:], labels[samples:], image=IMAGE)


def session(net: str, norm: str, samples: int, *more: str) -> Session:
    """The training of that network under that norm, started, its first record written."""
    config = typed(compose((NETS[net], f"norm={norm}", *WORDS, *more), OPTIONS).content, OPTIONS)
    made = prepare(config, random_dataset(samples) if net == "vgg" else config.data.load(), snapshots.read)
    made.start()
    made.chunk(0)
    return made


def export(made: Session, path: Path, epochs: int) -> None:
    """Data, `layers.i.weight` and `.bias` as wnexp has them, where pooling follows, and `orders (epochs, n)`."""
    arrays = dict(made.weight_arrays(range(1))[int(made.seeds[0])])
    key, count = jax.random.key(int(made.seeds[0])), len(made.dataset.train_x)
    orders = [jax.random.permutation(jax.random.fold_in(key, epoch), count) for epoch in range(epochs)]
    arrays |= {"x": made.dataset.train_x, "y": made.dataset.train_y, "image": np.array(made.dataset.image)}
    arrays |= {"pool": np.array([layer.pool for layer in made.program.network.layers]), "orders": np.array(orders)}
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", choices=NETS)
    parser.add_argument("--norm", choices=("ewn", "none"), required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=256, help="of vgg")
    parser.add_argument("--epochs", type=int, default=3, help="in the longer chunk, at least 2")
    options = parser.parse_args()
    made = session(options.net, options.norm, options.samples)
    export(made, options.start, 2 + options.epochs)
    made.chunk(1)
    log_losses = [float(made.log_losses()[0])]
    short = seconds(made, 1)
    log_losses.append(float(made.log_losses()[0]))
    long = seconds(made, options.epochs)
    print(json.dumps({"epoch": (long - short) / (options.epochs - 1), "record": short, "log_losses": log_losses}))


if __name__ == "__main__":
    main()
