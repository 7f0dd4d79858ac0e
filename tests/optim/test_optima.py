"""Recursions and limits that others have published or solved: fifteen classes, AdaGrad's path, an absolute eps."""

import numpy as np
import pytest
from scipy.optimize import nnls

from tests.helpers import LINEAR, column, make_program, make_settings, measures, mlp, numbers_of, points_of, run

ANGLES = np.pi / np.array([8, 20])
TWO_POINTS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
L2_SEPARATOR = np.array([0.962455236453647, 0.271440449865074])  # the normalized sum: both are support vectors


def fifteen_classes():
    """The design of section 6 of arXiv 2502.04664."""
    random = np.random.RandomState(12344)
    means = random.randn(15, 25)
    samples = [means[i][:, None] + 0.1 * random.randn(25, 50) for i in range(15)]
    return points_of(np.concatenate([block.T for block in samples]), np.repeat(np.arange(15), 50))


def least_margin(w, data):
    outputs = data.train_x @ w
    own = outputs[np.arange(len(outputs)), data.train_y]
    outputs[np.arange(len(outputs)), data.train_y] = -np.inf
    return (own - outputs.max(axis=1)).min()


def singular_values(w):
    return np.linalg.svd(w, compute_uv=False)


NORM = {
    "sign": lambda w: np.abs(w).max(),
    "normalized_gd": np.linalg.norm,
    "muon": lambda w: singular_values(w).max(),
    "spectral": lambda w: singular_values(w).max(),
    "nuclear": lambda w: singular_values(w).sum(),
}
STEP = {"sign": 0.01, "normalized_gd": 0.05, "muon": 0.02, "spectral": 0.02, "nuclear": 0.25}
LARGEST = {
    "sign": 13.507834,
    "normalized_gd": 1.0152387,
    "muon": 3.1536697,
    "spectral": 3.1536697,
    "nuclear": 0.3021431,
}
# (steps, loss, margin in the rule's own geometry, relative tolerance) of a numpy twin, W = 0 at first. That of sign at
# 10,000 steps is one in longdouble: in float64 a softmax minus 1 cancels below 1e-12, and others found 12.671607.
# Nuclear descent is chaotic, its two largest singular values come close: twins of other roundings differ by as much as
# is held.
FOUND = [
    ("sign", 1000, 3.821688e-04, 11.415961, 6e-7),
    ("normalized_gd", 1000, 2.779378e-01, 0.717748, 1e-6),
    ("muon", 1000, 6.517733e-02, 2.813628, 6e-7),
    ("nuclear", 1000, 5.191213e-02, 0.245020, 4e-3),
    ("sign", 10000, 6.9318225e-13, 12.6715191, 6e-7),
    ("normalized_gd", 10000, 1.377564e-04, 0.901001, 1e-6),
    ("muon", 10000, 1.620741e-06, 3.012984, 6e-7),
    ("spectral", 10000, 1.619198e-06, 3.013167, 6e-7),
    ("nuclear", 10000, 7.342308e-07, 0.274295, 4e-3),
]


@pytest.mark.parametrize(
    ("name", "steps", "loss", "margin", "held"),
    [pytest.param(*row, marks=[] if row[:2] == ("sign", 1000) else pytest.mark.slow) for row in FOUND],
)
def test_fifteen_classes(name, steps, loss, margin, held):
    data, own = fifteen_classes(), {"step_size": STEP[name], "decay": 0.5}
    what = make_program(mlp(25, (), 15, "linear"), reduction="mean", optimizer=name, measures=measures(), **own)
    configuration = make_settings(-1e9, steps, every=steps, numbers=numbers_of(name, **own))
    state, records = run(what, data, configuration, weights=({"weight": np.zeros((1, 25, 15))},))
    assert np.exp(column(records, "log_loss")[-1]) == pytest.approx(loss, rel=held, abs=0)
    w = np.asarray(state.optimizer.parameters[0]["w"])[0]
    reached = least_margin(w, data) / NORM[name](w)
    assert reached == pytest.approx(margin, rel=held) and reached < LARGEST[name]


ADAGRAD = {  # eta -> updates, distance from the l2 separator then, log L one update earlier, of the last gradient
    0.5: [
        (9, 0.49702913992905523, -1.0117207919358329),
        (99, 0.48505951843480194, -3.071427149298368),
        (999, 0.4713011502425422, -5.299873042189724),
        (9999, 0.45734852440478896, -7.580032475650008),
        (99999, 0.4440308200164429, -9.871274167833963),
    ],
    0.1: [
        (9, 0.5033062210025281, 0.20932429876799813),
        (99, 0.4991413201963362, -0.891276361562917),
        (999, 0.49064528212987596, -2.6781836668240833),
        (9999, 0.47835500706116657, -4.84621629674826),
        (99999, 0.46482964982326946, -7.115847948437045),
    ],
}


