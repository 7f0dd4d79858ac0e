"""Scalar columns of `steps` against the plain twin."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

from tests.measures.twin import ALL, flat, small_look, twin
from wnexp.measures import margins
from wnexp.measures.margins import Margins, Progress, TrainAccuracy
from wnexp.nn.losses import Loss


@pytest.mark.parametrize("case", ALL)
def test_against_the_plain_twin(case):
    one, (_, _, loss, reduction, _) = twin(case), case
    look, hard = one.look, one.hard
    degrees, degree = look.network.degrees, look.network.degree
    w, g = flat(one.weights), flat(one.gradient)
    norm, q = np.linalg.norm(w), min(min(entry) for entry in hard)
    assert q > 0, "the case must be separated"
    layer_norms = [np.linalg.norm(flat([layer])) for layer in one.weights]
    cosine, total = -w @ g / norm / np.linalg.norm(g), one.sample_losses.sum()
    inverses = {
        "exponential": -np.log(total),
        "cross_entropy": -np.log(np.expm1(total)),
        "polynomial": 1 / total - 1 if total < 1 else -np.log(total),
    }
    inverse = inverses[loss]
    slopes = {
        "exponential": -one.sample_losses,
        "cross_entropy": -1 / (1 + np.exp(one.soft)),
        "polynomial": np.where(one.soft > 0, -(one.sample_losses**2), -one.sample_losses),
    }
    slope = slopes[loss]
    delta = 0.0
    for i, entry in enumerate(hard):
        shares = np.exp(-np.array(entry)) / np.exp(-np.array(entry)).sum()
        weight = -slope[i] / (len(hard) if reduction == "mean" else 1) / np.linalg.norm(g)
        multipliers = q ** (1 - 2 / degree) * norm * weight * shares
        delta = max(delta, *(multipliers * (np.array(entry) / q - 1)))
    want = {
        "train_accuracy": 1.0,
        "margin": q,
        "weight_norm": norm,
        "normalized_margin": q / norm**degree,
        "layer_margin": q / np.prod([n**k for n, k in zip(layer_norms, degrees, strict=True)]),
        "smoothed_margin": inverse / norm**degree,
        "alignment": cosine,
        "kkt_epsilon": np.sqrt(2 * (1 - cosine)) * (q / norm**degree) ** (-1 / degree),
        "kkt_delta": delta,
    }
    row = TrainAccuracy().measure(look) | Margins().measure(look)
    assert row.keys() == want.keys() == {*TrainAccuracy.columns, *Margins.columns}
    for name, expected in want.items():
        np.testing.assert_allclose(row[name], expected, rtol=2e-6, err_msg=name)

    tested = margins.TestSet().measure(look)
    assert tested.keys() == margins.TestSet.columns.keys()
    np.testing.assert_allclose(tested["log_test_loss"], np.log(one.value), rtol=1e-10)
    assert tested["test_accuracy"] == 1.0


def test_accuracies_count_positive_margins():
    labels = jnp.array([1, 1, -1, -1])
    outputs = jnp.array([[2.0], [-1.0], [0.0], [-3.0]])
    look = small_look([[1.0]], [[1.0]], 1.0)._replace(margins=outputs * labels[:, None])
    assert TrainAccuracy().measure(look)["train_accuracy"] == 0.5, "a margin of zero is not positive"
    look = look._replace(test_outputs=outputs[:3], test_labels=labels[:3])
    np.testing.assert_allclose(margins.TestSet().measure(look)["test_accuracy"], 1 / 3)


def test_no_test_set_no_columns_and_progress_is_handed_on():
    look = small_look([[1.0]], [[1.0]], 1.0)._replace(progress={"attempts": 7})
    assert margins.TestSet().measure(look) == {}
    assert Progress().measure(look) == {"attempts": 7}


def test_measures_without_meaning_are_not_finite():
    row = Margins().measure(small_look([[1.0]], [[1.0]], 1.0, margin=-2.0))
    assert np.isnan(row["kkt_epsilon"]) and np.isnan(row["kkt_delta"])
    assert row["margin"] == -2
    assert TrainAccuracy().measure(small_look([[1.0]], [[1.0]], 1.0, margin=-2.0))["train_accuracy"] == 0


@dataclass(frozen=True)
class NoMarginLoss(Loss):
    """Of which nothing is known."""


def test_what_needs_a_loss_of_margins_is_left_out_for_others():
    row = Margins().measure(small_look([[2.0]], [[-1.0]], 1.0, NoMarginLoss()))
    assert row.keys() == {"weight_norm", "alignment"} and float(row["alignment"]) == 1
