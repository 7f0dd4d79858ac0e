"""The benchmarks' own logic, and that their PyTorch loops compute what they are timed for. PyTorch is not required."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import compose
from wnexp import runner

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a script of the folder by its name, as they import each other."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_every_name_is_a_function(load):
    rows = load("bench").ROWS
    assert rows
    assert all(callable(function) for function in rows.values())


@pytest.mark.parametrize(("more_is_better", "ratio"), [(False, 3.0), (True, 1 / 3)])
def test_ratio_is_of_the_medians(load, more_is_better, ratio):
    row = load("harness").Row("x", [2.0, 1.0, 99.0], [6.0, 7.0, 0.0], more_is_better=more_is_better)
    assert row.faster_by() == pytest.approx(ratio)


def test_table(load):
    harness = load("harness")
    rows = [harness.Row("both", [1.0, 1.5, 2.0], [30.0]), harness.Row("alone", [123456.0], unit="a second")]
    assert harness.table(rows).splitlines() == [
        "| what | wnexp | PyTorch or what is named | wnexp is faster by |",
        "| --- | ---: | ---: | ---: |",
        "| both | 1.50 [1.00, 2.00] s | 30.0 s | 20 |",
        "| alone | 123,456 a second |  |  |",
    ]


def test_where_we_lose_is_the_rows_of_two_sides_below_one(load):
    harness = load("harness")
    rows = [
        harness.Row("faster", [1.0], [2.0]),
        harness.Row("slower", [2.0], [1.0]),
        harness.Row("alone", [2.0]),
        harness.Row("to another of ours", [2.0], ratio=0.1),
        harness.Row("theirs alone", (), [9.0]),
        harness.Row("slowest", [10.0], [90.0], more_is_better=True),
    ]
    assert [row.what for row in harness.losses(rows)] == ["slowest", "slower"]
    text = load("bench").tables(rows)
    assert text.count("| slower |") == 2 and "## Where we lose" in text and text.count("| faster |") == 1
    assert "lose" not in load("bench").tables(rows[:1])


def test_turns_alternate(load):
    calls = []
    assert load("harness").in_turns(2, lambda: calls.append("a") or 1, lambda: calls.append("b") or 2) == [
        [1, 1],
        [2, 2],
    ]
    assert calls == ["a", "b", "a", "b"]


def test_process_that_fails_is_named(load, tmp_path):
    harness = load("harness")
    done = harness.run(["-c", "print('{\"a\": 1}')"], tmp_path, tmp_path)
    assert done.json() == {"a": 1}
    assert done.seconds > 0 and done.megabytes > 1
    with pytest.raises(SystemExit, match="exit code 3"):
        harness.run(["-c", "raise SystemExit(3)"], tmp_path, tmp_path)


def test_agreement(load):
    agreement = load("exchange").Agreement
    assert agreement("x", 1e-9, (1000, 1010)).holds
    assert not agreement("x", 1e-5, (1000, 1000)).holds
    assert not agreement("x", 1e-9, (1000, 900)).holds


def test_what_both_sides_reach_is_compared(load):
    reached = load("exchange").Reached
    assert reached("x", "log loss", 1e-9, 1e-6).holds and "agree" in str(reached("x", "log loss", 1e-9, 1e-6))
    assert not reached("x", "log loss", 1e-5, 1e-6).holds and "DISAGREE" in str(reached("x", "log loss", 1e-5, 1e-6))
    assert not reached("x", "log loss", float("nan"), 1e-6).holds


@pytest.mark.parametrize(("name", "nearest"), [("linear_svc", 1e-8), ("logistic", 1e-2)])
def test_scikit_learn_comes_near_the_largest_margin(load, name, nearest):
    """Of (1, 1) and (-2, 3) against their mirror images; (2, 3) is at one distance from both. Newton's
    method stalls near it where the losses that the logistic model sums vanish."""
    script = load("largest_margins")
    x, y = np.array([[1.0, 1.0], [-2.0, 3.0], [-1.0, -1.0], [2.0, -3.0]]), np.array([1, 1, -1, -1])
    assert script.normalized_margin(np.array([4.0, 3.0]), x, y) == pytest.approx(1 / 5)
    largest = 5 / np.sqrt(13)
    found = script.path(name, x, y, largest, 0.0)
    assert -1e-9 < found["best"] < nearest
    assert script.path(name, x, y, largest, 1e-2)["gap"] <= 1e-2


def test_slope(load):
    values = [1, 2, 4, 8, 16, 32]
    assert load("growth").fitted_slope(values, [10 * v**1.5 for v in values]) == pytest.approx(1.5)


@pytest.mark.slow
def test_a_run_is_exported_and_compared(load, tmp_path):
    """What PyTorch starts from is what the run started from, and equal records agree."""
    exchange = load("exchange")
    words = ("norm=ewn", "seed=3", "stop.max_steps=30", "record.every=1", "record.max_gradient=0", "model.widths=[4]")
    run = runner.train(words, tmp_path / "run")
    exchange.export(run.directory, tmp_path / "start.npz")
    with np.load(tmp_path / "start.npz") as arrays:
        assert set(arrays) == {"train_x", "train_y", "test_x", "test_y", "layers.0", "layers.1"}
        np.testing.assert_array_equal(arrays["layers.0"], run.weights(3, "initial")["layers.0.weight"])
        np.testing.assert_array_equal(arrays["train_x"], compose(*words).data.load().train_x)
    log_losses = run.frame("steps")["log_loss"].to_numpy()
    np.savez(tmp_path / "x.records.npz", log_loss=log_losses)
    np.savez(tmp_path / "y.records.npz", log_loss=log_losses + 2e-6)
    same, other = (exchange.compare(run.directory, tmp_path / f"{name}.records.npz") for name in "xy")
    assert same == ("x", 0.0, (30, 30)) and same.holds
    assert other.difference == pytest.approx(2e-6) and not other.holds


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Data and initial weights of lin-sep as the scripts read them, and the log loss that a rule reaches from there."""
    folder = tmp_path_factory.mktemp("start")

    def reached(rule, words):
        run = runner.train((f"optimizer={rule}", "stop.log_loss=-1e9", "stop.max_steps=300", *words), folder / rule)
        return run.status.seeds[0]["log_loss"]

    return folder / "start.npz", runner.train(("stop.max_steps=1",), folder / "first").directory, reached


