"""The largest margin there is: reference values, its certificate, symmetries, what is refused, and its cache."""

import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ortho_group

from wnexp import resources
from wnexp.errors import UserError
from wnexp.nn import losses
from wnexp.theory import largest_margin as module
from wnexp.theory.largest_margin import largest_margin
from wnexp.theory.margin_program import NORMS, Samples, _bound
from wnexp.theory.reference import hard_margin_normal

# The norms written out once more, and their duals.
NORM = {
    "l2": lambda w: np.sqrt(np.sum(w**2)),
    "linf": lambda w: np.abs(w).max(),
    "l1": lambda w: np.abs(w).sum(),
    "spectral": lambda w: np.linalg.norm(w, 2),
    "nuclear": lambda w: np.linalg.norm(w, "nuc"),
}
DUAL = {"l2": "l2", "linf": "l1", "l1": "linf", "spectral": "nuclear", "nuclear": "spectral"}
TWO = np.array([[np.cos(angle), np.sin(angle)] for angle in (np.pi / 8, np.pi / 20)])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "wnexp" / "margins"


def separable(seed, n=24, d=6, k=3):
    """Points labelled by a random linear map, `k = 1`: two classes."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    scores = x @ rng.standard_normal((d, k))
    return (x, np.where(scores[:, 0] > 0, 1, -1), 1) if k == 1 else (x, np.argmax(scores, axis=1), k)


def smallest_margin(x, y, w):
    return float(losses.margins(jnp.asarray(x @ w), jnp.asarray(y)).min())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("geometry", "margin"),
    [("l2", 1.0152387), ("linf", 13.507834), ("l1", 0.0918922), ("spectral", 3.1536697), ("nuclear", 0.3021431)],
)
def test_fifteen_classes(geometry, margin):
    """The design of arXiv 2502.04664, section 6, its largest margins by two other solvers."""
    rng = np.random.RandomState(12344)
    means = rng.randn(15, 25)
    x = np.concatenate([(mean[:, None] + 0.1 * rng.randn(25, 50)).T for mean in means])
    found = largest_margin(x, np.repeat(np.arange(15), 50), 15, geometry)
    digits = len(str(margin).split(".")[1])
    assert round(found.margin, digits) == margin


@pytest.mark.parametrize(("geometry", "margin"), [("l2", 0.993068), ("linf", 1.144123), ("l1", np.cos(np.pi / 8))])
def test_two_points(geometry, margin):
    assert largest_margin(TWO, np.array([1, 1]), 1, geometry).margin == pytest.approx(margin, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_l2_of_two_classes_is_the_hard_margin(seed):
    x, y, _ = separable(seed, k=1)
    normal = hard_margin_normal(x, y)
    for geometry in ("l2", "spectral", "nuclear"):
        found = largest_margin(x, y, 1, geometry)
        assert found.margin == pytest.approx(np.min(y * (x @ normal)), rel=1e-7)
        np.testing.assert_allclose(found.weights[:, 0], normal, atol=1e-4)


@pytest.mark.parametrize("geometry", NORMS)
@pytest.mark.parametrize("k", [1, 3])
def test_weights_have_the_margin_and_norm_that_are_said(geometry, k):
    """Also with fewer samples than inputs, where the program is solved in their span."""
    for shape in ((24, 6), (5, 9)):
        x, y, outputs = separable(4, *shape, k)
        found = largest_margin(x, y, outputs, geometry)
        assert NORM[geometry](found.weights) == pytest.approx(1, rel=1e-12)
        assert smallest_margin(x, y, found.weights) == pytest.approx(found.margin, rel=1e-12)
        assert found.margin > 0 and 0 <= found.gap <= 1.01e-7


@pytest.mark.parametrize("geometry", NORMS)
def test_any_multipliers_bound_the_margin(geometry):
    """Weak duality as the code has it, and written out."""
    x, y, k = separable(2)
    margin = largest_margin(x, y, k, geometry).margin
    samples, rng = Samples(x, y, k), np.random.default_rng(0)
    others = y[:, None] != np.arange(k)
    for _ in range(50):
        multipliers = rng.exponential(size=others.sum()) ** 4
        by_pair = np.zeros((len(x), k))
        by_pair[others] = multipliers
        pairs = np.argwhere(others)
        matrix = sum(by_pair[i, j] * np.outer(x[i], np.eye(k)[y[i]] - np.eye(k)[j]) for i, j in pairs)
        bound = NORM[DUAL[geometry]](matrix) / multipliers.sum()
        assert margin <= _bound(samples.rows(others), multipliers, (6, k), NORMS[geometry]) == pytest.approx(bound)


@pytest.mark.parametrize("geometry", NORMS)
def test_no_weights_do_better(geometry):
    """Around the solution and elsewhere: the gap is a promise."""
    x, y, k = separable(5)
    found, rng = largest_margin(x, y, k, geometry), np.random.default_rng(0)
    for size in np.geomspace(1e-6, 10, 300):
        w = found.weights + size * rng.standard_normal(found.weights.shape)
        assert smallest_margin(x, y, w) / NORM[geometry](w) <= found.margin * (1 + found.gap) * (1 + 1e-12)


@pytest.mark.parametrize("geometry", ["l2", "spectral", "nuclear"])
def test_rotations_change_nothing(geometry):
    x, y, k = separable(6)
    turned = x @ ortho_group.rvs(6, random_state=0)
    margins = [largest_margin(each, y, k, geometry).margin for each in (x, turned)]
    assert margins[0] == pytest.approx(margins[1], rel=2e-7)


@pytest.mark.parametrize("geometry", ["l1", "linf"])
def test_order_and_sign_of_inputs_change_nothing(geometry):
    x, y, k = separable(7)
    mirrored = x[:, ::-1] * [1, -1, 1, 1, -1, -1]
    margins = [largest_margin(each, y, k, geometry).margin for each in (x, mirrored)]
    assert margins[0] == pytest.approx(margins[1], rel=2e-7)
    turned = x @ ortho_group.rvs(6, random_state=0)
    assert abs(largest_margin(turned, y, k, geometry).margin / margins[0] - 1) > 1e-3


@pytest.mark.parametrize("geometry", NORMS)
def test_scale_of_the_data(geometry):
    """Margins scale with the inputs, at any size, and inputs may differ by a factor of 10,000."""
    x, y, k = separable(8)
    margin = largest_margin(x, y, k, geometry).margin
    for scale in (1e-150, 1e150):
        assert largest_margin(scale * x, y, k, geometry).margin == pytest.approx(scale * margin, rel=2e-7)
    wide = np.column_stack([x, 1e4 * np.random.default_rng(0).standard_normal(len(x))])
    found = largest_margin(wide, y, k, geometry)
    assert found.margin >= margin * (1 - 1e-7) and found.gap <= 1.01e-7


@pytest.mark.parametrize("geometry", NORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_inputs_a_million_times_as_large_as_others(geometry, seed):
    """Too much for the solver's first answer."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 6)), rng.integers(0, 3, 20)
    x += 2 * np.eye(6)[y]
    assert largest_margin(x * [1, 1, 1e6, 1, 1e-6, 1], y, 3, geometry).gap <= 1.01e-7


