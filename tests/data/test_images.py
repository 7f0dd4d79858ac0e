"""Image files and downloads: generated files, a server on this machine, and what is refused."""

import dataclasses
import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests.damage import cifar_batch, idx
from tests.helpers import MNIST_16K
from wnexp.data import DATA_SETS, image_files, places, published
from wnexp.errors import UserError

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write_mnist(folder, train=20, test=10, compress=True):
    """Four small files; returns the training images."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    x = rng.integers(0, 256, (train, 28, 28))
    arrays = (x, np.arange(train) % 10, rng.integers(0, 256, (test, 28, 28)), np.arange(test) % 10)
    for name, array in zip(IDX, arrays, strict=True):
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), mtime=0))
        else:
            (folder / name).write_bytes(idx(array))
    return x


def write_cifar(path, batches=None):
    batches = batches or {name: cifar_batch(10, seed) for seed, name in enumerate(BATCHES)}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def load(name="mnist", **settings):
    return dataclasses.replace(DATA_SETS[name], **settings).load()


@pytest.mark.parametrize("compress", [True, False])
def test_mnist_from_a_folder_is_scaled_as_the_paper_does(tmp_path, compress):
    x = write_mnist(tmp_path / "files", compress=compress)
    made = load(dir=str(tmp_path / "files"))
    assert made.train_x.shape == (20, 784) and made.train_x.dtype == np.float32 and made.image == (28, 28, 1)
    np.testing.assert_allclose(made.train_x, ((x / 255 - 0.1307) / 0.3081).reshape(20, 784), atol=1e-6)
    assert made.outputs == 10 and made.test_y.tolist() == list(range(10))
    assert load("fashion_mnist", dir=str(tmp_path / "files")).train_x.std() == pytest.approx(
        made.train_x.std() * 0.3081 / 0.3530, rel=1e-5
    )


def test_labels_by_parity_and_subsets(tmp_path):
    write_mnist(tmp_path / "files", train=60)
    folder = str(tmp_path / "files")
    odd = load(dir=folder, labels="parity")
    assert odd.outputs == 1 and odd.train_y.tolist() == [-1, 1] * 30
    part, other = (load(dir=folder, train_samples=40, seed=seed) for seed in (1, 2))
    assert part.train_x.shape == (40, 784) and part.test_x.shape == (10, 784)
    assert (part.train_x != other.train_x).any()
    whole = {row.tobytes() for row in load(dir=folder).train_x}
    assert {row.tobytes() for row in part.train_x} < whole
    with pytest.raises(UserError, match="train_samples=61 is more than the 60"):
        load(dir=folder, train_samples=61)
    with pytest.raises(UserError, match=r"train_samples=5: no sample of class"):
        load(dir=folder, train_samples=5)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (IDX[0], b"", "buffer of 4 bytes"),
        (IDX[0], b"\x00\x00\x09\x03" + bytes(12), "not an IDX file"),
        (IDX[0], struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 28), "promises"),
        (IDX[0], struct.pack(">HBB3I", 0, 8, 3, 20, 28, 28) + bytes(100), "it holds fewer"),
        (IDX[1], idx(np.arange(20)) + b"x", "it holds more"),
        (f"{IDX[0]}.gz", gzip.compress(idx(np.zeros((20, 28, 28))), mtime=0)[:-30], "not a readable file"),
        (IDX[1], idx(np.arange(19)), "do not belong together"),
        (
            IDX[1],
            idx(np.full(20, 10)),
            r"labels 10 \(no 0\) and in the test set also 0, 1, 2.*; allowed: -1 and \+1, or",
        ),
        (IDX[0], idx(np.zeros((20, 28, 27))), "sizes"),
    ],
    ids=["empty", "int16", "huge", "few", "more", "cut_gzip", "pairs", "labels", "sizes"],
)
def test_bad_idx_files_are_named(tmp_path, name, content, reason):
    write_mnist(tmp_path / "files", compress=name.endswith(".gz"))
    (tmp_path / "files" / name).write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        load(dir=str(tmp_path / "files"))
    assert name in str(error.value) or "data=mnist" in str(error.value)


def test_a_folder_with_some_files_missing_and_no_folder(tmp_path):
    write_mnist(tmp_path / "files")
    (tmp_path / "files" / f"{IDX[1]}.gz").unlink()
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte.gz missing"):
        load(dir=str(tmp_path / "files"))
    with pytest.raises(UserError, match="no such folder"):
        load(dir=str(tmp_path / "none"))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_cifar_archive_whatever_its_pickle_protocol(tmp_path, protocol):
    batches = {name: cifar_batch(10, seed, protocol) for seed, name in enumerate(BATCHES)}
    write_cifar(tmp_path / "cifar-10-python.tar.gz", batches)
    made = load("cifar10", dir=str(tmp_path))
    assert made.train_x.shape == (50, 3072) and made.test_x.shape == (10, 3072) and made.image == (32, 32, 3)
    raw = np.random.default_rng(0).integers(0, 256, (10, 3072)).reshape(10, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(made.train_x[:10], (raw.reshape(10, -1) / 255 - 0.5) / 0.5, atol=1e-6)


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Evil()), "names posix.mkdir"),
        (cifar_batch(data=Evil()), "names posix.mkdir"),
        (pickle.dumps(eval, protocol=0), "names"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "memo index"),
        (cifar_batch()[:-500], "not a readable file"),
        (cifar_batch(data=np.zeros((4, 100), np.uint8)), "32 x 32 x 3"),
        (cifar_batch(data=np.zeros((4, 3072), np.float32)), "not an array of bytes"),
        (cifar_batch(data=[1, 2]), "32 x 32 x 3"),
        (cifar_batch(labels=[300]), "not a readable file"),
        (pickle.dumps([1]), "not a readable file"),
        (b"", "not a readable file"),
    ],
)
def test_hostile_and_broken_batches_are_refused_and_nothing_runs(tmp_path, monkeypatch, content, reason):
    monkeypatch.chdir(tmp_path)
    write_cifar(tmp_path / "cifar-10-python.tar.gz", dict.fromkeys(BATCHES, content))
    with pytest.raises(UserError, match=reason) as error:
        load("cifar10", dir=str(tmp_path))
    assert "cifar-10-python.tar.gz" in str(error.value)
    assert not (tmp_path / "harm").exists()


def test_cifar_archive_that_is_not_compressed(tmp_path):
    write_cifar(tmp_path / "cifar-10-python.tar.gz")
    packed = tmp_path / "cifar-10-python.tar.gz"
    (tmp_path / "cifar-10-python.tar").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert load("cifar10", dir=str(tmp_path)).train_x.shape == (60 - 10, 3072)


def test_archives_cut_short_or_without_their_batches(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_cifar(path)
    content = path.read_bytes()
    for cut in (0, 100, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(UserError, match=r"cifar-10-python.tar.gz: not a readable file"):
            load("cifar10", dir=str(tmp_path))
    write_cifar(path, {"other": b"x"})
    with pytest.raises(UserError, match="data_batch_1"):
        load("cifar10", dir=str(tmp_path))


@pytest.fixture
def server(tmp_path):
    """A web server on this machine that serves `tmp_path/served`; the address of it."""
    (tmp_path / "served").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "served")) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture
def mirrored(tmp_path, monkeypatch, server):
    """MNIST with small files on the server, a mirror that is down before it, and a cache of its own."""
    write_mnist(tmp_path / "served")
    checksums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (tmp_path / "served").iterdir()}
    files = {f"{name}.gz": checksums[f"{name}.gz"] for name in IDX}
    monkeypatch.setitem(
        published.SOURCES,
        "mnist",
        places.Published(files, ("http://127.0.0.1:9/", server), image_files.read_mnist),
    )
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")
    return tmp_path


def test_download_falls_back_to_the_next_mirror_and_is_kept(mirrored, monkeypatch):
    made = load()
    assert made.train_x.shape == (20, 784)
    for path in (mirrored / "served").iterdir():
        path.unlink()
    np.testing.assert_array_equal(load().train_x, made.train_x), "from the cache"


def test_download_into_an_empty_data_dir(mirrored):
    (mirrored / "mine").mkdir()
    load(dir=str(mirrored / "mine"))
    assert {path.name for path in (mirrored / "mine").iterdir()} == {f"{name}.gz" for name in IDX}


@pytest.mark.parametrize("damage", ["truncated", "other"])
def test_a_broken_download_is_refused_and_mended_later(mirrored, damage):
    served = mirrored / "served" / f"{IDX[2]}.gz"
    good = served.read_bytes()
    served.write_bytes(good[:100] if damage == "truncated" else good[:-1] + b"x")
    with pytest.raises(UserError, match="could not be downloaded") as error:
        load()
    message = str(error.value)
    assert f"{IDX[2]}.gz" in message and "127.0.0.1:9/ (ConnectionError)" in message and "wrong checksum" in message
    assert "data.dir=FOLDER" in message and len(message.splitlines()) == 2
    served.write_bytes(good)
    assert load().test_x.shape == (10, 784)


def test_a_mirror_without_the_file_shows_its_status(mirrored):
    (mirrored / "served" / f"{IDX[0]}.gz").unlink()
    with pytest.raises(UserError, match=r"\(HTTP 404\)"):
        load()


def test_a_cache_that_cannot_be_made_is_not_the_mirrors_fault(mirrored):
    (mirrored / "cache").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cache/mnist cannot be written \(.*\); give data.dir=FOLDER") as error:
        load()
    assert "127.0.0.1" not in str(error.value)


def test_a_damaged_cache_is_fetched_again(mirrored):
    load()
    cached = mirrored / "cache" / "mnist" / f"{IDX[0]}.gz"
    cached.write_bytes(cached.read_bytes()[:50])
    assert load().train_x.shape == (20, 784)


def test_no_network_is_one_clear_message(mirrored, inside, monkeypatch):
    files = published.SOURCES["mnist"].files
    monkeypatch.setitem(
        published.SOURCES, "mnist", places.Published(files, ("http://127.0.0.1:9/",), image_files.read_mnist)
    )
    code, _, err = inside("train", "+experiment=mnist")
    assert code == 1 and "could not be downloaded; tried http://127.0.0.1:9/ (ConnectionError)" in err
    assert "Traceback" not in err and len(err.strip().splitlines()) == 2


def test_the_checksums_are_the_published_ones():
    assert published.SOURCES["mnist"].files[f"{IDX[0]}.gz"] == "f68b3c2dcbeaaa9fbdd348bbdeb94873"
    assert published.SOURCES["cifar10"].files == {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}
    assert all(len(source.mirrors) >= 2 for source in published.SOURCES.values())


@pytest.mark.skipif(not MNIST_16K.is_dir(), reason="the real MNIST files are not here")
def test_real_mnist():
    made = load(dir=str(MNIST_16K))
    assert made.train_x.shape == (16384, 784) and made.test_x.shape == (10000, 784)
    assert abs(made.train_x.mean()) < 0.01 and abs(made.train_x.std() - 1) < 0.01
    assert (
        hashlib.md5((MNIST_16K / f"{IDX[2]}.gz").read_bytes()).hexdigest()
        == published.SOURCES["mnist"].files[f"{IDX[2]}.gz"]
    )