@pytest.mark.slow
@pytest.mark.parametrize("library", ["optax_rules", "torch_rules"])
def test_plain_rules_do_what_wnexp_does(load, library, start):
    """Where ordinary floats hold the loss: every rule's log loss after 300 updates."""
    if library == "torch_rules":
        pytest.importorskip("torch")
    path, run, reached = start
    load("exchange").export(run, path)
    script, words, step = load(library), load("rules").RULES, 1e-3
    for rule in script.RULES:
        theirs = script.small(rule, path, 300, step)["log_loss"]
        assert theirs == pytest.approx(reached(rule, (*words[rule], f"optimizer.step_size={step}")), abs=1e-9), rule


@pytest.mark.slow
def test_epochs_of_wnexp_are_attempts_of_a_chunk(load):
    script = load("wnexp_epoch")
    made = script.session("ewn", 300, 16, 128)
    assert script.seconds(made, 2) > 0
    (figures,) = made.seed_figures()
    assert figures["attempts"] == 2 and made.program.rule.batch_size == 128
    assert [layer.shape for layer in made.program.network.layers] == [(784, 16), (16, 10)]
    assert made.program.dtype == "float32" and made.program.network.layers[0].bias


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_lsoda_follows_the_flow(load, tmp_path, norm):
    words = ("optimizer=flow", f"norm={norm}", "stop.log_loss=-50", "snapshots=[]")
    run = runner.train(words, tmp_path / "run")
    load("exchange").export(run.directory, tmp_path / "start.npz")
    figures, weights = load("lsoda_flow").flow(norm, tmp_path / "start.npz", -50.0, 1e-8)
    assert figures["reached"] and figures["log_loss"] == pytest.approx(-50, abs=1e-5)
    for index, weight in enumerate(weights):
        ours = run.weights(0, "final")[f"layers.{index}.weight"]
        np.testing.assert_allclose(weight, ours, atol=1e-6 * np.abs(ours).max())


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "seeds"), [("lin_sep", 1), ("lin_sep", 3), ("xor", 3)])
def test_seeds_of_torch_do_what_wnexp_does(load, tmp_path, experiment, seeds):
    """Every seed's log loss after fifty steps, and how many attempts they took."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    script = load("torch_seeds")
    words = (f"experiment={experiment}", "norm=ewn", f"seeds={seeds}", "stop.max_steps=50", "snapshots=[]")
    run = runner.train(words, tmp_path / "run")
    load("exchange").export(run.directory, tmp_path / "start.npz", every_seed=True)
    problem = script.PROBLEMS[f"{experiment}_ewn"]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        theirs = script.run(problem, tmp_path / "start.npz", seeds, 50, compiled=False)
    finally:
        torch.set_default_dtype(before)
    ours = run.status.seeds
    assert len(theirs["log_losses"]) == seeds
    np.testing.assert_allclose(theirs["log_losses"], [seed["log_loss"] for seed in ours], atol=1e-6)
    assert theirs["attempts"] == sum(seed["attempts"] for seed in ours) and theirs["step"] == 50 * seeds


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_convolutions_of_torch_do_what_wnexp_does(load, tmp_path, norm):
    """The log loss after each of two epochs, in float32."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    script, path, ours = load("wnexp_convolution"), tmp_path / "start.npz", []
    made = script.session("digits_cnn", norm, 0)
    script.export(made, path, 2)
    for _ in range(2):
        made.chunk(1)
        ours.append(float(made.log_losses()[0]))
    _, theirs = load("torch_convolution").run(norm, path, 2)
    assert ours[1] < ours[0]
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.slow
def test_the_runs_of_growth_compose(load):
    growth = load("growth")
    for panel in growth.PANELS:
        for value in (panel.values[0], panel.values[-1]):
            config = compose(*growth.PLAIN, *panel.words(value))
            assert config.stop.log_loss == -1e9 and config.names["norm"] == "ewn"


