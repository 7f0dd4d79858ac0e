"""What runs are held against: the hard-margin SVM and the finite-time bound."""

import mpmath
import numpy as np
import pytest
from sklearn.svm import SVC

from tests.helpers import seed_records
from wnexp.theory import reference


def test_the_hard_margin_normal_is_the_svms():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 4))
    y = np.where(x[:, 0] > 0, 1, -1)
    x[:, 0] += 0.2 * y
    normal = reference.hard_margin_normal(x, y)
    support = SVC(kernel="linear", C=1e8, tol=1e-8)
    support.fit(np.concatenate([x, -x]), np.concatenate([y, -y]))  # symmetric data: no offset
    np.testing.assert_allclose(normal, support.coef_[0] / np.linalg.norm(support.coef_), atol=1e-4)


def test_the_time_bound_agrees_with_mpmath():
    for low, high in ((1, 3), (2, 90), (5, 130), (50, 5000)):
        with mpmath.workdps(40):
            integral = mpmath.ei(high) - mpmath.exp(high) / high - mpmath.ei(low) + mpmath.exp(low) / low
            want = float(mpmath.log(integral))
        one = seed_records(np.array([float(low), float(high)]), np.ones((2, 1)), log_time=np.array([-50.0, want]))
        assert reference.excess_time(one, 1.0) == pytest.approx(0, abs=1e-9)
        assert reference.excess_time(one, 2.0) == pytest.approx(np.log(2), abs=1e-9)


def logistic_flow(rate):
    """One neuron with `||w||` of radial rate `rate` and a tangential part, integrated in `tau` at high accuracy."""
    from scipy.integrate import solve_ivp

    def velocity(tau, state):
        radius, u = np.exp(state[0]), state[1]
        cosine, gradient = 1 - 0.3 / (1 + tau), (1 + tau) / radius
        speed = gradient**2 * (rate(radius) * cosine**2 + radius**2 * (1 - cosine**2))
        return [rate(radius) * gradient * cosine / radius / speed, 1 / speed - u]

    tau = np.concatenate([np.linspace(0.05, 3, 60), np.geomspace(3.1, 1e4, 300)])
    found = solve_ivp(velocity, (tau[0], tau[-1]), [0.0, 0.0], "LSODA", tau, rtol=1e-10, atol=1e-12).y
    radius = np.exp(found[0])
    cosine, gradient = 1 - 0.3 / (1 + tau), (1 + tau) / radius
    return seed_records(
        tau,
        radius[:, None],
        (np.log(gradient) - tau)[:, None],
        cosine[:, None],
        log_time=np.log(np.maximum(found[1], 1e-300)) + tau,
    )


@pytest.mark.parametrize("power", [0.0, 2.0])
def test_records_obey_the_rates_that_they_were_integrated_with_and_no_others(power):
    """Against scipy's LSODA: the radial rates of SWN and EWN."""
    one = logistic_flow(lambda radius: radius**power)
    own, other = one.norms**power, one.norms ** (2 - power)
    growth, time = (judge(one, own, one.norms**2) for judge in (reference.excess_growth, reference.excess_log_time))
    assert growth.high < 2e-3 and time.high < 1e-3
    growth, time = (judge(one, other, one.norms**2) for judge in (reference.excess_growth, reference.excess_log_time))
    assert growth.low > 0.05 and time.low > 0.5
    doubled = reference.excess_log_time(one, 2 * own, one.norms**2)
    assert doubled.low > 0.3, "the loss as clock hides a doubled rate from growth, the time has it"


def test_kinks_between_records_are_left_out():
    """A velocity that jumps: the growth over that interval is unknown, the rest is still exact."""
    tau = np.geomspace(1, 1000, 200)
    slope = np.where(tau < 30, 0.5, 1.0)
    log_norm = np.where(tau < 30, 0.5 * np.log(tau), 0.5 * np.log(30) + np.log(tau / 30))
    norms = np.exp(log_norm)
    # One neuron, radial rate 1: d log||w||/dtau = 1/(||w|| g) for an aligned gradient.
    one = seed_records(tau, norms[:, None], (np.log(tau / slope / norms) - tau)[:, None])
    rates = np.ones((200, 1))
    assert reference.excess_growth(one, rates, rates).high < 1e-3
