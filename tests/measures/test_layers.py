"""Columns of layers, the path norm and the gradient noise, of trained networks against numpy."""

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from tests.helpers import (
    ARCHITECTURES,
    INPUTS,
    SMALL,
    column,
    make_program,
    make_settings,
    measures,
    mlp,
    points_of,
    run,
)
from tests.optim.net_twin import Net
from wnexp import runner
from wnexp.measures import MEASURES

LAYERS = replace(MEASURES["layers"], layers_every=1)
PATHS = replace(MEASURES["path_norm"], path_norm_every=1)
NOISE = replace(MEASURES["gradient_noise"], noise_every=1)
OFF = ("layers", "path_norm", "gradient_noise")


def trained(architecture, data, norm="none"):
    """The final parameters of one seed, and its records."""
    what = make_program(architecture, norm, measures=(*measures(), LAYERS, PATHS, NOISE))
    state, records = run(what, data, make_settings(-2.0, 300, ratio=1.5))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], state.optimizer.parameters), records


def last(records, table, name):
    """The last row of a column with an axis."""
    rows = next(rows for rows in reversed(records) if len(rows["step"]))
    return rows[table][name][:, 0][rows["valid"][:, 0]][-1]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "fixed output" else pytest.mark.slow) for name in ARCHITECTURES],
)
def test_norms_ranks_and_paths(name, random):
    architecture, count = ARCHITECTURES[name], 6
    x = random.standard_normal((count, INPUTS[name]))
    classes = architecture.layers[-1].shape[-1]
    y = np.where(x[:, 0] > 0, 1, -1) if classes == 1 else np.arange(count) % classes
    parameters, records = trained(architecture, points_of(x, y))
    for index, layer in enumerate(parameters):
        found = {key: last(records, "layers", key)[index] for key in LAYERS.columns}
        if layer is None:
            assert np.isnan(list(found.values())).all()
            continue
        matrix = layer["w"].reshape(-1, layer["w"].shape[-1])
        values = np.linalg.svd(matrix, compute_uv=False)
        sizes = np.linalg.norm(matrix, axis=0)
        assert found["frobenius_norm"] == pytest.approx(np.linalg.norm(matrix), rel=1e-12)
        assert found["spectral_norm"] == pytest.approx(values[0], rel=1e-10)
        assert found["stable_rank"] == pytest.approx(np.sum(values**2) / values[0] ** 2, rel=1e-10)
        want = np.sum((sizes**2 - 1) / 2) / architecture.degrees[index]
        assert found["conserved_sum"] == pytest.approx(want, rel=1e-10)
    if len(architecture.layers) == 2 and architecture.activation.degree == 1 and name != "diagonal":
        first, second = parameters
        output = np.abs(second["w"]) if second else np.abs(np.reshape(architecture.layers[1].fixed, (-1, 1)))
        paths = (np.abs(first["w"]) @ output).sum()
        assert column(records, "path_norm")[-1] == pytest.approx(paths, rel=1e-12)


@pytest.mark.parametrize("norm", ["none", pytest.param("ewn", marks=pytest.mark.slow)])
def test_the_noise_of_batches_is_its_share(norm, random):
    """Against gradients in plain floats, of samples and of all batches of two that can be drawn."""
    x = random.standard_normal((6, 3))
    y = np.where(x @ [1.0, -0.5, 0.3] > 0, 1, -1)
    parameters, records = trained(mlp(3, (8,), 1, "relu_squared"), points_of(x, y), norm)
    leaves = list(map(np.asarray, jax.tree.leaves(parameters)))
    net = Net(norm, x, y)
    looks = [net.look(leaves, slice(i, i + 1)) for i in range(6)]
    shares = np.exp([look[0] for look in looks])
    flats = (
        np.array([np.concatenate([g.ravel() for g in look[1]]) for look in looks]) * (shares / shares.sum())[:, None]
    )
    mean = flats.sum(axis=0)
    pairs = np.array([3 * (flats[i] + flats[j]) for i in range(6) for j in range(i)])
    noise = column(records, "gradient_noise")[-1]
    of_pairs = np.mean(np.sum((pairs - mean) ** 2, axis=1)) / np.sum(mean**2)
    assert of_pairs == pytest.approx(noise * (6 - 2) / (2 * (6 - 1)), rel=1e-8)


@pytest.mark.slow
def test_the_conserved_sums_of_a_flow_differ_by_a_constant(tmp_path):
    """Each layer by its own law: P = 3 below SWN."""
    words = ("norm=power", "norm.power=[3,1]", "optimizer=flow", "stop.log_loss=-20", "record.layers_every=1")
    folder = runner.train(words, tmp_path).directory
    sums = pd.read_parquet(folder / "layers.parquet").pivot(index="step", columns="layer", values="conserved_sum")
    difference = sums[0] - sums[1]
    assert np.ptp(difference) < 1e-6 * sums.abs().to_numpy().max() and np.ptp(sums[0]) > 1


def test_they_cost_nothing_unless_asked_for():
    assert [MEASURES[name].cost(SMALL, 4) for name in ("layers", "path_norm", "gradient_noise")] == [0] * 3
    assert [measure.cost(SMALL, 4) for measure in (LAYERS, PATHS, NOISE)] == [8, 1, 1]