def on_two_points(name, target, steps, **own):
    """The direction that a rule has at the target (nats) or after so many steps, from 0, and the log loss there."""
    what = make_program(LINEAR, loss="exponential", optimizer=name, measures=measures(), **own)
    configuration = make_settings(target, steps, every=10**7, numbers=numbers_of(name, **own))
    weights = ({"weight": np.zeros((1, 2, 1))},)
    state, records = run(what, points_of(TWO_POINTS, np.ones(2, int)), configuration, weights=weights)
    w = np.asarray(state.optimizer.parameters[0]["w"])[0, :, 0]
    return w / np.linalg.norm(w), column(records, "log_loss")[-1]


@pytest.mark.parametrize("eta", ADAGRAD)
@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.slow if row > 2 else []) for row in range(5)])
def test_adagrad_on_two_points(eta, row):
    """arXiv 1906.03559: between the separators for ever, where depends on the step."""
    updates, distance, log_loss = ADAGRAD[eta][row]
    own = {"step_size": eta, "accept": "any", "log_eps": np.log(1e-4)}
    _, found = on_two_points("adagrad", -1e9, updates - 1, **own)
    direction, _ = on_two_points("adagrad", -1e9, updates, **own)
    assert found == pytest.approx(log_loss, rel=1e-12, abs=1e-12)
    assert np.linalg.norm(direction - L2_SEPARATOR) == pytest.approx(distance, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("log_loss", "distance"),
    [(-1, 0.504983), (-10, 0.504945), (np.log(1e-8), 0.4605), (-30, 0.2777), (-100, 0.0385), (-300, 0.0008)],
)
def test_an_absolute_eps_turns_the_limit_from_linf_to_l2(log_loss, distance):
    """Sign flow with eps = 1e-8, by small steps: below eps each step of `lr` grows as the loss falls."""
    own = {"step_size": 1e-4, "b2": 0.0, "log_eps": np.log(1e-8), "accept": "lower", "factor": 1.002}
    direction, _ = on_two_points("rmsprop", log_loss, 10**7, **own)
    assert np.linalg.norm(direction - L2_SEPARATOR) == pytest.approx(distance, abs=max(6e-5, 1e-3 * distance))


@pytest.mark.slow
def test_without_eps_the_limit_stays():
    """Down to -3,000 nats; rmsprop without a memory is sign descent."""
    for name, own in (("rmsprop", {"b2": 0.0}), ("sign", {})):
        direction, log_loss = on_two_points(name, -3000.0, 10**7, step_size=0.5, **own)
        assert log_loss <= -3000 and np.linalg.norm(direction - L2_SEPARATOR) == pytest.approx(0.504983, abs=5e-7)


def widest_margin(z):
    """Of `z (n, d)`, samples times labels, in l2: `min ||w||` s.t. `z w >= 1` by Lawson and Hanson's LDP."""
    target = np.append(np.zeros(z.shape[1]), 1.0)
    solved = np.vstack([z.T, np.ones(len(z))])
    rest = solved @ nnls(solved, target)[0] - target
    return 1 / np.linalg.norm(-rest[:-1] / rest[-1])


@pytest.mark.slow
def test_the_gap_of_dual_acceleration_falls_as_one_over_t_squared():
    """Norms of at most 1 and the exponential loss, as in arXiv 2107.00595, whose step on its log is then 1.

    The line begins once the support vectors are found: by 16 steps with these four points, later with most data.
    """
    rng = np.random.default_rng(124)
    x, w = rng.standard_normal((4, 2)), rng.standard_normal(2)
    x /= np.linalg.norm(x, axis=1).max()
    y = np.where(x @ w > 0, 1, -1)
    best, gaps = widest_margin(x * y[:, None]), {}
    what = make_program(LINEAR, loss="exponential", optimizer="dual_acceleration", measures=measures())
    for t in 4 ** np.arange(2, 7):
        configuration = make_settings(-1e9, int(t), every=10**7, numbers=numbers_of("dual_acceleration"))
        state, _ = run(what, points_of(x, y), configuration, weights=({"weight": np.zeros((1, 2, 1))},))
        found = np.asarray(state.optimizer.parameters[0]["w"])[0, :, 0]
        gaps[int(t)] = best - (x @ found * y).min() / np.linalg.norm(found)
    line = [gap * t**2 for t, gap in gaps.items()]
    np.testing.assert_allclose(line, np.median(line), rtol=0.05)
