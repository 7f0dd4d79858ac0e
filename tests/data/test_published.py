"""Published image data sets beside MNIST and CIFAR-10: their files, their labels, and files of another set."""

import dataclasses
import gzip
import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest

from tests.damage import cifar_batch, idx
from tests.helpers import MNIST_16K
from wnexp.data import DATA_SETS, published
from wnexp.errors import UserError

MNIST = tuple(published.SOURCES["mnist"].files)
LETTERS = published.emnist("letters").unpacked


def contents(names, classes, first=0):
    """Small IDX files of every class, compressed; and their training images."""
    rng = np.random.default_rng(0)
    y = np.arange(2 * classes) % classes + first
    x = rng.integers(0, 256, (len(y), 28, 28))
    arrays = (x, y, x[:classes], y[:classes])
    return {name: gzip.compress(idx(array), mtime=0) for name, array in zip(names, arrays, strict=True)}, x


def write(folder, files, compress=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        plain = name.removesuffix(".gz")
        (folder / (name if compress else plain)).write_bytes(content if compress else gzip.decompress(content))


def load(name, folder, **settings):
    return dataclasses.replace(DATA_SETS[name], dir=str(folder), **settings).load()


@pytest.mark.parametrize("below", [".", "KMNIST/raw", "raw"])
def test_kmnist(tmp_path, below):
    files, x = contents(MNIST, 10)
    write(tmp_path / below, files)
    data = load("kmnist", tmp_path)
    assert data.outputs == 10 and data.image == (28, 28, 1)
    np.testing.assert_allclose(data.train_x, (x.reshape(20, 784) / 255 - 0.1918) / 0.3483, atol=1e-6)


@pytest.mark.parametrize("below", [".", "EMNIST/raw", "gzip"])
@pytest.mark.parametrize("compress", [True, False])
def test_letters_count_from_one_in_the_files_and_from_zero_here(tmp_path, below, compress):
    files, x = contents(LETTERS, 26, first=1)
    write(tmp_path / below, files, compress)
    data = load("emnist", tmp_path)
    assert data.outputs == 26 and data.train_y.tolist() == [*range(26)] * 2
    np.testing.assert_allclose(data.train_x, (x.reshape(52, 784) / 255 - 0.1722) / 0.3309, atol=1e-6)
    two = load("emnist", tmp_path, classes=[26, 1])
    assert two.train_y.tolist() == [1, -1] * 2 and two.chosen == (26, 1)
    assert load("emnist", tmp_path, labels="parity").train_y.tolist() == [1, -1] * 26  # a is 1
    assert len(dataclasses.replace(DATA_SETS["emnist"], dir=str(tmp_path)).files()["dir"]) == 4


def test_emnist_in_its_archive(tmp_path):
    files, _ = contents(LETTERS, 26, first=1)
    digits, _ = contents(published.emnist("digits").unpacked, 10)
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for name, content in (files | digits).items():
            archive.writestr(f"gzip/{name}", content)
    data = load("emnist", tmp_path)
    write(tmp_path / "unpacked", files)
    np.testing.assert_array_equal(data.train_x, load("emnist", tmp_path / "unpacked").train_x)
    assert load("emnist", tmp_path, split="digits").outputs == 10
    with pytest.raises(UserError, match=r"gzip\.zip: not a readable file .*emnist-balanced-train-images"):
        load("emnist", tmp_path, split="balanced")
    (tmp_path / "gzip.zip").write_bytes((tmp_path / "gzip.zip").read_bytes()[:-400])
    with pytest.raises(UserError, match=r"gzip\.zip: not a readable file"):
        load("emnist", tmp_path)


@pytest.mark.parametrize("layout", ["archive", "unpacked", "keras"])
def test_cifar100(tmp_path, layout):
    fine = [int(label) for label in np.arange(200) % 100]
    batches = {name: cifar_batch(200, seed, fine_labels=fine) for seed, name in enumerate(("train", "test"))}
    folder = tmp_path / ("cifar-100-python-target" if layout == "keras" else "") / "cifar-100-python"
    if layout == "archive":
        with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as archive:
            for name, content in batches.items():
                member = tarfile.TarInfo(f"cifar-100-python/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        write(folder, batches)
    data = load("cifar100", tmp_path)
    assert data.outputs == 100 and data.image == (32, 32, 3) and data.train_y.tolist() == fine
    assert load("cifar100", tmp_path, classes=[70, 20]).train_y.tolist() == [1, -1] * 2


def test_files_of_another_data_set_with_the_same_names(tmp_path, monkeypatch):
    files, _ = contents(MNIST, 10)
    write(tmp_path / "gz", files)
    write(tmp_path / "plain", files, compress=False)
    for name in ("mnist", "fashion_mnist"):
        load(name, tmp_path / "gz")  # what nobody has published is the user's
    checksums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(published.SOURCES, "kmnist", published.SOURCES["kmnist"]._replace(files=checksums))
    assert load("kmnist", tmp_path / "gz").outputs == 10
    for name in ("mnist", "fashion_mnist"):
        with pytest.raises(UserError, match=rf"{MNIST[0]}: a file of data=kmnist, not of data={name}") as error:
            load(name, tmp_path / "gz")
        assert len(str(error.value).splitlines()) == 1
    plain = " ".join(hashlib.md5(gzip.decompress(content)).hexdigest() for content in files.values())
    monkeypatch.setitem(published._DECOMPRESSED, "kmnist", plain)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte: a file of data=kmnist, not of data=mnist"):
        load("mnist", tmp_path / "plain")


@pytest.mark.skipif(not MNIST_16K.is_dir(), reason="the real MNIST files are not here")
def test_real_mnist_is_no_fashion(tmp_path):
    """The training files are a part that nobody has published, the test files are MNIST's."""
    for name in MNIST:
        (tmp_path / name.removesuffix(".gz")).write_bytes(gzip.decompress((MNIST_16K / name).read_bytes()))
    for folder in (MNIST_16K, tmp_path):
        with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte(\.gz)?: a file of data=mnist, not of data=kmnist"):
            load("kmnist", folder)


def test_the_checksums_have_the_form_of_checksums():
    for source in (*published.SOURCES.values(), published.emnist("letters")):
        assert all(len(checksum) == 32 and int(checksum, 16) for checksum in source.files.values())
        assert len(source.mirrors) >= 2 and len(source.files) in (1, 4)
