"""The one door into a data set: what every reader's labels, shapes and numbers go through."""

import dataclasses
import gzip
from dataclasses import dataclass

import numpy as np
import pytest

from tests.damage import idx
from tests.helpers import compose
from wnexp import runner
from wnexp.config.schema import flat_defaults
from wnexp.data import DATA_SETS
from wnexp.data.dataset import Dataset, Sampled
from wnexp.errors import UserError
from wnexp.runs import identity
from wnexp.training.options import OPTIONS

X = np.arange(12.0).reshape(4, 3)
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def made(train_y, test_y=(), train_x=X, **more):
    """A data set of those labels."""
    test_x = more.pop("test_x", np.atleast_1d(train_x)[: len(test_y)])
    return Dataset(train_x, np.array(train_y), test_x, np.array(test_y, dtype=int), **more)


def write_images(folder, train_y, test_y):
    """MNIST's files with those labels; returns the images."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (len(y), 28, 28)) for y in (train_y, test_y)]
    for name, array in zip(FILES, (images[0], np.array(train_y), images[1], np.array(test_y)), strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), mtime=0))
    return images


def load_images(folder, name="mnist", **settings):
    return dataclasses.replace(DATA_SETS[name], dir=str(folder), **settings).load()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_two_classes_of_images_are_signs(tmp_path, name):
    write_images(tmp_path, [0, 1, 1, 0], [1, 0])
    data = load_images(tmp_path, name)
    assert data.outputs == 1 and data.train_y.tolist() == [-1, 1, 1, -1] and data.test_y.tolist() == [1, -1]
    assert data.train_y.dtype == np.int64 and data.train_x.dtype == np.float32


@pytest.mark.slow
def test_two_classes_of_images_train_as_the_same_pixels_in_a_file_do(tmp_path):
    images = write_images(tmp_path, [0, 1] * 4, [1, 0])
    train, test = ((x / 255 - 0.1307) / 0.3081 for x in images)
    np.savez(tmp_path / "d.npz", train_x=train, train_y=[0, 1] * 4, test_x=test, test_y=[1, 0])
    words = ("model.widths=[]", "stop.max_steps=30", "optimizer=gd", "norm=none", "loss=cross_entropy")
    ends = []
    for number, data in enumerate((f"data=mnist data.dir={tmp_path}", f"data=file data.path={tmp_path}/d.npz")):
        ends.append(runner.run_in(tmp_path / f"run{number}", compose(*data.split(), *words)).seeds[0])
    assert ends[0]["log_loss"] == pytest.approx(ends[1]["log_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("train_y", "test_y", "message"),
    [
        ([0, 1, 2], [3], r"data=mnist: labels 0, 1, 2 and in the test set also 3; allowed: -1 and \+1, or 0..k-1"),
        ([0, 1, 3], [0], r"labels 0, 1, 3 \(no 2\); allowed"),
        ([1, 2], [1], r"labels 1, 2 \(no 0\); allowed"),
        ([*range(20), 200], [0], r"labels 0, 1, 2, 3, \.\.\., 18, 19, 200 \(no 20\)"),
    ],
    ids=["test_only", "gap", "from_one", "damaged"],
)
def test_classes_of_images_are_checked(tmp_path, train_y, test_y, message):
    write_images(tmp_path, train_y, test_y)
    with pytest.raises(UserError, match=message):
        load_images(tmp_path)


def test_classes_that_parity_would_hide(tmp_path):
    write_images(tmp_path, [0, 1, 2, 5], [4, 1])
    with pytest.raises(UserError, match=r"labels 0, 1, 2, 5 \(no 3\)"):
        load_images(tmp_path, labels="parity")


def test_more_than_ten_classes_of_images(tmp_path):
    write_images(tmp_path, list(range(47)), [46])
    assert load_images(tmp_path).outputs == 47


@dataclass(frozen=True)
class Own(Sampled):
    """A user's."""

    def read(self):
        return Dataset(train_x=X[:, None, 0], train_y=np.array([0, 1, 1, 0]), test_x=X[:0, None, 0], test_y=X[:0, 0])