@pytest.mark.slow
def test_growth_measures_whole_runs(load, tmp_path):
    growth = load("growth")
    panel = growth.PANELS[0]
    panel = panel._replace(values=(20, 40))
    points = [growth.measure(panel.words(value), tmp_path, compiled=value > 20) for value in panel.values]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["steps"] == 40
    assert all(seconds > 0 and megabytes > 100 for seconds, megabytes in points)
    growth.draw([panel] * 4, [np.array(points)] * 4, tmp_path / "figures" / "growth")
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".pdf"}


@pytest.mark.slow
def test_soak_counts_its_jobs(load, capsys):
    load("soak").main(12)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("12 of 12 jobs, exit code 0") and "open files" in lines[2]


def reference_epoch(weights, norm, x, y, order, batch, step):
    """The mean loss after an epoch, in numpy and float64, gradients by hand in the effective weights."""
    w, b, u = (weights[key].numpy().astype(float) for key in ("hidden", "bias", "output"))
    alpha = np.log(np.linalg.norm(w, axis=0))
    v = w / np.linalg.norm(w, axis=0) if norm == "ewn" else w

    def forward(rows):
        length = np.linalg.norm(v, axis=0)
        effective = np.exp(alpha) * v / length if norm == "ewn" else v
        hidden = np.maximum(rows @ effective + b, 0)
        logits = hidden @ u
        logits -= logits.max(axis=1, keepdims=True)
        return effective, length, hidden, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        effective, length, hidden, log_p = forward(x[chosen])
        slope = (np.exp(log_p) - np.eye(10)[y[chosen]]) / len(chosen)
        g = (slope @ u.T) * (hidden > 0)
        pull = x[chosen].T @ g
        u, b = u - step * hidden.T @ slope, b - step * g.sum(axis=0)
        if norm == "none":
            v = v - step * pull
            continue
        radial = (effective * pull).sum(axis=0)
        alpha = alpha - step * radial
        v = v - step * (np.exp(alpha + step * radial) / length * pull - radial * v / length**2)
    return -forward(x)[3][np.arange(len(x)), y].mean()


