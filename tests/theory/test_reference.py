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
