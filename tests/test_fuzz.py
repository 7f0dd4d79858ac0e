"""Damaged records and published image files: read right or refused with a line, whatever the damage."""

import gzip
import json
import shutil
import time

import numpy as np
import pytest

from tests.damage import cifar_batch, idx, mutants
from tests.helpers import compose
from wnexp import runner
from wnexp.cli import runs
from wnexp.config import overrides
from wnexp.data import image_files
from wnexp.errors import UserError
from wnexp.figures.series import load_series
from wnexp.runs.reader import Run
from wnexp.theory import runs as theory_runs
from wnexp.training.options import OPTIONS


@pytest.fixture(params=[60, pytest.param(300, marks=pytest.mark.slow)])
def count(request):
    """How many mutants of a file."""
    return request.param


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small finished run."""
    folder = tmp_path_factory.mktemp("run") / "run"
    words = ("data.train_per_class=1", "data.test_per_class=0", "model.widths=[]", "stop.max_steps=5")
    runner.run_in(folder, compose(*words))
    return folder


def refusals(path, content, read, random, count):
    """How many mutants of a file are refused; any other exception than `UserError` of few lines is raised."""
    refused, slowest = 0, 0.0
    for mutant in mutants(content, count, random):
        path.write_bytes(mutant)
        began = time.process_time()
        try:
            read()
        except UserError as error:
            refused += 1
            assert len(str(error).splitlines()) <= 2, error
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 2
    return refused


@pytest.mark.parametrize("compress", [True, False])
def test_idx_files(tmp_path, random, count, compress):
    array = random.integers(0, 256, (6, 5, 4))
    path, content = tmp_path / "x", idx(array)
    content = gzip.compress(content, mtime=0) if compress else content
    assert refusals(path, content, lambda: image_files.named(path, image_files.read_idx), random, count) > count / 4


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of texts in the oldest protocol
def test_cifar_batches(tmp_path, random, count):
    path = tmp_path / "x"

    def read():
        x, y = image_files.named(path, lambda path: image_files._read_batch(path.read_bytes(), b"labels"))
        assert x.dtype == y.dtype == np.uint8 and x.shape[1:] == (32, 32, 3)

    for protocol in (0, 2, 4):
        content = cifar_batch(1, protocol=protocol, data=np.zeros((1, 3072), np.uint8))
        assert refusals(path, content, read, random, count) > count / 15


def plot_reads(folder):
    for series in load_series([folder]):
        assert series.seeds >= 0 and len(series.table("neurons").columns) and series.label


READERS = {
    "plot": plot_reads,
    "verify": lambda folder: theory_runs.load(Run(folder)),
    "runs": lambda folder: runs.show([Run(folder)]),
    "repeat": lambda folder: overrides.repeating(Run(folder).settings, folder, OPTIONS),
}


@pytest.mark.parametrize(
    ("name", "reader"),
    [(f"{table}.parquet", reader) for table in ("steps", "neurons") for reader in ("plot", "verify")]
    + [("run.json", reader) for reader in READERS],
)
def test_records(run, tmp_path, random, count, name, reader):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / name
    refused = refusals(path, path.read_bytes(), lambda: READERS[reader](tmp_path / "run"), random, count)
    assert reader == "runs" or refused > count / 4


def edited(tree, values):
    """Copies of a JSON value with one part of it gone or replaced."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        for value in values:
            yield tree | {key: value} if isinstance(tree, dict) else [*tree[:key], value, *tree[key + 1 :]]
        if isinstance(tree, dict):
            yield {name: entry for name, entry in tree.items() if name != key}
        if isinstance(tree[key], (dict, list)):
            for inner in edited(tree[key], values):
                yield tree | {key: inner} if isinstance(tree, dict) else [*tree[:key], inner, *tree[key + 1 :]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "reader", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("verify", "repeat"))) for name in READERS]
)
def test_a_status_with_other_values(run, tmp_path, reader):
    """Valid JSON, one value of it another's: bytes changed at random seldom are."""
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    status = json.loads(path.read_text())
    del status["sha256"]  # without one it is read as it is
    for content in edited(status, [None, [1]] if reader == "verify" else [None, "x", -1.5, [1], {}]):
        path.write_text(json.dumps(content))
        try:
            READERS[reader](tmp_path / "run")
        except UserError as error:
            assert len(str(error).splitlines()) <= 2, error
