"""Data sets: shapes, labels, determinism, and what is refused."""

import dataclasses

import numpy as np
import pytest

from wnexp.data import DATA_SETS
from wnexp.errors import UserError
from wnexp.settings import settings

GENERATED = ["lin_sep", "conv_rate", "gaussian", "clusters", "xor", "simple_traj", "two_points", "digits"]
CLASSES = {"digits": 10, "clusters": 15}  # of those with more than two


def load(name, **settings):
    return dataclasses.replace(DATA_SETS[name], **settings).load()


@pytest.mark.parametrize("name", GENERATED)
def test_shapes_labels_and_determinism(name):
    first, second = (load(name) for _ in range(2))
    for part in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))
    assert first.train_x.shape[1] == first.test_x.shape[1]
    assert len(first.train_x) == len(first.train_y) and len(first.test_x) == len(first.test_y)
    labels = set(first.train_y.tolist())
    assert labels == set(range(CLASSES[name])) if name in CLASSES else labels <= {-1, 1}
    assert first.outputs == CLASSES.get(name, 1)


def test_lin_sep_is_the_papers():
    made = load("lin_sep", seed=3)
    assert made.train_x.shape == (4, 2) and made.test_x.shape == (100, 2)
    np.testing.assert_array_equal(made.train_x[[0, 2]], [[1, 1], [-1, 1]])
    np.testing.assert_array_equal(made.train_y, [-1, -1, 1, 1])
    square = np.abs(np.concatenate([made.train_x[[1, 3]], made.test_x]))
    assert square.min() >= 1 and square.max() <= 2
    assert (made.test_x[made.test_y == -1] > 0).all() and (made.test_x[made.test_y == 1] < 0).all()
    assert (load("lin_sep", seed=4).test_x != made.test_x).any()


def test_conv_rate_has_the_papers_max_margin_direction():
    made = load("conv_rate", train_per_class=10)
    assert made.train_x.shape == (20, 2)
    margins = made.train_y * (made.train_x @ [-1.0, 0.0])
    assert margins.min() == 1 and (margins == 1).sum() == 2


def test_gaussian_is_labelled_by_a_direction_with_a_gap_of_its_own():
    made = load("gaussian", train_per_class=20, test_per_class=7, inputs=5, seed=2)
    assert made.train_x.shape == (40, 5) and made.test_x.shape == (14, 5)
    teacher = np.random.default_rng(2).normal(size=5)
    assert (made.train_y * (made.train_x @ teacher) / np.linalg.norm(teacher)).min() >= 0.3 - 1e-12
    assert np.bincount(made.train_y + 1).tolist() == [20, 0, 20]


def test_gaussian_classes_are_those_of_the_largest_component():
    """Orthonormal directions, drawn first: a linear map separates all points, by 0.3 at least."""
    made = load("gaussian", classes=5, inputs=6, train_per_class=4, test_per_class=3, seed=1)
    assert made.outputs == 5 and np.bincount(made.train_y).tolist() == [4] * 5 and made.test_x.shape == (15, 6)
    teachers = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 5)))[0]
    for x, y in ((made.train_x, made.train_y), (made.test_x, made.test_y)):
        scores = x @ teachers
        others = np.where(np.arange(5) == y[:, None], -np.inf, scores).max(axis=1)
        assert (scores[np.arange(len(y)), y] - others).min() >= 0.3 - 1e-12


def test_gaussian_inputs_are_correlated_and_points_repeated():
    x = load("gaussian", inputs=4, train_per_class=20_000, correlation=-0.6, seed=3).train_x
    teacher = np.random.default_rng(3).normal(size=4)
    across = np.eye(4) - np.outer(teacher, teacher) / (teacher @ teacher)  # the gap moves points along it alone
    distance = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(across @ np.cov(x.T) @ across, across @ (-0.6) ** distance @ across, atol=0.03)
    once, thrice = (load("gaussian", copies=copies, seed=3) for copies in (1, 3))
    np.testing.assert_array_equal(thrice.train_x, np.repeat(once.train_x, 3, axis=0))
    np.testing.assert_array_equal(thrice.test_x, once.test_x)


def test_gaussian_has_no_more_classes_than_inputs():
    with pytest.raises(UserError, match=r"data.classes=5 is more than data.inputs=4"):
        load("gaussian", classes=5, inputs=4)


def test_clusters_are_the_published_ones_bit_for_bit():
    """The recipe in numpy's global legacy generator; test points come after it."""
    np.random.seed(12344)  # noqa: NPY002
    means = np.random.randn(15, 25)  # noqa: NPY002
    points = [means[i][:, None] + 0.1 * np.random.randn(25, 50) for i in range(15)]  # noqa: NPY002
    made = load("clusters")
    np.testing.assert_array_equal(made.train_x, np.concatenate([columns.T for columns in points]))
    np.testing.assert_array_equal(made.train_y, np.repeat(np.arange(15), 50))
    np.testing.assert_array_equal(load("clusters", test_per_class=3).train_x, made.train_x)


def test_clusters_have_settings():
    made = load("clusters", classes=4, inputs=3, train_per_class=2, test_per_class=5, noise=0.0, seed=1)
    assert made.train_x.shape == (8, 3) and made.test_x.shape == (20, 3) and made.outputs == 4
    np.testing.assert_array_equal(made.train_x[::2], made.test_x[::5])
    assert (load("clusters", seed=2).train_x != load("clusters").train_x).all()
    assert set(load("clusters", classes=2).train_y) == {-1, 1}


