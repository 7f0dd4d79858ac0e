"""What the shapes, names and types in a user's file say of them, and what is refused rather than guessed."""

import dataclasses

import numpy as np
import pytest

from wnexp.data import DATA_SETS
from wnexp.errors import UserError

Y = np.array([0, 1, 2, 1])


def load(folder, settings=None, **arrays):
    np.savez(folder / "d.npz", **arrays)
    return dataclasses.replace(DATA_SETS["file"], path=f"{folder}/d.npz", **(settings or {})).load()


def images(*shape):
    return np.arange(4.0 * np.prod(shape)).reshape(4, *shape)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (4, 8, 6), (2, 8, 8), (16, 5, 5), (3, 4, 4), (1, 3, 3)])
def test_channel_first_images_are_refused_or_turned(tmp_path, shape):
    with pytest.raises(
        UserError, match=r"looks like \(n, channels, height, width\); if so: data.channels=first"
    ) as error:
        load(tmp_path, train_x=images(*shape), train_y=Y)
    assert "data.channels=last" in str(error.value) and len(str(error.value).splitlines()) == 2
    turned = load(tmp_path, {"channels": "first"}, train_x=images(*shape), train_y=Y)
    assert turned.image == (*shape[1:], shape[0])
    np.testing.assert_array_equal(turned.train_x, images(*shape).transpose(0, 2, 3, 1).reshape(4, -1))
    kept = load(tmp_path, {"channels": "last"}, train_x=images(*shape), train_y=Y)
    assert kept.image == shape
    np.testing.assert_array_equal(kept.train_x, images(*shape).reshape(4, -1))


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 1), (3, 5, 1), (4, 4, 3), (1, 6, 4), (3, 3, 3), (6, 8, 2)])
def test_channel_last_images_are_read_as_they_are(tmp_path, shape):
    data = load(tmp_path, train_x=images(*shape), train_y=Y)
    assert data.image == shape
    np.testing.assert_array_equal(data.train_x, images(*shape).reshape(4, -1))


def test_a_test_set_in_another_layout_is_refused(tmp_path):
    """Both have 192 numbers a row."""
    for other in ((3, 8, 8), (192,), (8, 24)):
        with pytest.raises(UserError, match=r"train_x \(4, 8, 8, 3\), test_x \(4, .*\): all axes but the first"):
            arrays = {"train_x": images(8, 8, 3), "train_y": Y, "test_x": images(*other), "test_y": Y}
            load(tmp_path, {"channels": "last"}, **arrays)


def test_labels_in_a_column_are_read_and_one_hot_labels_named(tmp_path):
    column = load(tmp_path, train_x=images(3), train_y=Y[:, None], test_x=images(3), test_y=Y[:, None])
    assert column.train_y.tolist() == Y.tolist() == column.test_y.tolist()
    with pytest.raises(UserError, match=r"train_y \(4, 3\) .* looks one-hot: give train_y.argmax\(axis=1\)"):
        load(tmp_path, train_x=images(3), train_y=np.eye(3)[Y])
    with pytest.raises(UserError, match="test_y looks one-hot"):
        load(tmp_path, train_x=images(3), train_y=Y, test_x=images(3), test_y=np.eye(3, dtype=bool)[Y])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": Y, "y": Y}, r"array train_x is missing, the file holds X, y;\nneeded: train_x, train_y; optional"),
        ({"train_x": images(3), "labels": Y}, "array train_y is missing, the file holds train_x, labels"),
        ({f"a{index}": Y for index in range(99)}, r"the file holds a0, .*, a7, \.\.\.;"),
        ({}, "the file holds no arrays"),
        ({"train_x": images(3), "train_y": Y, "x_test": Y, "y_test": Y}, "x_test, y_test would not be read; needed"),
        ({"train_x": images(3), "train_y": Y, "test_x": Y, "testY": Y}, "come together.*holds .*test_x, testY"),
    ],
    ids=["others", "one_other", "many", "none", "test_set", "half_a_test_set"],
)
def test_other_names(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, **arrays)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize("kind", ["V2", "V1", "complex64", "U3", "M8[s]"])
def test_types_that_are_no_numbers(tmp_path, kind):
    for arrays in (
        {"train_x": np.zeros((4, 3), kind), "train_y": Y},
        *([{"train_x": images(3), "train_y": np.zeros(4, kind)}] if kind != "U3" else []),  # words name classes
    ):
        with pytest.raises(UserError, match=r"train_[xy] must be numbers, not .*; allowed: float16, float32") as error:
            load(tmp_path, **arrays)
        assert np.dtype(kind).name[:4] in str(error.value) or np.dtype(kind).str in str(error.value)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("single", ["train_x", "train_y", "test_x", "test_y"])
def test_single_numbers_are_no_arrays_of_samples(tmp_path, single):
    arrays = {"train_x": images(3), "train_y": Y, "test_x": images(3), "test_y": Y} | {single: np.float64(1)}
    with pytest.raises(UserError, match=r"\(\)"):
        load(tmp_path, **arrays)


def test_other_arrays_of_a_file_do_not_matter(tmp_path):
    assert load(tmp_path, train_x=images(3), train_y=Y, latest=Y, names=Y).outputs == 3
    arrays = {"train_x": images(3), "train_y": Y, "test_x": images(3), "test_y": Y, "x_test_raw": Y}
    assert len(load(tmp_path, **arrays).test_y) == 4
    for other in ("test", "Xtest", "testY", "data.test"):
        with pytest.raises(UserError, match=f"{other} would not be read"):
            load(tmp_path, train_x=images(3), train_y=Y, **{other: Y})


def test_numbers_beyond_float64_are_refused_without_a_warning(tmp_path):
    with pytest.raises(UserError, match="train_x holds 12 NaN or infinite"):
        load(tmp_path, train_x=np.full((4, 3), np.longdouble(10)) ** 400, train_y=Y)
