"""Agreement with the paper authors' logged curves. Skipped where their files are not at hand."""

import dataclasses
import json

import numpy as np
import pytest

from tests.helpers import (
    REPLAY,
    column,
    hyperparameters,
    make_program,
    make_settings,
    measures,
    mlp,
    outcomes,
    points_of,
    run,
)
from wnexp.figures.series import ACTIVE_RATIO
from wnexp.nn import network
from wnexp.nn.weightnorm import NORMS

pytestmark = [pytest.mark.skipif(not REPLAY.is_dir(), reason="the authors' logs are not here"), pytest.mark.slow]


def load(name):
    arrays = dict(np.load(REPLAY / f"{name}.npz"))
    facts = json.loads((REPLAY / f"{name}.json").read_text())
    x, y, test_x, test_y = (arrays[key].astype(float) for key in ("X_train", "y_train", "X_test", "y_test"))
    return arrays, facts, points_of(x, y.astype(int), test_x, test_y.astype(int))


def every_step(facts, target=None, max_steps=None):
    """The authors' settings with a record at every step."""
    rule = hyperparameters(facts["lr"], facts.get("lr_limit", np.inf), facts.get("frac", 1), facts.get("r_u", 1.1))
    target = -float(facts["log_loss_limit"]) if target is None else target
    steps = facts.get("max_steps", 100_000) if max_steps is None else max_steps
    return make_settings(target, steps, ratio=1.0)._replace(hyperparameters=rule)


@pytest.mark.parametrize("norm", [pytest.param("none", marks=pytest.mark.slow), "ewn"])
def test_simple_traj_to_rounding(norm):
    arrays, facts, data = load(f"simple_traj_{'no-WN' if norm == 'none' else 'EWN'}")
    starts = arrays["inits"]
    weights = ({"weight": starts[:, None, :]}, {"weight": np.ones((5, 2, 1))})
    what = make_program(network.diagonal(2), norm, loss="exponential", slots=256, measures=measures("neurons"))
    _, records = run(what, data, every_step(facts), seeds=range(5), weights=weights)
    for seed in range(5):
        ours = np.concatenate([rows["neurons"][0]["weight_norm"][:, seed][rows["valid"][:, seed]] for rows in records])
        theirs = arrays[f"ref_traj_{seed}"].T
        assert abs(len(ours) - len(theirs)) <= 1, "they take one step more after the target is met"
        shared = min(len(ours), len(theirs))
        np.testing.assert_allclose(ours[:shared], theirs[:shared], rtol=1e-10)


def test_xor_none_to_3e_5_nats():
    arrays, facts, data = load("xor_no-WN")
    fixed = tuple(arrays["fixed_out"][:, 0].astype(float).tolist())
    what = make_program(mlp(2, (20,), 1, "relu", fixed_output=fixed), slots=256, measures=measures("neurons"))
    weights = ({"weight": arrays["W_0"][None]}, {"weight": arrays["fixed_out"].astype(float)[None]})
    _, records = run(what, data, every_step(facts), weights=weights)
    log_loss, reference = column(records, "log_loss"), arrays["ref_train_log_loss"]
    assert abs(len(log_loss) - len(reference)) <= 1 and len(reference) == 1617
    shared = min(len(log_loss), len(reference))
    np.testing.assert_allclose(log_loss[:shared], reference[:shared], atol=3e-5)
    norms = neurons(records, 0, "weight_norm")
    np.testing.assert_allclose(norms[:shared], arrays["ref_w_norm"][:shared], rtol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "alike", "steps", "active"),
    [("ewn", 180, 652, [5, 7]), ("swn", 148, 12283, [5, 6, 7])],
)
def test_lin_sep_early_steps_and_end_state(norm, alike, steps, active):
    arrays, facts, data = load(f"lin_sep_{norm.upper()}")
    weights = tuple({"weight": arrays[f"W_{layer}"][None]} for layer in range(2))
    what = make_program(norm=norm, slots=256, measures=measures("margins", "neurons", "samples"))
    state, records = run(what, data, every_step(facts), weights=weights)
    assert outcomes(state) == ["target_reached"]
    log_loss = column(records, "log_loss")
    np.testing.assert_allclose(log_loss[:alike], arrays["ref_train_log_loss"][:alike], atol=1e-5)
    assert int(state.optimizer.step[0]) == pytest.approx(steps, rel=0.01), "chaotic in between"
    assert column(records, "normalized_margin")[-1] == pytest.approx(arrays["ref_param_margin"][-1], abs=1e-4)
    shares = np.concatenate([rows["samples"]["loss_share"][:, 0][rows["valid"][:, 0]] for rows in records])[-1]
    want = {"ewn": (0.773, 0, 0.575, 0.268), "swn": (0.719, 0, 0.629, 0.297)}[norm]
    np.testing.assert_allclose(shares, want, atol=1e-3)
    norms = np.concatenate([neurons(records, layer, "weight_norm")[-1] for layer in (0, 1)])
    np.testing.assert_allclose(norms, arrays["ref_w_norm"][-1], atol=1e-2)
    assert np.flatnonzero(norms[:8] >= ACTIVE_RATIO * norms[:8].max()).tolist() == active
    directions = neurons(records, 0, "direction")[-1]
    np.testing.assert_allclose(directions, arrays["ref_final_w_dir_layer0"], atol=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "depth"), [("none", 1), ("none", 2), ("none", 3), ("ewn", 1), ("ewn", 2)])
def test_conv_rate_loss_and_angle_at_every_step(norm, depth):
    arrays, facts, data = load(f"conv_rate_{'no-WN' if norm == 'none' else 'EWN'}_depth{depth}")
    architecture = mlp(2, (100,) * (depth - 1), 1, "linear")
    # Their last layer keeps the length of its own direction vector.
    norms = dataclasses.replace(NORMS[norm], output_v="raw").by_layer(depth)
    limits = {"max_direction": 128, "max_gradient": 0, "slots": 256}
    what = make_program(architecture, norm, optimizer="gd_constant", norms=norms, **limits)
    weights = tuple({"weight": arrays[f"W_{layer}"][None]} for layer in range(depth))
    configuration = every_step(facts, target=-np.inf, max_steps=4999)
    configuration = configuration._replace(hyperparameters=hyperparameters(step_size=0.001))
    _, records = run(what, data, configuration, weights=weights)
    np.testing.assert_allclose(np.exp(column(records, "log_loss")), arrays["ref_train_loss"], atol=5e-6)
    product = np.eye(2)
    for layer in range(depth):
        product = product @ (neurons(records, layer, "weight_norm")[:, None] * neurons(records, layer, "direction"))
    cosine = -product[:, 0, 0] / np.linalg.norm(product[:, :, 0], axis=1)  # towards the max-margin direction (-1, 0)
    np.testing.assert_allclose(cosine, arrays["ref_angle"], atol=1e-6)


def neurons(records, layer, name):
    """A column of `neurons` of one layer at every step, first seed."""
    return np.concatenate([rows["neurons"][layer][name][:, 0][rows["valid"][:, 0]] for rows in records])