def test_a_data_set_of_ones_own_passes_the_door():
    data = Own().load()
    assert data.train_y.tolist() == [-1, 1, 1, -1] and data.outputs == 1 and data.test_y.dtype == np.int64
    assert Own(train_samples=3).load().train_y.tolist() == [-1, 1, 1]


@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0], [False, True, True, False], [-1, 1, 1, -1]])
def test_labels_of_two_classes_of_any_type(labels):
    for shape in ((4,), (4, 1)):
        assert made(np.reshape(labels, shape)).train_y.tolist() == [-1, 1, 1, -1]


def test_numbers_keep_their_precision_and_integers_become_floats():
    assert made([0, 1, 2, 0], train_x=X.astype(np.float32)).train_x.dtype == np.float32
    for kind in (np.float16, np.uint8, bool, ">f8"):
        assert made([0, 1, 2, 0], train_x=X.astype(kind)).train_x.dtype == np.float64


BAD = {
    "gap": (([0, 2, 0, 2],), r"here: labels 0, 2 \(no 1\)"),
    "one": (([0, 0, 0, 0],), r"labels 0 \(no 1\)"),
    "test_only": (([1, 1, 1, 1], [-1]), "labels 1 and in the test set also -1"),
    "half": (([0, 0.5, 1, 1],), "not integers"),
    "nan": (([0, np.nan, 1, 1],), "not integers"),
    "large": (([0, 1e300, 1, 1],), r"labels 0, 1, 1e\+300 \(no 2\)"),
    "few": (([0, 1],), r"train_x \(4, 3\) and train_y \(2,\) must be \(n, d\) and \(n,\)"),
    "one_hot": ((np.eye(4),), r"train_y \(4, 4\).*train_y looks one-hot: give train_y.argmax\(axis=1\)"),
    "columns": ((np.full((4, 2), 2),), r"train_y \(4, 2\) must be \(n, d\) and \(n,\)$"),
    "transposed": (([0, 1, 1],), "train_x looks transposed: its rows are the samples"),
    "infinite": (([0, 1, 1, 0], (), X + np.inf), "NaN or infinite"),
    "not_flat": (([0, 1, 1, 0], (), X.reshape(4, 3, 1)), r"\(4, 3, 1\) and train_y \(4,\) must be"),
    "single": (([[0, 1]], (), X[0, 0:1].reshape(())), r"train_x \(\) and train_y \(1, 2\) must be"),
    "nothing": (([], (), X[:0]), "holds no numbers"),
    "complex": (([0, 1, 1, 0], (), X + 1j), "train_x must be numbers, not complex128; allowed: float16, "),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case):
    arguments, message = BAD[case]
    with pytest.raises(UserError, match=message) as error:
        made(*arguments, source="here")
    assert str(error.value).startswith("here: ") and len(str(error.value).splitlines()) == 1


def test_images_and_test_sets_fit_the_training_set():
    with pytest.raises(UserError, match=r"images \(2, 2, 1\) are not rows of 3 numbers"):
        made([0, 1, 2, 0], image=(2, 2, 1))
    with pytest.raises(UserError, match="train_x has width 3, test_x 2"):
        made([0, 1, 2, 0], [0], test_x=X[:1, :2])
    with pytest.raises(dataclasses.FrozenInstanceError):
        made([0, 1, 2, 0]).train_y = np.array([7])
    with pytest.raises(UserError, match="labels 0, 5"):
        dataclasses.replace(made([0, 1, 2, 0]), train_y=np.array([0, 5, 5, 5]))


