"""Epochs of MNIST's size in wnexp, as `torch_epoch.py` has them.

python tests/benchmarks/wnexp_epoch.py --norm ewn [--rule adam] [--samples N] [--width W] [--batch B] [--epochs E]

A chunk of one attempt is an epoch (training pass, loss pass) and one record, for which the gradient over the whole
training set is taken, everything is measured and the test set evaluated. A longer chunk has more epochs and still one
record, so the difference tells them apart. Prints one JSON line with the seconds of an `epoch` and of an
`epoch_and_record`. Compilation and a first chunk of either length come before.
"""

import argparse
import json

from harness import random_images, seconds
from rules import RULES

from wnexp.config.compose import compose, typed
from wnexp.data.dataset import Dataset
from wnexp.runs import snapshots
from wnexp.training.options import OPTIONS
from wnexp.training.prepare import prepare
from wnexp.training.session import Session

NEVER = 10**6
WORDS = ("experiment=mnist", "data=file", "snapshots=[]", "device=cpu", f"record.every={NEVER}")
SGD = ("optimizer.frac=0", "optimizer.step_size_cap=null")


def session(norm: str, samples: int, width: int, batch: int, rule: str = "sgd") -> Session:
    """The training of `+experiment=mnist` on random images, started, its first record written."""
    steps = SGD if rule == "sgd" else (f"optimizer={rule}", "optimizer.step_size=1e-6", *RULES.get(rule, ()))
    words = (*WORDS, f"norm={norm}", f"model.widths=[{width}]", f"optimizer.batch_size={batch}", *steps)
    config = typed(compose(words, OPTIONS).content, OPTIONS)
    dataset = Dataset(*random_images(samples), *random_images(10_000, seed=1), image=(28, 28, 1))
    made = prepare(config, dataset, snapshots.read)
    made.start()
    made.chunk(0)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", choices=("ewn", "swn", "none"), required=True)
    parser.add_argument("--rule", default="sgd", help="an option of the group optimizer")
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2, help="in the longer chunk, at least 2")
    options = parser.parse_args()
    made = session(options.norm, options.samples, options.width, options.batch, options.rule)
    seconds(made, 1)
    short, long = seconds(made, 1), seconds(made, options.epochs)
    figures = {"epoch": (long - short) / (options.epochs - 1), "epoch_and_record": short}
    print(json.dumps(vars(options) | figures))


if __name__ == "__main__":
    main()
