"""The shape of the paper's pruning table (Morwani and Ramaswamy, section 6): best test accuracy over the scores.

At -10 nats weight-normalized networks prune worse than unnormalized ones, at -300 nats EWN prunes far better. Shown on
networks and data small enough for a test, and stated as the order of the norms: the README has the full tables.
"""

import pandas as pd
import pytest

from tests.helpers import MNIST_16K
from wnexp import pruning
from wnexp.runs import reader

pytestmark = pytest.mark.slow
on_mnist = pytest.mark.skipif(not MNIST_16K.is_dir(), reason="the real MNIST files are not here")


@pytest.fixture
def best(inside, tmp_path):
    """Train and prune: `best(words, percents)` -> mean over seeds of the best accuracy, a column for every norm."""

    def curves(words, percents):
        assert inside("train", "-m", *words)[0] == 0
        runs = reader.load([tmp_path / "outputs"])
        table = pd.DataFrame([row for run in runs for row in pruning.prune(run, percents).rows])
        over_scores = table.groupby(["percent", "norm", "seed"])["test_accuracy"].max()
        return over_scores.groupby(["percent", "norm"]).mean().unstack()

    return curves


def test_at_300_nats_ewn_keeps_more_on_digits(best):
    """A part of the digits and 100 neurons, one seed."""
    few = ["data.train_samples=250", "optimizer.batch_size=250", "model.widths=[100]", "snapshots=[-300]"]
    accuracy = best(["+experiment=digits", "+norm=none,ewn", *few], [0, 80])
    assert (accuracy.loc[0] > 0.93).all()
    assert accuracy.loc[80, "ewn"] > accuracy.loc[80, "none"] + 0.1


@on_mnist
def test_at_10_nats_weight_norms_keep_less_on_mnist(best):
    """All 16,384 images and a quarter of the 1,024 neurons, one seed: so few keep the order up to 70 %."""
    few = ["model.widths=[256]", "stop.log_loss=-10", "snapshots=[-10]"]
    accuracy = best(["+experiment=mnist", "+norm=none,swn,ewn", f"data.dir={MNIST_16K}", *few], [0, 60, 70])
    assert (accuracy.loc[0] > 0.96).all()
    pruned = accuracy.loc[60:]
    assert (pruned["ewn"] < pruned["none"] - 0.015).all() and (pruned["swn"] < pruned["none"]).all()


@on_mnist
def test_at_300_nats_ewn_keeps_more_on_mnist(best):
    """1,024 images and 128 neurons, one seed."""
    few = ["data.train_samples=1024", "optimizer.batch_size=32", "model.widths=[128]", "snapshots=[-300]"]
    accuracy = best(["+experiment=mnist", "+norm=none,ewn", f"data.dir={MNIST_16K}", *few], [0, 90])
    assert (accuracy.loc[0] > 0.88).all()
    assert accuracy.loc[90, "ewn"] > accuracy.loc[90, "none"] + 0.1
