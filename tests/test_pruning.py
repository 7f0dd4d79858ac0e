"""Pruning: scores, ranks, curves against networks with their neurons cut out, and what is refused."""

import contextlib
import json
import shlex
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from tests.test_weightnorm import ARCHITECTURES, INPUTS
from wnexp import network, prune, records
from wnexp.cli import main
from wnexp.config import UserError

TINY = ("data=digits", "data.train_samples=200", "model.activation=relu", "norm.layers=hidden", "optimizer.step_size=1")
TINY += ("optimizer.step_size_cap=null", "loss.reduction=mean", "snapshots=[-1,-3]", "stop.log_loss=-3", "norm=ewn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of a small network on digits, and a convolutional one, with snapshots at -1 and -3 nats."""
    folder = tmp_path_factory.mktemp("runs")
    with contextlib.chdir(folder):
        assert main(["train", *TINY, "model.widths=[20,10]", "seeds=2"]) == 0
        assert main(["train", *TINY, "model=cnn", "model.channels=[4,M,6]", "model.widths=[8]"]) == 0
    return {"mlp": next(folder.glob("outputs/digits/*widths=?20*")), "cnn": next(folder.glob("outputs/digits/*cnn*"))}


def snapshot(run, name, seed=0):
    return load_file(run / "snapshots" / f"seed={seed}" / f"{name}.safetensors")


def test_scores_are_signed_differences_of_norms():
    initial, history = [np.array([3.0, 1.0])], {-10.0: [np.array([2.0, 2.0])], -100.0: [np.array([1.0, 5.0])]}
    at_ten, at_hundred = (prune.scores(level, history, initial) for level in (-10.0, -100.0))
    assert list(at_ten) == ["final_norm", "change_from_initial"]
    assert list(at_hundred) == ["final_norm", "change_from_initial", "change_from_-10"]
    np.testing.assert_array_equal(at_hundred["change_from_initial"][0], [-2, 4])
    np.testing.assert_array_equal(at_hundred["change_from_-10"][0], [-1, 3])


def test_gates_remove_the_floor_of_the_share_lowest_first():
    score = [np.array([5.0, 1.0, 3.0, 1.0, 2.0, 9.0, 8.0])]
    (gate,) = prune.gates(score, [0, 15, 30, 50, 100])
    assert gate.sum(axis=1).tolist() == [7, 6, 5, 4, 0], "int(percent * 7 / 100) of them"
    assert np.flatnonzero(gate[2] == 0).tolist() == [1, 3]
    assert np.flatnonzero(gate[3] == 0).tolist() == [1, 3, 4]
    one, other = prune.gates([np.array([1.0, 2.0, 9.0]), np.array([3.0, 10.0])], [60], together=True)
    assert one[0].tolist() == [0, 0, 1] and other[0].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["relu with bias", "relu squared", "convolutions"])
def test_a_curve_is_that_of_networks_with_their_neurons_cut_out(name, random):
    architecture = ARCHITECTURES[name]
    weights = jax.tree.map(jnp.asarray, network.initialize(architecture, 1, "normal", "float64"))
    if "bias" in weights[0]:
        weights[0]["bias"] = jnp.asarray(random.standard_normal(weights[0]["bias"].shape))
    outputs = architecture.layers[-1].shape[-1]
    x = random.standard_normal((50, INPUTS[name]))
    y = random.integers(0, outputs, 50) if outputs > 1 else random.choice([-1, 1], 50)
    hidden = prune.hidden_layers(architecture)
    kept = prune.gates(prune.norms(weights, hidden), [0, 30, 60])
    curve = prune.accuracies(architecture, weights, kept, jnp.asarray(x), jnp.asarray(y), block=7)
    for index in range(3):
        left = prune.smaller(weights, [gate[index] for gate in kept])
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


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_pruning_parquet_holds_the_contract(runs, kind):
    rows = prune.prune(runs[kind]).rows
    table = pd.read_parquet(runs[kind] / "pruning.parquet")
    assert list(table) == ["seed", "norm", "log_loss", "score", "percent", "test_accuracy", "train_accuracy"]
    assert len(table) == len(rows) == (2 if kind == "mlp" else 1) * 5 * 20
    assert set(table["norm"]) == {"ewn"} and set(table["log_loss"]) == {-1.0, -3.0}
    assert table["percent"].unique().tolist() == list(range(0, 100, 5))
    whole = table[table["percent"] == 0]
    steps = pd.read_parquet(runs[kind] / "steps.parquet")
    for (seed, level), same in whole.groupby(["seed", "log_loss"]):
        first = steps[(steps["seed"] == seed) & (steps["log_loss"] <= level)].iloc[0]
        np.testing.assert_allclose(same["test_accuracy"], first["test_accuracy"], atol=1e-12)
        np.testing.assert_allclose(same["train_accuracy"], first["train_accuracy"], atol=1e-12)
    assert table.groupby("percent")["test_accuracy"].mean().iloc[-1] < whole["test_accuracy"].mean()