def test_clusters_of_every_seed_that_is_allowed():
    """The legacy generator takes 32 bits."""
    seed = settings(DATA_SETS["clusters"])["seed"]
    load("clusters", seed=2**32 - 1)
    seed.check("data.seed", 2**32 - 1)
    with pytest.raises(UserError, match=r"data.seed=4294967296 is out of range"):
        seed.check("data.seed", 2**32)


def test_two_points_are_those_of_the_reference():
    made = load("two_points")
    np.testing.assert_allclose(np.arctan2(made.train_x[:, 1], made.train_x[:, 0]), [np.pi / 8, np.pi / 20], rtol=1e-15)
    assert made.train_y.tolist() == [1, 1] and made.test_x.shape == (0, 2)


def test_digits_are_real_stratified_and_fixed():
    made = load("digits")
    assert made.train_x.shape == (1437, 64) and made.test_x.shape == (360, 64)
    assert np.ptp(np.bincount(made.test_y)) <= 3
    np.testing.assert_allclose(made.train_x.mean(axis=0), 0, atol=1e-12)


def arrays(**changes):
    good = {
        "train_x": np.ones((4, 3)),
        "train_y": np.array([-1, 1, 1, -1]),
        "test_x": np.ones((2, 3)),
        "test_y": np.array([1, -1]),
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def write(tmp_path, **changes):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays(**changes))
    return {"path": str(path)}


def test_file_round_trip(tmp_path):
    made = load("file", **write(tmp_path, train_x=np.arange(12.0).reshape(4, 3)))
    np.testing.assert_array_equal(made.train_x, np.arange(12.0).reshape(4, 3))
    assert made.outputs == 1
    made = load("file", **write(tmp_path, train_y=np.array([0, 1, 2, 1]), test_y=np.array([2, 2])))
    assert made.outputs == 3
    made = load("file", **write(tmp_path, train_y=np.array([0, 1, 1, 0]), test_y=np.array([0, 1])))
    np.testing.assert_array_equal(made.train_y, [-1, 1, 1, -1])
    made = load("file", **write(tmp_path, test_x=None, test_y=None))
    assert made.test_x.shape == (0, 3)
    made = load("file", **write(tmp_path, train_x=np.ones((4, 3, 2)), test_x=np.ones((2, 3, 2))))
    assert made.train_x.shape == (4, 6) and made.image == (3, 2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_x": None}, "train_x is missing"),
        ({"test_y": None}, "come together"),
        ({"test_x": np.ones((2, 4))}, r"train_x \(4, 3\), test_x \(2, 4\): all axes but the first"),
        ({"train_x": np.full((4, 3), np.nan)}, "12 NaN or infinite"),
        ({"train_x": np.full((4, 3), np.inf)}, "12 NaN or infinite"),
        ({"train_y": np.array([0.5, 1, 1, 0])}, "not integers"),
        ({"train_y": np.array([1, 2, 2, 1])}, "allowed: -1 and \\+1, or 0..k-1"),
        ({"train_y": np.array([-1, 0, 1, 1])}, "labels -1, 0, 1"),
        ({"train_y": np.array([0, 1, 2, 1]), "test_y": np.array([3, 0])}, "each of them in the training set"),
        ({"train_y": np.array([0, 0, 0, 0]), "test_y": np.array([0, 0])}, "allowed"),
        ({"train_y": np.array([1, -1])}, r"\(n, d\) and \(n,\)"),
        ({"train_x": np.array([["a"] * 3] * 4)}, "must be numbers"),
        ({"train_x": np.ones((0, 3)), "train_y": np.ones(0)}, "holds no numbers"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        load("file", **write(tmp_path, **changes))


def test_the_files_of_a_data_set_are_the_users_own(tmp_path):
    assert DATA_SETS["lin_sep"].files() == {} == DATA_SETS["file"].files() == DATA_SETS["mnist"].files()
    settings = write(tmp_path)
    assert dataclasses.replace(DATA_SETS["file"], **settings).files() == {"path": [tmp_path / "data.npz"]}


def test_labels_by_parity_need_classes(tmp_path):
    path = write(tmp_path, train_y=np.array([0, 1, 2, 1]), test_y=np.array([2, 2]))
    assert load("file", **path, labels="parity").train_y.tolist() == [-1, 1, -1, 1]
    with pytest.raises(UserError, match="parity needs more than two classes"):
        load("file", **write(tmp_path), labels="parity")


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load("file", path=str(tmp_path / "none.npz"))
    with pytest.raises(UserError, match="needs data"):
        load("file")
    whole = write(tmp_path)
    content = (tmp_path / "data.npz").read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 5):
        (tmp_path / "data.npz").write_bytes(content[:cut])
        with pytest.raises(UserError, match="not a readable"):
            load("file", **whole)
    np.savez(tmp_path / "data.npz", train_x=np.array([object()]), train_y=np.ones(1))
    with pytest.raises(UserError, match="not a readable"):
        load("file", **whole)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(UserError, match="not a readable"):
        load("file", path=str(tmp_path / "one.npy"))
