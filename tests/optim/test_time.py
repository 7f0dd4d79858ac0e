"""`log_time` of every rule that has a time: the log of the steps on L, added up outside the package."""

import jax
import numpy as np
import pytest

from tests.helpers import LINEAR, column, logistic, make_program, make_settings, measures, numbers_of, points_of, run
from wnexp.optim import OPTIMIZERS

RULES = [name for name, rule in OPTIMIZERS.items() if rule.has_time and not rule.is_flow]
POINTS = np.random.default_rng(1).standard_normal((11, 2))
LABELS = np.where(POINTS @ [1.0, 0.5] > 0, 1, -1)
BATCH, START, LAST = 4, np.array([0.3, -0.2]), 40  # batches of 4, 4 and 3 samples
RATES = {"gd": 0.5, "gd_constant": 0.1, "sgd": 0.2, "sgd_clipped": 0.5, "normalized_gd": 0.05}
CONSTANT = ("gd_constant", "normalized_gd")  # every step is taken


def look(w, batch, reduction):
    """The loss of a batch and its gradient."""
    value, slope = logistic(w, POINTS[batch], LABELS[batch])
    return (value / len(batch), slope / len(batch)) if reduction == "mean" else (value, slope)


def replayed(optimizer, reduction):
    """The log loss and the summed steps on L after every accepted attempt, how many were refused, batches clipped."""
    w, lr, reference, attempts, clipped, everything = START, RATES[optimizer], 1.0, 0, 0, np.arange(11)
    value, time = look(w, everything, reduction)[0], 0.0
    log, times = [np.log(value)], [time]
    while len(log) <= LAST:
        eta, new, made = lr if optimizer in CONSTANT else lr / reference, w, 0.0
        order = np.asarray(jax.random.permutation(jax.random.fold_in(jax.random.key(0), attempts), 11))
        minis = [order[first : first + BATCH] for first in range(0, 11, BATCH)]
        for batch in minis if optimizer.startswith("sgd") else [everything]:
            loss, slope = look(new, batch, reduction)
            own = min(1.0, reference / loss) if optimizer == "sgd_clipped" else 1.0
            own = 1 / np.linalg.norm(slope) / (attempts + 2) ** 0.5 if optimizer == "normalized_gd" else own
            # With all samples alike a batch's gradient would be this part of that of L.
            share = len(batch) / 11 if reduction == "sum" else 1.0
            new, made, clipped = (
                new - eta * own * slope,
                made + eta * own * share,
                clipped + (optimizer == "sgd_clipped" and own < 1),
            )
        found, attempts = look(new, everything, reduction)[0], attempts + 1
        if optimizer in CONSTANT or found <= value:
            reference = value if optimizer == "gd" else found
            w, value, time, lr = new, found, time + made, lr if optimizer in CONSTANT else lr * 1.3
            log.append(np.log(value))
            times.append(time)
        else:
            lr /= 2
    return log, times, attempts - LAST, clipped


@pytest.mark.parametrize("reduction", [pytest.param("mean", marks=pytest.mark.slow), "sum"])
@pytest.mark.parametrize("optimizer", RULES)
def test_log_time_is_the_log_of_the_summed_steps(optimizer, reduction):
    log, times, refused, clipped = replayed(optimizer, reduction)
    assert (refused > 2) == (optimizer not in CONSTANT) and (clipped > 5) == (optimizer == "sgd_clipped")
    batch = BATCH if optimizer.startswith("sgd") else None
    what = make_program(LINEAR, measures=measures(), optimizer=optimizer, reduction=reduction, batch_size=batch)
    numbers = numbers_of(optimizer, step_size=RATES[optimizer], decay=0.5) if optimizer == "normalized_gd" else None
    configuration = make_settings(
        -1e9,
        LAST,
        ratio=1.0,
        numbers=numbers,
        step_size=RATES[optimizer],
        cap=np.inf,
        frac=0.0,
        factor=1.3,
        shrink=2.0,
    )
    _, records = run(what, points_of(POINTS, LABELS), configuration, weights=({"weight": START[None, :, None]},))
    np.testing.assert_allclose(column(records, "log_loss"), log, rtol=1e-9)
    log_time = column(records, "log_time")
    np.testing.assert_allclose(log_time[1:], np.log(times[1:]), atol=1e-9)
    np.testing.assert_allclose(
        column(records, "decay_rate")[2:], -np.diff(log)[1:] / np.diff(np.log(times[1:])), rtol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("own", [{"optimizer": "normalized_gd", "weight_decay": 0.1}, {"optimizer": "sign"}])
def test_steps_that_are_no_multiples_of_the_gradient_have_no_time(own):
    what = make_program(LINEAR, measures=measures(), **own)
    numbers = numbers_of(own.pop("optimizer"), **own)
    _, records = run(what, points_of(POINTS, LABELS), make_settings(-1e9, 9, ratio=1.0, numbers=numbers))
    assert len(column(records, "log_loss")) == 10
    assert all(np.isnan(column(records, name)[1:]).all() for name in ("log_time", "decay_rate"))
