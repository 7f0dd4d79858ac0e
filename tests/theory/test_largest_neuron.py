"""Under SWN rules of entries move all scales alike: the margin in the largest neuron, by a program of its own."""

import cvxpy
import numpy as np
import pytest

from wnexp import runner, theory
from wnexp.theory import rule_battery

pytestmark = pytest.mark.slow


def largest_in_the_largest_neuron(x, y, classes):
    """The largest `min s_ij(W)` of a linear model with `||w_u|| <= 1` for every class."""
    weights, least = cvxpy.Variable((x.shape[1], classes)), cvxpy.Variable()
    scores, limits = x @ weights, [cvxpy.norm(weights, 2, axis=0) <= 1]
    for other in range(classes):
        rows = np.flatnonzero(y != other)
        own = cvxpy.sum(cvxpy.multiply(np.eye(classes)[y[rows]], scores[rows]), axis=1)
        limits.append(own - scores[rows, other] >= least)
    problem = cvxpy.Problem(cvxpy.Maximize(least), limits)
    problem.solve(solver=cvxpy.CLARABEL)
    return float(least.value)


@pytest.mark.parametrize(
    ("rule", "norm", "low", "high"),
    [
        ("sign", "swn", 0.99, 1 + 1e-6),
        ("adam", "swn", 0.99, 1 + 1e-6),
        ("spectral", "swn", 0.99, 1 + 1e-6),
        ("sign", "none", 0.7, 0.85),
        ("spectral", "none", 0.85, 0.95),
    ],
)
def test_rules_of_entries_reach_it_under_swn_alone(tmp_path, rule, norm, low, high):
    words = [word for word in rule_battery.jobs(range(1))[f"rules/classes/{rule}/0"] if not word.startswith("stop.")]
    words += [f"norm={norm}", "stop.log_loss=-300", "stop.max_steps=2000000"]
    (run,) = theory.load_runs([runner.train(words, tmp_path)])
    data, steps, (seed,) = run.dataset, run.run.frame("steps").iloc[-1], run.seeds
    largest = largest_in_the_largest_neuron(np.asarray(data.train_x, float), np.asarray(data.train_y), data.outputs)
    share = steps["margin"] / seed.norms[-1].max() / largest
    assert low < share < high
