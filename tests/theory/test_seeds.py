"""What the theory reads off the records of a seed."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import seed_records
from wnexp.theory.seeds import of_whole_layers

TAU = np.geomspace(1, 1e4, 400)


def test_neurons_are_active_that_keep_up_with_their_layer():
    """To 2 %, over the last decade; the gradients have no say."""
    norms = np.stack([TAU**0.5, 3 * TAU**0.5, 0.1 * TAU**0.48, np.full_like(TAU, 2.0), TAU**0.1], axis=1)
    one = seed_records(TAU, norms, layers=[0, 0, 0, 0, 1])
    np.testing.assert_allclose(one.growth, [0.5, 0.5, 0.48, 0, 0.1], atol=1e-12)
    np.testing.assert_array_equal(one.active, [True, True, False, False, True])
    noise = np.random.default_rng(0).standard_normal(norms.shape)
    np.testing.assert_array_equal(replace(one, log_gradients=noise).active, one.active)


@pytest.mark.parametrize(
    ("loser", "undecided"), [(TAU**0.48, True), (0.005 * TAU**0.48, False), (3 * TAU**0.5, False), (TAU**0.1, True)]
)
def test_a_seed_is_undecided_while_a_visible_neuron_changes_its_share(loser, undecided):
    one = seed_records(TAU, np.stack([TAU**0.5, loser], axis=1))
    assert one.undecided == undecided


def test_shares_of_the_euler_sum_add_up_to_the_degree_of_a_layer():
    norms = np.tile([2.0, 1.0, 5.0], (400, 1))
    gradients = np.log([1.0, 6.0, 3.2]) - TAU[:, None]
    one = seed_records(TAU, norms, gradients, layers=[0, 0, 1], degrees=[1, 1, 2])
    np.testing.assert_allclose(one.shares[-1], [0.25, 0.75, 2.0])
    np.testing.assert_allclose(one.pull, 8.0)


def test_neurons_without_a_gradient_have_no_share():
    """A dead neuron: its gradient is 0, its alignment undefined."""
    gradients = np.stack([-TAU, np.full_like(TAU, -np.inf)], axis=1)
    alignments = np.stack([np.ones_like(TAU), np.full_like(TAU, np.nan)], axis=1)
    one = seed_records(TAU, np.ones((400, 2)), gradients, alignments)
    np.testing.assert_allclose(one.shares[-1], [1, 0])


def test_deep_enough_is_judged_by_loss_shares_and_competition():
    norms = np.stack([TAU**0.5, 2 * TAU**0.5], axis=1)
    gradients = np.log(TAU[:, None] / norms / 2) - TAU[:, None]
    resting = seed_records(TAU, norms, gradients, margin=TAU - 0.7)
    assert resting.settled and resting.steady
    moving = replace(resting, steps=resting.steps | {"margin": 0.99 * TAU})
    assert not moving.settled and not moving.steady
    shallow = seed_records(TAU / 20, norms, margin=TAU / 20 - 0.7)
    assert not shallow.settled and not shallow.steady
    shifting = replace(resting, log_gradients=gradients + np.log(TAU)[:, None] * [0, -0.2])
    assert shifting.settled and not shifting.steady


def test_a_layer_with_one_scale_counts_as_one_neuron():
    """Its norm, the log of its gradient's, and their cosine are those of all its weights; the others stay."""
    random = np.random.default_rng(0)
    w, g = random.standard_normal((2, 400, 3, 5))  # three weights of five neurons, two layers
    norms, sizes = np.linalg.norm(w, axis=1), np.linalg.norm(g, axis=1)
    cosines = -(w * g).sum(axis=1) / (norms * sizes)
    made = seed_records(TAU, norms, np.log(sizes) - 900, layers=[0, 0, 1, 1, 1])
    one = of_whole_layers(replace(made, alignments=cosines), [1])
    assert one.layers.tolist() == [0, 0, 1] and len(one.degrees) == 3
    np.testing.assert_array_equal(one.norms[:, :2], norms[:, :2])
    whole = [array[:, :, 2:].reshape(400, -1) for array in (w, g)]
    np.testing.assert_allclose(one.norms[:, 2], np.linalg.norm(whole[0], axis=1), rtol=1e-13)
    np.testing.assert_allclose(one.log_gradients[:, 2], np.log(np.linalg.norm(whole[1], axis=1)) - 900, rtol=1e-13)
    want = -(whole[0] * whole[1]).sum(axis=1) / np.linalg.norm(whole[0], axis=1) / np.linalg.norm(whole[1], axis=1)
    np.testing.assert_allclose(one.alignments[:, 2], want, rtol=1e-12, atol=1e-14)
    assert of_whole_layers(made, []) is made