@pytest.mark.parametrize("geometry", NORMS)
def test_a_margin_of_a_ten_millionth(geometry):
    """Two points that close, on two sides: (1, +-1e-7), and others."""
    x = np.array([[1, 1e-7], [1, -1e-7], [0.3, 1], [0.2, -0.9]])
    found = largest_margin(x, np.array([1, -1, 1, -1]), 1, geometry)
    assert found.margin == pytest.approx(1e-7, rel=1e-6) and found.gap <= 1.01e-7


@pytest.mark.parametrize("geometry", NORMS)
@pytest.mark.parametrize("seed", [9, 11])
def test_many_points_close_to_the_boundary(geometry, seed):
    x, y, k = separable(seed, n=1000)
    found = largest_margin(x * [9, 1, 1, 1, 1, 1], y, k, geometry)
    assert 0 < found.margin < 0.1 and found.gap <= 1.01e-7


@pytest.mark.parametrize("geometry", NORMS)
def test_constraints_join_in_batches(geometry, monkeypatch):
    """The same margin from programs that never held all constraints at once."""
    x, y, k = separable(9, n=2000)
    x = x * [9, 1, 1, 1, 1, 1]  # means of the classes are no good weights
    margin = largest_margin(x, y, k, geometry).margin
    sizes = []
    monkeypatch.setattr("wnexp.theory.margin_program._BATCH", 0)
    monkeypatch.setattr("wnexp.theory.largest_margin._file", lambda *_: None)
    rows = Samples.rows
    monkeypatch.setattr(Samples, "rows", lambda self, chosen: sizes.append(chosen.sum()) or rows(self, chosen))
    assert largest_margin(x, y, k, geometry).margin == pytest.approx(margin, rel=2e-7)
    assert len(sizes) > 1 and max(sizes) < 4000