@pytest.mark.parametrize("norm", ["none", "ewn"])
def test_variants_of_an_epoch_agree(load, norm, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    epoch = load("torch_epoch")
    monkeypatch.setattr(epoch, "TEST_SAMPLES", 100)
    variants = [variant for variant in epoch.VARIANTS if variant != "compiled"]
    losses = [epoch.run(norm, variant, 300, 32, 128, 1)[1] for variant in variants]
    x, y = load("harness").random_images(300)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0)).numpy()
    expected = reference_epoch(epoch.initial_weights(32, 0), norm, x.astype(float), y, order, 128, epoch.LEARNING_RATE)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("block", [1, 7])
def test_small_loop_is_measured_alike_in_blocks(load, block):
    torch = pytest.importorskip("torch")
    small = load("torch_small")
    rng = np.random.default_rng(0)
    weights = [torch.from_numpy(rng.uniform(-1, 1, shape)) for shape in ((2, 4), (4, 1))]
    x, y = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64), torch.tensor([-1.0, 1.0], dtype=torch.float64)
    data = {"train_x": x, "train_y": y, "test_x": x, "test_y": y, "fixed": torch.empty(0)}
    problem = small.PROBLEMS["lin_sep_ewn"]._replace(steps=20)
    records = small.Records(problem, data, block)
    steps, attempts, log_loss = small.train(problem, data, weights, records)
    columns = records.arrays()
    assert steps == 20 <= attempts
    assert all(len(column) == 21 for column in columns.values())
    assert columns["log_loss"][-1] == log_loss < columns["log_loss"][0]
    np.testing.assert_allclose(columns["margin"], columns["margins"].min(axis=-1))
    total = np.sqrt(sum((columns[f"layers.{index}.weight_norm"] ** 2).sum(axis=-1) for index in (0, 1)))
    np.testing.assert_allclose(columns["weight_norm"], total)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own
def test_a_compiled_epoch_is_the_same(load, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    epoch = load("torch_epoch")
    monkeypatch.setattr(epoch, "TEST_SAMPLES", 100)
    plain, compiled = (epoch.run("ewn", variant, 300, 32, 128, 2)[1] for variant in ("indexing", "compiled"))
    assert compiled == pytest.approx(plain, rel=1e-5)


def test_parts_of_the_measurements_on_a_card_take_less_than_nine_minutes(load):
    accelerator, parts = load("accelerator"), load("accelerator_parts")
    assert sum(accelerator.LIMITS.values()) < 540
    assert all(callable(getattr(parts, name)) for name in accelerator.LIMITS)


def test_rows_of_a_part_that_is_cut_off_are_kept(load, tmp_path, monkeypatch):
    accelerator = load("accelerator")
    script = tmp_path / "part.py"
    row = '{"what": "a", "samples": [1.0], "unit": "s"}'
    script.write_text(f"import time\nprint('{row}', '{row[:20]}', sep='\\n', flush=True)\ntime.sleep(60)\n")
    monkeypatch.setattr(accelerator, "__file__", str(script))
    rows, end = accelerator.run("card", [], 2)
    assert [row["what"] for row in rows] == ["a"] and end.startswith("cut off")
    assert "| card | a | 1.00 s |" in accelerator.table({"card": (rows, end)})
    script.write_text("raise SystemExit('no card')")
    assert accelerator.run("card", [], 20) == ([], "failed: no card")


@pytest.mark.slow
def test_every_part_of_the_measurements_on_a_card_runs_on_a_cpu(load, tmp_path):
    accelerator, written = load("accelerator"), tmp_path / "accelerator.md"
    command = [sys.executable, str(FOLDER / "accelerator.py"), "--quick", "--device", "cpu", "--table", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in accelerator.LIMITS:
        assert f"\n| {name} | " in written.read_text()
    assert "failed" not in written.read_text()
