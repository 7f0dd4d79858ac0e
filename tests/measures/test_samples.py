"""Columns of `samples` against the plain twin."""

import numpy as np
import pytest

from tests.helpers import SMALL
from tests.measures.twin import QUICK, twin
from wnexp.measures.samples import Samples


@pytest.mark.parametrize("case", QUICK)
def test_against_the_plain_twin(case):
    one = twin(case)
    samples = Samples().measure(one.look)
    assert samples.keys() == Samples.columns.keys()
    np.testing.assert_allclose(samples["margin"], [min(entry) for entry in one.hard], rtol=1e-12)
    shares = one.sample_losses / np.linalg.norm(one.sample_losses)
    np.testing.assert_allclose(samples["loss_share"], shares, rtol=1e-10)


def test_large_training_sets_have_no_rows():
    assert Samples(max_samples=10).cost(SMALL, 10) == 20
    assert Samples(max_samples=10).cost(SMALL, 11) == 0
