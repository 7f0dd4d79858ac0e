"""Flow under SWN in `(scale, v)`, whose scales pass 0 and slide along it, against Euler's method without smoothing."""

import dataclasses

import numpy as np
import pytest

from tests.helpers import make_program, make_settings, measures, mlp, outcomes, points_of, prepared, run
from wnexp.nn.activations import SlidingRelu
from wnexp.nn.initializers import initialize

X, Y = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]), np.array([-1, -1, 1, 1])
OUTPUT = np.repeat([1.0, -1.0], 10)


def euler(weight, target, step):
    """`gamma` and `v / ||v||` where the log loss is first below the target, steps of so many nats."""
    gamma = np.linalg.norm(weight, axis=0)
    v = weight / gamma
    while True:
        length = np.linalg.norm(v, axis=0)
        direction = v / length
        seen = X @ direction
        margin = Y * (np.maximum(gamma * seen, 0) @ OUTPUT)
        losses = np.logaddexp(0, -margin)
        if np.log(losses.sum()) <= target:
            return gamma, direction
        pull = (Y / (1 + np.exp(margin)) / losses.sum())[:, None] * OUTPUT * (gamma * seen > 0)
        d_gamma, ascent = np.sum(pull * seen, axis=0), X.T @ pull
        d_v = gamma / length * (ascent - direction * np.sum(direction * ascent, axis=0))
        speed = np.sum(d_gamma**2) + np.sum(d_v**2)
        gamma, v = gamma + step * d_gamma / speed, v + step * d_v / speed


def flow_of_xor(seeds, target):
    """The final state and `gamma`, `v`, arrays with a seed axis."""
    network = mlp(2, (20,), 1, "relu", fixed_output=tuple(OUTPUT.tolist()))
    network = dataclasses.replace(network, activation=SlidingRelu(through_zero=True))
    what = make_program(network, "swn", optimizer="flow", variables="parameters", measures=measures())
    state, _ = run(what, points_of(X, Y), make_settings(target, 3000, step_size=1e-3), seeds=seeds)
    layer = state.optimizer.parameters[0]
    return state, np.asarray(layer["gamma"]), np.asarray(layer["v"])


@pytest.mark.slow
def test_the_flow_slides_where_euler_chatters():
    """Seeds with 6, 4 and no neurons at rest on `gamma = 0`; in seed 8 others must pass it without rest."""
    seeds = (2, 8, 7)
    state, gammas, vs = flow_of_xor(seeds, -8)
    assert outcomes(state) == ["target_reached"] * 3
    for place, (seed, at_rest) in enumerate(zip(seeds, (6, 4, 0), strict=True)):
        network = mlp(2, (20,), 1, "relu", fixed_output=tuple(OUTPUT.tolist()))
        gamma, direction = euler(initialize(network, seed, "uniform", "float64")[0]["weight"], -8, 1e-3)
        found = gammas[place] * vs[place] / np.linalg.norm(vs[place], axis=0)
        np.testing.assert_allclose(found, gamma * direction, atol=1e-3)
        assert np.sum(np.abs(gammas[place]) < 2e-6) == at_rest


@pytest.mark.slow
def test_sliding_takes_no_more_steps_than_other_flows():
    """The Jacobian of an implicit step knows how kinks move: 16,000 steps and more without."""
    state, _, _ = flow_of_xor(range(4), -1000)
    assert outcomes(state) == ["target_reached"] * 4 and int(state.optimizer.step.max()) < 1000


@pytest.mark.parametrize(
    ("words", "through_zero"),
    [
        (["norm=swn", "optimizer.variables=parameters"], True),
        (["norm=swn"], False),
        (["norm=ewn", "optimizer.variables=parameters"], False),
        (["optimizer.variables=parameters"], False),
    ],
)
def test_only_scales_that_may_pass_zero_have_a_kink_there(words, through_zero):
    made = prepared("optimizer=flow", "model.activation=relu", *words)
    assert made.program.network.activation == SlidingRelu(through_zero)
