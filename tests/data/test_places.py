"""Published files where tools leave them, and folders that are not downloaded into."""

import dataclasses
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.damage import cifar_batch, idx
from wnexp.data import DATA_SETS
from wnexp.errors import UserError

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def write_mnist(folder, rename=lambda name: name):
    """Four small files under other names; returns the training images."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    x, y = rng.integers(0, 256, (20, 28, 28)), np.arange(20) % 10
    for name, array in zip(IDX, (x, y, x[:5], y[:5]), strict=True):
        content = idx(array)
        path = folder / rename(name)
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return x


def dotted(name):
    return name.replace("-idx", ".idx")


def write_batches(folder):
    folder.mkdir(parents=True)
    for seed, name in enumerate(BATCHES):
        (folder / name).write_bytes(cifar_batch(10, seed))


def of(name, folder):
    return dataclasses.replace(DATA_SETS[name], dir=str(folder))


@pytest.mark.parametrize(
    ("name", "below", "rename"),
    [
        ("mnist", "MNIST/raw", str),
        ("mnist", "MNIST/raw", lambda name: f"{name}.gz"),
        ("mnist", "raw", str),
        ("fashion_mnist", "FashionMNIST/raw", str),
        ("mnist", ".", dotted),
        ("fashion_mnist", ".", lambda name: f"{dotted(name)}.gz"),
    ],
    ids=["torchvision", "torchvision_gz", "below_it", "fashion", "kaggle", "kaggle_gz"],
)
def test_idx_files_where_tools_leave_them(tmp_path, name, below, rename):
    x = write_mnist(tmp_path / below, rename)
    (tmp_path / "notes.txt").write_text("something else")
    source = of(name, tmp_path)
    scaled = (x.reshape(20, 784) / 255 - source.mean) / source.deviation
    np.testing.assert_allclose(source.load().train_x, scaled, atol=1e-6)
    assert source.files() == {"dir": [tmp_path / below / rename(file) for file in IDX]}


def test_one_of_them_missing_is_named(tmp_path):
    write_mnist(tmp_path / "MNIST/raw", dotted)
    (tmp_path / "MNIST/raw" / dotted(IDX[3])).unlink()
    with pytest.raises(UserError, match=r"data\.dir=.*: t10k-labels-idx1-ubyte\.gz missing"):
        of("mnist", tmp_path).load()


@pytest.mark.parametrize("inside", [False, True])
def test_unpacked_cifar(tmp_path, inside):
    folder = tmp_path / "cifar-10-batches-py"
    write_batches(folder)
    source = of("cifar10", folder if inside else tmp_path)
    data = source.load()
    raw = np.random.default_rng(0).integers(0, 256, (10, 3072)).reshape(10, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(data.train_x[:10], (raw.reshape(10, -1) / 255 - 0.5) / 0.5, atol=1e-6)
    assert data.train_x.shape == (50, 3072) and source.files() == {"dir": [folder / name for name in BATCHES]}
    (folder / "data_batch_3").write_bytes(b"no pickle")
    with pytest.raises(UserError, match="data_batch_3: not a readable file"):
        source.load()
    (folder / "data_batch_3").unlink()
    with pytest.raises(UserError, match="data_batch_3 missing"):
        source.load()


def test_a_tgz_of_cifar(tmp_path):
    with tarfile.open(tmp_path / "cifar-10-python.tgz", "w:gz") as archive:
        for seed, name in enumerate(BATCHES):
            content = cifar_batch(10, seed)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert of("cifar10", tmp_path).load().train_x.shape == (50, 3072)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_folder_with_other_data_is_not_downloaded_into(tmp_path, monkeypatch, name):
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: pytest.fail("a download"))
    for other in ("a.csv", "b.csv", "c", "d", "e"):
        (tmp_path / other).write_text("of the user")
    with pytest.raises(
        UserError, match=r"needed, a.csv, b.csv, c, d, \.\.\. found;\n.*an empty one to download"
    ) as error:
        of(name, tmp_path).load()
    assert str(error.value).startswith(f"data.dir={tmp_path}: ") and len(str(error.value).splitlines()) == 2
    with pytest.raises(UserError, match=r"a\.csv: not a folder"):
        of(name, tmp_path / "a.csv").load()


def test_without_a_home_a_folder_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: pytest.fail("a download"))
    for name in ("mnist", "emnist", "cifar100"):
        with pytest.raises(UserError, match=rf"data={name}: no cache folder to look in.*data\.dir=DIR names") as error:
            DATA_SETS[name].load()
        assert len(str(error.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())