NOT_SEPARABLE = {
    "random": (np.random.default_rng(0).standard_normal((60, 3)), np.arange(60) % 3, 3),
    "twins": (np.array([[1.0, 2], [1, 2], [0, 1]]), np.array([0, 1, 2]), 3),
    "zeros": (np.zeros((3, 2)), np.array([0, 1, 2]), 3),
    "two classes": (np.array([[1.0, 2], [2, 4]]), np.array([1, -1]), 1),
}


@pytest.mark.parametrize("geometry", NORMS)
@pytest.mark.parametrize("case", NOT_SEPARABLE)
def test_what_no_linear_model_separates(case, geometry):
    with pytest.raises(UserError, match="no linear model without a bias separates the training set, or by less than"):
        largest_margin(*NOT_SEPARABLE[case], geometry)


def test_what_is_too_large_and_what_is_unknown():
    y = np.arange(2000) % 10
    with pytest.raises(UserError, match=r"7,840 unknowns.*\nat most 1,500"):
        largest_margin(np.ones((2000, 784)), y, 10, "l2")
    with pytest.raises(UserError, match=r"60,000 weights, at most 50,000"):
        largest_margin(np.ones((20, 6000)), y[:20], 10, "linf")
    with pytest.raises(UserError, match=r"geometry=l3 is unknown; allowed: l2, linf, l1, spectral, nuclear"):
        largest_margin(TWO, np.array([1, 1]), 1, "l3")


def test_a_margin_is_kept(cache, monkeypatch):
    """By data and geometry, and found again without the solver."""
    x, y, k = separable(1)
    found = largest_margin(x, y, k, "linf")
    (file,) = cache.iterdir()
    assert json.loads(file.read_text()) == found._asdict() | {"weights": found.weights.tolist()}
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    again = largest_margin(x, y, k, "linf")
    assert (again.margin, again.gap) == (found.margin, found.gap)
    np.testing.assert_array_equal(again.weights, found.weights)
    for other in ((x, y, k, "l1"), (x + 1e-16 * (x < 1e-3), y, k, "linf"), (x, (y + 1) % k, k, "linf")):
        with pytest.raises(ImportError):
            largest_margin(*other)


def test_single_columns_share_a_file(cache):
    for geometry in ("l2", "spectral", "nuclear"):
        largest_margin(TWO, np.array([1, 1]), 1, geometry)
    assert len(list(cache.iterdir())) == 1


DAMAGE = {
    "empty": lambda stored: "",
    "cut": lambda stored: json.dumps(stored)[:-9],
    "no object": lambda stored: "[1]",
    "no keys": lambda stored: "{}",
    "null": lambda stored: json.dumps(stored | {"margin": None}),
    "other margin": lambda stored: json.dumps(stored | {"margin": 2 * stored["margin"]}),
    "not a number": lambda stored: json.dumps(stored | {"margin": float("nan")}),
    "huge": lambda stored: json.dumps(stored | {"margin": 10**400}),
    "no certificate": lambda stored: json.dumps(stored | {"gap": 0.5}),
    "other shape": lambda stored: json.dumps(stored | {"weights": stored["weights"][:-1]}),
    "flat": lambda stored: json.dumps(stored | {"weights": [0.0]}),
    "zeros": lambda stored: json.dumps(stored | {"weights": [[0.0], [0.0]], "margin": 0}),
    "larger": lambda stored: json.dumps(
        stored | {"weights": (2 * np.array(stored["weights"])).tolist(), "margin": 2 * stored["margin"]}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again(cache, damage):
    found = largest_margin(TWO, np.array([1, 1]), 1, "linf")
    (file,) = cache.iterdir()
    whole = file.read_text()
    file.write_text(DAMAGE[damage](json.loads(whole)))
    again = largest_margin(TWO, np.array([1, 1]), 1, "linf")
    assert again.margin == found.margin and file.read_text() == whole


@pytest.mark.parametrize("place", ["none", "unwritable", "file"])
def test_nowhere_to_keep_it(tmp_path, monkeypatch, place):
    if place == "none":
        monkeypatch.setattr(resources, "cache_folder", lambda: None)
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none" if place == "unwritable" else str(tmp_path / "taken"))
    assert largest_margin(TWO, np.array([1, 1]), 1, "l2").margin == pytest.approx(0.993068, rel=1e-6)
    assert module._file(Samples(TWO, np.array([1, 1]), 1), "l2") is None or place != "none"