@pytest.mark.parametrize(("kind", "settings"), [("mlp", "model.widths=[10,5]"), ("cnn", "model.channels=[2,M,3]")])
@pytest.mark.parametrize("together", [False, True])
def test_the_command_for_a_saved_network_trains_it_on(runs, kind, settings, together, inside, tmp_path):
    result = prune.prune(runs[kind], [0, 50], ["final_norm"], together, save=50)
    path, command = next((path, words) for path, words in result.saved if path.name.endswith("log_loss=-3.safetensors"))
    assert f"ranked={'global' if together else 'layer'}" in path.name and (together or settings in command)
    row = next(row for row in result.rows if row["percent"] == 50 and row["log_loss"] == -3 and row["seed"] == 0)
    words = shlex.split(command)
    assert words[:2] == ["wnexp", "train"]
    code, _, err = inside(*words[1:], "stop.max_steps=1", "stop.log_loss=-9")
    assert code == 0, err
    steps = pd.read_parquet(next(tmp_path.rglob("steps.parquet")))
    assert steps["test_accuracy"].iloc[0] == pytest.approx(row["test_accuracy"], abs=1e-12)


def test_a_network_of_fixed_output_and_depth_trains_on(inside, tmp_path):
    for words in (["+experiment=xor", "stop.log_loss=-1"], ["model.widths=[5]", "model.depth=3", "stop.log_loss=-1"]):
        assert inside("train", "norm=ewn", "snapshots=[-1]", *words)[0] == 0
    runs = sorted(path.parent for path in tmp_path.rglob("run.json"))
    for run, result in prune.prune_all(runs, [0], save=40).items():
        words = shlex.split(result.saved[0][1])
        assert str(tmp_path) not in result.saved[0][1], "the path as seen from here"
        code, _, err = inside(*words[1:], "stop.max_steps=1")
        assert code == 0, (run, err)


def test_how_the_neurons_were_ranked_is_recorded(runs):
    for together, name in ((False, b"layer"), (True, b"global")):
        prune.prune(runs["mlp"], [0], together=together)
        assert pq.read_schema(runs["mlp"] / "pruning.parquet").metadata[b"wnexp.ranked"] == name


def test_the_command_prunes_prints_and_plots(runs, inside, tmp_path):
    run = shutil.copytree(runs["mlp"], tmp_path / "copy")
    code, out, _ = inside("prune", run, "--percent", "0,40,80", "--scores", "final_norm", "--save", "80", "--global")
    assert code == 0 and "best test accuracy" in out and "80 %" in out and "saved" in out and "next: wnexp plot" in out
    assert len(pd.read_parquet(run / "pruning.parquet")) == 2 * 2 * 3
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
        (["--save", "1,2"], 2, "--save takes one percent"),
        (["--save", "100"], 1, "nothing is left of layer 0"),
        (["--all"], 2, "unrecognized arguments: --all"),
    ],
)
def test_bad_options_are_one_line(runs, inside, tmp_path, words, code, message):
    run = shutil.copytree(runs["mlp"], tmp_path / "copy")
    got, _, err = inside("prune", run, *words)
    assert got == code and message in err and "Traceback" not in err


def test_runs_that_cannot_be_pruned(runs, inside, tmp_path):
    code, _, err = inside("prune", tmp_path)
    assert code == 1 and "holds no run" in err
    assert inside("train", "stop.log_loss=-3", "norm=ewn")[0] == 0
    code, _, err = inside("prune", "lin_sep")
    assert code == 1 and "has no snapshots at log losses" in err
    assert inside("train", "stop.log_loss=-3", "snapshots=[-1]", "model.widths=[]")[0] == 0
    code, _, err = inside("prune")
    assert code == 1 and "no neurons to remove" in err


def test_a_run_without_a_recorded_seed_is_one_line(runs, inside, tmp_path):
    run = shutil.copytree(runs["mlp"], tmp_path / "copy")
    status = json.loads((run / "run.json").read_text())
    records.write_status(run, status | {"seeds": []})
    code, _, err = inside("prune", run)
    assert code == 1 and "has no seed recorded yet" in err and len(err.splitlines()) == 1


def test_of_several_runs_those_without_snapshots_are_left_out(runs, tmp_path, capsys):
    bare = shutil.copytree(runs["mlp"], tmp_path / "bare")
    shutil.rmtree(bare / "snapshots")
    assert list(prune.prune_all([bare, runs["mlp"], bare], [0])) == [runs["mlp"]]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and all("left out" in line and "no snapshots" in line for line in errors)
    with pytest.raises(UserError, match="no snapshots"):
        prune.prune_all([bare, bare], [0])
    with pytest.raises(UserError, match="score 'size' is unknown"):
        prune.prune_all([bare, runs["mlp"]], [0], ["size"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: save_file({"layers.0.weight": np.ones((64, 3), np.float32)}, path), "has shape (64, 3)"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "not a readable weights file"),
    ],
)
def test_a_foreign_or_broken_snapshot_is_named(runs, tmp_path, damage, message):
    run = shutil.copytree(runs["mlp"], tmp_path / "copy")
    (run / "pruning.parquet").unlink(missing_ok=True)
    damage(run / "snapshots" / "seed=1" / "log_loss=-3.safetensors")
    with pytest.raises(UserError) as error:
        prune.prune(run)
    assert message in str(error.value) and "log_loss=-3.safetensors" in str(error.value)
    assert not (run / "pruning.parquet").exists()


def test_a_seed_that_did_not_get_so_far_has_fewer_levels(runs, tmp_path):
    run = shutil.copytree(runs["mlp"], tmp_path / "copy")
    (run / "snapshots" / "seed=1" / "log_loss=-3.safetensors").unlink()
    rows = pd.DataFrame(prune.prune(run, [0]).rows)
    assert rows.groupby("seed")["log_loss"].min().tolist() == [-3, -1]
