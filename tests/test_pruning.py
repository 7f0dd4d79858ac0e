"""Pruning: scores, ranks, curves against networks with their neurons cut out, and what is refused."""

import contextlib
import functools
import shlex
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests.helpers import activation, mlp, prepared
from wnexp import figures, pruning
from wnexp.cli import main
from wnexp.errors import UserError
from wnexp.nn import network
from wnexp.nn.initializers import initialize
from wnexp.nn.weights import from_arrays
from wnexp.runs import snapshots, status
from wnexp.runs.reader import Run

TINY = ("data=digits", "data.train_samples=200", "model.activation=relu", "norm.layers=hidden", "optimizer.step_size=1")
TINY += ("optimizer.step_size_cap=null", "loss.reduction=mean", "snapshots=[-1,-3]", "stop.log_loss=-3", "norm=ewn")
TINY += ("record.max_gradient=0", "record.max_samples=0", "record.max_direction=0")


CNN = pytest.param("cnn", marks=pytest.mark.slow)
ARCHITECTURES = {
    "relu with bias": mlp(3, (5,), 3, "relu", first_bias=True),
    "relu squared": mlp(3, (5, 4), 1, "relu_squared"),
    "convolutions": network.convolutional((3, 4, 2), (3, "M", 4), (5,), 3, activation("relu"), first_bias=True),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Trains when asked: `mlp`, two seeds of a small network on digits, and `cnn`, a convolutional one."""
    folder = tmp_path_factory.mktemp("runs")
    words = {"mlp": ("model.widths=[20,10]", "seeds=2")}
    words["cnn"] = ("model=cnn", "model.channels=[4,M,6]", "model.widths=[8]")

    @functools.cache
    def trained(kind):
        with contextlib.chdir(folder):
            assert main(["train", *TINY, *words[kind], f"hydra.run.dir={kind}"]) == 0
        return folder / kind

    return trained


def test_scores_are_signed_differences_of_norms():
    initial, history = [np.array([3.0, 1.0])], {-10.0: [np.array([2.0, 2.0])], -100.0: [np.array([1.0, 5.0])]}
    at_ten, at_hundred = (pruning.scores(level, history, initial) for level in (-10.0, -100.0))
    assert list(at_ten) == ["final_norm", "change_from_initial"]
    assert list(at_hundred) == ["final_norm", "change_from_initial", "change_from_-10"]
    np.testing.assert_array_equal(at_hundred["change_from_initial"][0], [-2, 4])
    np.testing.assert_array_equal(at_hundred["change_from_-10"][0], [-1, 3])


def test_gates_remove_the_floor_of_the_share_lowest_first():
    score = [np.array([5.0, 1.0, 3.0, 1.0, 2.0, 9.0, 8.0])]
    (gate,) = pruning.gates(score, [0, 15, 30, 50, 100])
    assert gate.sum(axis=1).tolist() == [7, 6, 5, 4, 0], "int(percent * 7 / 100) of them"
    assert np.flatnonzero(gate[2] == 0).tolist() == [1, 3]
    assert np.flatnonzero(gate[3] == 0).tolist() == [1, 3, 4]
    one, other = pruning.gates([np.array([1.0, 2.0, 9.0]), np.array([3.0, 10.0])], [60], together=True)
    assert one[0].tolist() == [0, 0, 1] and other[0].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["relu with bias", "relu squared", "convolutions"])
def test_a_curve_is_that_of_networks_with_their_neurons_cut_out(name, random):
    architecture = ARCHITECTURES[name]
    weights = jax.tree.map(jnp.asarray, initialize(architecture, 1, "normal", "float64"))
    if "bias" in weights[0]:
        weights[0]["bias"] = jnp.asarray(random.standard_normal(weights[0]["bias"].shape))
    outputs = architecture.layers[-1].shape[-1]
    x = random.standard_normal((50, 24 if architecture.image else 3))
    y = random.integers(0, outputs, 50) if outputs > 1 else random.choice([-1, 1], 50)
    hidden = pruning.hidden_layers(architecture)
    kept = pruning.gates(pruning.norms(weights, hidden), [0, 30, 60])
    curve = pruning.accuracies(architecture, weights, kept, jnp.asarray(x), jnp.asarray(y), block=7)
    for index in range(3):
        left = pruning.smaller(weights, [gate[index] for gate in kept])
        values = plain(architecture, left, x)
        others = np.where(np.arange(outputs) == y[:, None], -np.inf, values).max(axis=1)
        right = values[:, 0] * y > 0 if outputs == 1 else values[np.arange(50), y] > others
        assert float(curve[index]) == pytest.approx(right.mean(), abs=1e-12)
    assert len(set(np.asarray(curve).tolist())) > 1, "pruning changes something here"


def plain(architecture, layers, x):
    """A network of any widths, layer by layer."""
    small = [
        network.Layer(spec.kind, layer["weight"].shape, spec.bias, None, spec.pool)
        for spec, layer in zip(architecture.layers, layers, strict=True)
    ]
    smaller = network.Network(tuple(small), architecture.activation, architecture.image)
    return np.asarray(network.apply(smaller, jax.tree.map(jnp.asarray, tuple(layers)), jnp.asarray(x)))


@pytest.mark.parametrize("kind", ["mlp", CNN])
def test_pruning_parquet_holds_the_contract(runs, kind):
    rows = pruning.prune(Run(runs(kind))).rows
    table = pd.read_parquet(runs(kind) / "pruning.parquet")
    assert list(table) == ["seed", "norm", "log_loss", "score", "percent", "test_accuracy", "train_accuracy"]
    assert len(table) == len(rows) == (2 if kind == "mlp" else 1) * 5 * 20
    assert set(table["norm"]) == {"ewn"} and set(table["log_loss"]) == {-1.0, -3.0}
    assert table["percent"].unique().tolist() == list(range(0, 100, 5))
    whole = table[table["percent"] == 0]
    steps = pd.read_parquet(runs(kind) / "steps.parquet")
    for (seed, level), same in whole.groupby(["seed", "log_loss"]):
        first = steps[(steps["seed"] == seed) & (steps["log_loss"] <= level)].iloc[0]
        np.testing.assert_allclose(same["test_accuracy"], first["test_accuracy"], atol=1e-12)
        np.testing.assert_allclose(same["train_accuracy"], first["train_accuracy"], atol=1e-12)
    assert table.groupby("percent")["test_accuracy"].mean().iloc[-1] < whole["test_accuracy"].mean()


def saved(run, together):
    """The network without half of its neurons at -3 nats: its file, the command for it, its row of the table."""
    result = pruning.prune(Run(run), [0, 50], ["final_norm"], together, save=50)
    path, command = next((path, words) for path, words in result.saved if path.name.endswith("log_loss=-3.safetensors"))
    row = next(row for row in result.rows if row["percent"] == 50 and row["log_loss"] == -3 and row["seed"] == 0)
    assert f"ranked={'global' if together else 'layer'}" in path.name and command.startswith("wnexp train ")
    return path, command, row


@pytest.mark.parametrize("together", [False, True])
def test_the_command_for_a_saved_network_starts_from_it(runs, together):
    path, command, row = saved(runs("mlp"), together)
    assert together or "model.widths=[10,5]" in command
    session = prepared(*shlex.split(command)[2:])
    architecture, x, y = session.program.network, session.dataset.test_x, session.dataset.test_y
    assert sum(layer.shape[-1] for layer in architecture.layers) == 15 + 10
    weights = from_arrays(snapshots.read(path), architecture, "float64", str(path))
    outputs = np.asarray(network.apply(architecture, weights, jnp.asarray(x)))
    assert (outputs.argmax(axis=1) == y).mean() == pytest.approx(row["test_accuracy"], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "settings"), [("mlp", "model.widths=[10,5]"), ("cnn", "model.channels=[2,M,3]")])
@pytest.mark.parametrize("together", [False, True])
def test_the_command_for_a_saved_network_trains_it_on(runs, kind, settings, together, inside, tmp_path):
    _, command, row = saved(runs(kind), together)
    assert together or settings in command
    code, _, err = inside(*shlex.split(command)[1:], "stop.max_steps=1", "stop.log_loss=-9")
    assert code == 0, err
    steps = pd.read_parquet(next(tmp_path.rglob("steps.parquet")))
    assert steps["test_accuracy"].iloc[0] == pytest.approx(row["test_accuracy"], abs=1e-12)


@pytest.mark.slow
def test_a_network_of_fixed_output_and_depth_trains_on(inside, tmp_path):
    for words in (["+experiment=xor", "stop.log_loss=-1"], ["model.widths=[5]", "model.depth=3", "stop.log_loss=-1"]):
        assert inside("train", "norm=ewn", "snapshots=[-1]", *words)[0] == 0
    runs = [Run(path.parent) for path in sorted(tmp_path.rglob("run.json"))]
    for run, result in pruning.prune_all(runs, [0], save=40).items():
        words = shlex.split(result.saved[0][1])
        assert str(tmp_path) not in result.saved[0][1], "the path as seen from here"
        code, _, err = inside(*words[1:], "stop.max_steps=1")
        assert code == 0, (run, err)


def test_how_the_neurons_were_ranked_is_recorded(runs):
    for together, name in ((False, b"layer"), (True, b"global")):
        pruning.prune(Run(runs("mlp")), [0], together=together)
        assert pq.read_schema(runs("mlp") / "pruning.parquet").metadata[b"wnexp.ranked"] == name


def test_the_command_prunes_prints_and_plots(runs, inside, tmp_path, monkeypatch):
    run = shutil.copytree(runs("mlp"), tmp_path / "copy")
    code, out, _ = inside("prune", run, "--percent", "0,40,80", "--scores", "final_norm", "--save", "80", "--global")
    assert code == 0 and "best test accuracy" in out and "80 %" in out and "saved" in out and "next: wnexp plot" in out
    assert len(pd.read_parquet(run / "pruning.parquet")) == 2 * 2 * 3
    monkeypatch.setattr(figures, "MOST_PROCESSES", 1)
    monkeypatch.setattr(figures, "FIGURES", {name: figures.FIGURES[name] for name in ("pruning", "pruning_scores")})
    code, out, _ = inside("plot", run)
    assert code == 0 and "pruning.png" in out and "pruning_scores.png" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--scores", "size"], 1, "score 'size' is unknown"),
        (["--scores", "change_from_-3"], 1, "allowed: final_norm, change_from_initial, change_from_-1"),
        (["--percent", "0,101"], 2, "'0,101' must be numbers from 0 to 100"),
        (["--percent", "-1"], 2, "argument --percent"),
        (["--percent", "many"], 2, "'many' must be numbers"),
        (["--save", "1,2"], 2, "--save 1,2: one percent is needed"),
        (["--save", "100"], 1, "nothing is left of layer 0"),
        (["--all"], 2, "unrecognized arguments: --all"),
    ],
)
def test_bad_options_are_one_line(runs, inside, tmp_path, words, code, message):
    run = shutil.copytree(runs("mlp"), tmp_path / "copy")
    got, _, err = inside("prune", run, *words)
    assert got == code and message in err and "Traceback" not in err


def test_runs_that_cannot_be_pruned(runs, inside, tmp_path):
    code, _, err = inside("prune", tmp_path)
    assert code == 1 and "holds no run" in err
    bare = shutil.copytree(runs("mlp"), tmp_path / "outputs" / "digits" / "bare")
    shutil.rmtree(bare / "snapshots")
    code, _, err = inside("prune", "digits")
    assert code == 1 and "has no snapshots at log losses" in err
    linear = shutil.copytree(runs("mlp"), tmp_path / "outputs" / "digits" / "linear")
    found = status.read(linear)
    found.config["model.widths"] = []
    status.write(linear, found)  # the newest
    code, _, err = inside("prune")
    assert code == 1 and "no neurons to remove" in err


def test_a_run_without_a_recorded_seed_is_one_line(runs, inside, tmp_path):
    run = shutil.copytree(runs("mlp"), tmp_path / "copy")
    found = status.read(run)
    found.seeds = []
    status.write(run, found)
    code, _, err = inside("prune", run)
    assert code == 1 and "has no seed recorded yet" in err and len(err.splitlines()) == 1


def test_of_several_runs_those_without_snapshots_are_left_out(runs, tmp_path, capsys):
    whole, bare = Run(runs("mlp")), Run(shutil.copytree(runs("mlp"), tmp_path / "bare"))
    shutil.rmtree(bare.directory / "snapshots")
    assert list(pruning.prune_all([bare, whole, bare], [0])) == [whole]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and all("left out" in line and "no snapshots" in line for line in errors)
    with pytest.raises(UserError, match="no snapshots"):
        pruning.prune_all([bare, bare], [0])
    with pytest.raises(UserError, match="score 'size' is unknown"):
        pruning.prune_all([bare, whole], [0], ["size"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: save_file({"layers.0.weight": np.ones((64, 3), np.float32)}, path), "has shape (64, 3)"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "not a readable weights file"),
    ],
)
def test_a_foreign_or_broken_snapshot_is_named(runs, tmp_path, damage, message):
    run = shutil.copytree(runs("mlp"), tmp_path / "copy")
    (run / "pruning.parquet").unlink(missing_ok=True)
    damage(run / "snapshots" / "seed=1" / "log_loss=-3.safetensors")
    with pytest.raises(UserError) as error:
        pruning.prune(Run(run))
    assert message in str(error.value) and "log_loss=-3.safetensors" in str(error.value)
    assert not (run / "pruning.parquet").exists()


def test_a_seed_that_did_not_get_so_far_has_fewer_levels(runs, tmp_path):
    run = shutil.copytree(runs("mlp"), tmp_path / "copy")
    (run / "snapshots" / "seed=1" / "log_loss=-3.safetensors").unlink()
    rows = pd.DataFrame(pruning.prune(Run(run), [0]).rows)
    assert rows.groupby("seed")["log_loss"].min().tolist() == [-3, -1]