def test_classes_of_images_are_chosen(tmp_path):
    images, _ = write_images(tmp_path, [3, 8, 5, 3, 9, 8], [8, 1, 3])
    data = load_images(tmp_path, classes=[8, 3])
    assert data.train_y.tolist() == [1, -1, 1, -1] and data.test_y.tolist() == [-1, 1] and data.chosen == (8, 3)
    wanted = (images[[0, 1, 3, 5]].reshape(4, -1) / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(data.train_x, wanted, atol=1e-6)
    more = load_images(tmp_path, classes=[5, 9, 3])
    assert more.train_y.tolist() == [2, 0, 2, 1] and more.test_y.tolist() == [2] and more.outputs == 3


def test_classes_of_digits_and_of_files_are_chosen(tmp_path):
    whole, part = (dataclasses.replace(DATA_SETS["digits"], classes=classes).load() for classes in (None, [3, 8]))
    rows = np.isin(whole.train_y, (3, 8))
    np.testing.assert_array_equal(part.train_x, whole.train_x[rows])
    assert part.train_y.tolist() == np.where(whole.train_y[rows] == 8, 1, -1).tolist() and part.image == (8, 8, 1)
    np.savez(tmp_path / "d.npz", train_x=X, train_y=[7, -2, 7, 4], test_x=X[:1], test_y=[1])
    source = dataclasses.replace(DATA_SETS["file"], path=str(tmp_path / "d.npz"))
    with pytest.raises(UserError, match="labels -2, 4, 7"):  # gaps
        source.load()
    data = dataclasses.replace(source, classes=[7, -2]).load()
    assert data.train_y.tolist() == [-1, 1, -1] and not len(data.test_x)


def test_classes_of_ones_own_data_set_are_chosen():
    """By its reader or by what loads it."""
    assert Own(classes=[1, -1]).load().train_y.tolist() == [1, -1, -1, 1]
    with pytest.raises(UserError, match=r"data\.classes=\[1,2\]: no training sample has label 2; data has the labels"):
        Own(classes=[1, 2]).load()


def test_classes_that_are_chosen_go_with_subsets_and_parity(tmp_path):
    write_images(tmp_path, [1, 2, 3, 4] * 5, [4])
    data = load_images(tmp_path, classes=[1, 2, 4], labels="parity", train_samples=14)
    assert data.outputs == 1 and data.test_y.tolist() == [-1] and sorted(set(data.train_y.tolist())) == [-1, 1]
    assert load_images(tmp_path, classes=[1, 2, 4], labels="parity").train_y.tolist() == [1, -1, -1] * 5
    with pytest.raises(UserError, match="train_samples=16 is more than the 15"):
        load_images(tmp_path, classes=[1, 2, 4], train_samples=16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data=digits data.classes=[3,11]", r"data.classes=\[3,11\]: no training sample has label 11; data=digits has"),
        ("data=digits data.classes=[3]", "two or more different integers"),
        ("data=digits data.classes=[3,3]", "two or more different integers"),
        ("data=digits data.classes=[]", "two or more different integers"),
        ("data=digits data.classes=3", "data.classes=3 is not possible; allowed: null for all, or two or more"),
        ("data=gaussian data.classes=[3,8]", r"data.classes=\[3, 8\] is not possible; allowed: an integer"),
        ("data=lin_sep data.classes=[3,8]", "data.classes is not a setting of the data chosen"),
    ],
)
def test_classes_that_cannot_be_chosen(words, message):
    with pytest.raises(UserError, match=message) as error:
        compose(*words.split()).data.load()
    assert len(str(error.value).splitlines()) <= 2


def test_classes_are_part_of_what_a_run_is_and_default_to_what_runs_had():
    settings = [identity.identity(compose("data=digits", *words)) for words in ((), ("data.classes=[3,8]",))]
    assert identity.differing_keys(*settings) == ["data.classes (None -> [3, 8])"]
    before = {key: value for key, value in settings[0].items() if key != "data.classes"}
    for now, same in zip(settings, (True, False), strict=True):
        then = identity.with_new_defaults(before, now, flat_defaults(compose("data=digits"), OPTIONS))
        assert (then == now) is same
