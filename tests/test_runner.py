"""Whole runs: the run directory's contract, resuming, interrupts, faults of the disk."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from tests.helpers import SMALL, compose, prepared
from tests.invariants import columns_of
from wnexp import runner, signals
from wnexp.data.generated import LinSep
from wnexp.errors import UserError
from wnexp.measures import MEASURES
from wnexp.nn.initializers import initialize
from wnexp.nn.weights import to_arrays
from wnexp.runs import checkpoint, files, lock, snapshots, writer
from wnexp.runs import status as statuses
from wnexp.runs.reader import STOPPED, Run
from wnexp.runs.status import Status
from wnexp.training.session import Session

QUICK = ("stop.log_loss=-40", "norm=ewn")
RUN = "outputs/lin_sep/norm=ewn,stop.log_loss=-40"


def status(folder):
    return json.loads((folder / "run.json").read_text())


def rewritten(path, content):
    """run.json as another version might have written it, without a checksum."""
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "sha256"}))


def same_tables(one, other):
    for name in ("steps", "neurons", "samples"):
        a, b = (pd.read_parquet(folder / f"{name}.parquet") for folder in (one, other))
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_run_directory_holds_the_contract(inside, tmp_path):
    code, out, _ = inside("train", *QUICK, "seeds=2", "snapshots=[-10,-20]", "record.every=5")
    folder = tmp_path / "outputs/lin_sep/norm=ewn,record.every=5,seeds=2,snapshots=-10+-20,stop.log_loss=-40"
    assert code == 0 and "next: wnexp plot" in out and "target_reached" in out
    for name in ("config", "hydra", "overrides"):
        assert (folder / ".hydra" / f"{name}.yaml").exists()
    described = status(folder)
    assert described["status"] == "finished" and described["precision"] == "float64" and described["device"] == "cpu"
    assert [entry["outcome"] for entry in described["seeds"]] == ["target_reached"] * 2
    assert all(entry["log_loss"] <= -40 for entry in described["seeds"])
    assert {
        "steps",
        "attempts",
        "wall_seconds",
        "compile_seconds",
        "versions",
        "git_commit",
        "code",
    } <= described.keys()

    steps = pd.read_parquet(folder / "steps.parquet")
    assert steps.columns.tolist() == columns_of("steps")
    first = steps[steps["seed"] == 0]
    assert first["step"].iloc[0] == 0 and {0, 5, 10}.issubset(first["step"])
    assert first[["log_time", "decay_rate"]].iloc[0].isna().all()
    on_request = [name for measure in MEASURES.values() if not measure.cost(SMALL, 4) for name in measure.columns]
    late = first.iloc[-1].drop([name for name in on_request if name in first])
    assert late.notna().all(), "every column is filled at the end, but for those that were not asked for"
    assert {"log_sharpness", "path_norm"} < set(on_request)
    assert late["limit_cosine"] == pytest.approx(-1, abs=1e-6) and late["test_accuracy"] == 1
    neurons = pd.read_parquet(folder / "neurons.parquet")
    assert set(neurons["layer"]) == {0, 1} and neurons.groupby("layer")["neuron"].nunique().tolist() == [8, 1]
    assert len(neurons) == 9 * len(steps) and neurons["direction"].notna().all()
    last = neurons[(neurons["seed"] == 0) & (neurons["step"] == late["step"])]
    assert (last["norm_ratio"].groupby(last["layer"]).max() == 1).all()
    assert np.abs(last["log_gradient_norm"] + 40).max() < 15
    samples = pd.read_parquet(folder / "samples.parquet")
    assert len(samples) == 4 * len(steps)
    np.testing.assert_allclose((samples["loss_share"] ** 2).groupby([samples["seed"], samples["step"]]).sum(), 1)

    weights = folder / "snapshots" / "seed=1"
    assert sorted(path.name for path in weights.iterdir()) == [
        "final.safetensors", "initial.safetensors", "log_loss=-10.safetensors", "log_loss=-20.safetensors",
    ]  # fmt: skip
    final = load_file(weights / "final.safetensors")
    assert {key: array.shape for key, array in final.items()} == {"layers.0.weight": (2, 8), "layers.1.weight": (8, 1)}
    recorded = steps[steps["seed"] == 1].iloc[-1]["weight_norm"]
    assert np.sqrt(sum((array**2).sum() for array in final.values())) == pytest.approx(recorded, rel=1e-12)
    crossing = steps[(steps["seed"] == 1) & (steps["log_loss"] <= -10)].iloc[0]
    at_ten = load_file(weights / "log_loss=-10.safetensors")
    norm = np.sqrt(sum((array**2).sum() for array in at_ten.values()))
    assert norm == pytest.approx(crossing["weight_norm"], rel=1e-12)


def test_a_finished_run_is_not_run_again_and_another_config_is_refused(inside, tmp_path):
    assert inside("train", *QUICK)[0] == 0
    before = (tmp_path / RUN / "steps.parquet").stat().st_mtime_ns
    code, out, _ = inside("train", "+norm=ewn", "stop.log_loss=-40")
    assert code == 0 and "finished earlier" in out
    assert (tmp_path / RUN / "steps.parquet").stat().st_mtime_ns == before
    code, _, err = inside("train", "norm=ewn", "stop.log_loss=-39", f"hydra.run.dir='{RUN}'")
    assert code == 1 and "stop.log_loss (-40.0 -> -39.0)" in err and len(err.splitlines()) == 2
    assert (tmp_path / RUN / "steps.parquet").stat().st_mtime_ns == before
    assert "-40" in (tmp_path / RUN / ".hydra/overrides.yaml").read_text(), "nothing of the old run is lost"
    assert inside("train", *QUICK, "overwrite=true")[0] == 0
    assert (tmp_path / RUN / "steps.parquet").stat().st_mtime_ns > before


@pytest.mark.parametrize("optimizer", ["gd", pytest.param("sgd", marks=pytest.mark.slow)])
def test_a_stopped_run_resumes_to_the_same_rows(inside, tmp_path, monkeypatch, optimizer):
    target = "stop.log_loss=-40" if optimizer == "gd" else "stop.log_loss=-15"
    norm = "ewn" if optimizer == "gd" else "swn"
    arguments = ["train", target, f"optimizer={optimizer}", "seeds=2", "snapshots=[-5,-10]", f"norm={norm}"]
    if optimizer == "sgd":
        arguments.append("optimizer.batch_size=3")
    assert inside(*arguments, "outputs=whole")[0] == 0
    monkeypatch.setattr(writer, "_SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(writer, "_WRITING_SHARE", 1e9)
    whole = Session.chunk
    calls = []

    def stopped(self, attempts):
        calls.append(attempts)
        if len(calls) in (5, 9):
            raise KeyboardInterrupt
        return whole(self, min(attempts, 40 if optimizer == "gd" else 10))

    monkeypatch.setattr(Session, "chunk", stopped)
    folder = next((tmp_path / "whole").glob("*/*")).relative_to(tmp_path / "whole")
    for _ in range(2):
        code, _, err = inside(*arguments, "outputs=pieces")
        assert code == 130 and "resumes" in err
        stopped_status = status(tmp_path / "pieces" / folder)
        assert stopped_status["status"] == "failed" and stopped_status["error"] == "interrupted"
        assert len(pd.read_parquet(tmp_path / "pieces" / folder / "steps.parquet"))
    assert inside(*arguments, "outputs=pieces")[0] == 0
    same_tables(tmp_path / "whole" / folder, tmp_path / "pieces" / folder)
    for path in (tmp_path / "whole" / folder / "snapshots").rglob("*.safetensors"):
        other = tmp_path / "pieces" / path.relative_to(tmp_path / "whole")
        assert path.read_bytes() == other.read_bytes()


def test_the_same_command_twice_gives_the_same_bytes(inside, tmp_path):
    for root in ("a", "b"):
        assert inside("train", *QUICK, f"outputs={root}")[0] == 0
    folder = RUN.removeprefix("outputs/")
    for name in ("steps", "neurons", "samples", "plane"):
        a, b = (pd.read_parquet(tmp_path / root / folder / f"{name}.parquet") for root in ("a", "b"))
        pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_keeps_records_and_a_checkpoint(tmp_path, number, code, name):
    words = ["train", "norm=none", "stop.log_loss=-1e9", "stop.max_steps=1000000000", "outputs=o"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wnexp", *words], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("o/*/*/steps.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    folder = next(tmp_path.glob("o/*/*"))
    while_running = pd.read_parquet(folder / "steps.parquet")
    assert len(while_running) and status(folder)["status"] == "running"
    second = subprocess.run(
        [sys.executable, "-m", "wnexp", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1 and f"is being run by process {process.pid} on " in second.stderr
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"wnexp: {name}; the records so far are kept, the same command resumes\n"
    assert status(folder)["status"] == "failed" and status(folder)["error"] == name
    assert len(pd.read_parquet(folder / "steps.parquet")) >= len(while_running)
    assert (folder / "checkpoint.safetensors").exists() and not (folder / lock.NAME).exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_is_saved_promises_nothing(inside, tmp_path, monkeypatch, number, code):
    before = signal.getsignal(number)
    monkeypatch.setattr(LinSep, "load", lambda self: os.kill(os.getpid(), number))
    got, _, err = inside("train", *QUICK)
    assert got == code and err in ("wnexp: interrupted\n", "wnexp: terminated\n")
    assert signal.getsignal(number) is before and not list(tmp_path.rglob("run.json"))


def test_a_second_signal_does_not_wait(inside, monkeypatch):
    def twice(self, attempts):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the second one has raised")

    monkeypatch.setattr(Session, "chunk", twice)
    code, _, err = inside("train", *QUICK)
    assert code == 143 and "starts again" in err and "kept" not in err


@pytest.mark.slow
@pytest.mark.parametrize("full", [".gradients.parquet", "neurons.parquet", "checkpoint.safetensors", "everything"])
def test_a_full_disk_is_one_line_and_costs_nothing_written(inside, tmp_path, monkeypatch, full):
    """From the second save on, the file (or every file beside run.json) finds no room."""
    real, saves = files.write_atomically, []

    def write(path, content, keep_previous=False):
        saves.append(path.name)
        blocked = path.name == full or (full == "everything" and path.name != "run.json")
        if blocked and saves.count("run.json") > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, content, keep_previous)

    monkeypatch.setattr(writer, "_SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(writer, "_WRITING_SHARE", 1e9)
    for module in (files, statuses, snapshots, checkpoint):
        monkeypatch.setattr(module, "write_atomically", write)
    whole = Session.chunk
    monkeypatch.setattr(Session, "chunk", lambda self, attempts: whole(self, min(attempts, 20)))
    code, _, err = inside("train", *QUICK)
    assert code == 1 and "No space left on device" in err and len(err.splitlines()) == 1
    assert full == "everything" or full in err
    assert status(tmp_path / RUN)["status"] == "failed" and "No space left" in status(tmp_path / RUN)["error"]
    assert len(pd.read_parquet(tmp_path / RUN / "steps.parquet"))
    full = ""
    code, out, _ = inside("train", *QUICK)
    assert code == 0 and "target_reached" in out


def test_an_output_folder_that_cannot_be_written(inside, tmp_path):
    (tmp_path / "blocked").write_text("a file, not a folder")
    code, _, err = inside("train", *QUICK, "outputs=blocked")
    assert code == 1 and "blocked" in err and len(err.splitlines()) == 1
    assert (tmp_path / "blocked").read_text() == "a file, not a folder"


@pytest.mark.slow
def test_initial_weights_from_a_snapshot(inside, tmp_path):
    assert inside("train", *QUICK)[0] == 0
    snapshot = tmp_path / RUN / "snapshots/seed=0/final.safetensors"
    deeper = ("norm=swn", "stop.log_loss=-60", f"model.initial_weights={snapshot}")
    code, out, _ = inside("train", *deeper, "outputs=stuck", "stop.max_steps=3")
    assert code == 0 and "optimizer.first_reference=start takes the loss there" in out
    code, out, _ = inside("train", *deeper, "outputs=next", "optimizer.first_reference=start")
    assert code == 0 and "note:" not in out
    first = pd.read_parquet(next((tmp_path / "next").rglob("steps.parquet"))).iloc[0]
    last = pd.read_parquet(tmp_path / RUN / "steps.parquet").iloc[-1]
    assert first["log_loss"] == pytest.approx(last["log_loss"], rel=1e-12)
    assert status(next((tmp_path / "next").rglob("run.json")).parent)["seeds"][0]["outcome"] == "target_reached"
    code, _, err = inside("train", "model.widths=[4]", f"model.initial_weights={snapshot}")
    assert code == 1 and "(2, 8)" in err and "(2, 4)" in err and len(err.splitlines()) == 1


def weights_of(tmp_path, **files):
    """Files of the initial weights of seeds: name -> seed."""
    for name, seed in files.items():
        network = prepared("norm=none").program.network
        weights = initialize(network, seed, "uniform", "float64")
        save_file(to_arrays(weights), tmp_path / f"{name}.safetensors")


@pytest.mark.slow
def test_a_run_from_its_own_initial_weights_is_the_same_run(inside, tmp_path):
    """The step rule does not ask where the weights come from."""
    weights_of(tmp_path, w=0)
    words = ("stop.log_loss=-20", "norm=ewn")
    assert inside("train", *words, "outputs=drawn")[0] == 0
    assert inside("train", *words, "outputs=given", "model.initial_weights=w.safetensors")[0] == 0
    drawn, given = (next((tmp_path / name).rglob("steps.parquet")) for name in ("drawn", "given"))
    pd.testing.assert_frame_equal(pd.read_parquet(drawn), pd.read_parquet(given))


@pytest.mark.slow
def test_seeds_that_would_be_equal_are_trained_once_and_said_so(inside, tmp_path):
    weights_of(tmp_path, w=0)
    words = ("stop.log_loss=-3", "seeds=3", "model.initial_weights=w.safetensors")
    code, out, _ = inside("train", *words)
    assert code == 0 and "seeds=3" in out and "one is trained" in out and "over 1 seed" in out
    steps = pd.read_parquet(next(tmp_path.rglob("steps.parquet")))
    assert set(steps["seed"]) == {0}
    code, out, _ = inside("train", *words)
    assert code == 0 and "finished earlier" in out
    code, out, _ = inside("train", *words, "optimizer=sgd", "optimizer.batch_size=2", "outputs=batches")
    assert code == 0 and "one is trained" not in out and "over 3 seeds" in out, "shuffles differ"


@pytest.mark.slow
def test_every_seed_can_have_a_file_of_initial_weights(inside, tmp_path):
    """And they are part of the run: another file is another run, more files beside them are not."""
    weights_of(tmp_path, w0=0, w1=1, w2=7)
    words = ("stop.log_loss=-3", "seeds=2", "model.initial_weights=w{seed}.safetensors", "hydra.run.dir=here")
    assert inside("train", *words)[0] == 0
    assert inside("train", "stop.log_loss=-3", "seeds=2", "hydra.run.dir=drawn")[0] == 0
    given, drawn = (pd.read_parquet(tmp_path / name / "steps.parquet") for name in ("here", "drawn"))
    pd.testing.assert_frame_equal(given, drawn)
    (tmp_path / "w2.safetensors").unlink()
    assert "finished earlier" in inside("train", *words)[1]
    weights_of(tmp_path, w1=3)
    code, _, err = inside("train", *words)
    assert code == 1 and "another configuration: model.initial_weights" in err
    code, _, err = inside("train", *words[:2], "seed=1", words[2], "outputs=other")
    assert code == 1 and "w2.safetensors" in err


@pytest.mark.slow
def test_float32_run(inside, tmp_path):
    code, _, _ = inside("train", *QUICK, "precision=float32")
    assert code == 0
    final = next(tmp_path.rglob("final.safetensors"))
    assert load_file(final)["layers.0.weight"].dtype == np.float32
    steps = pd.read_parquet(next(tmp_path.rglob("steps.parquet")))
    assert steps["log_loss"].iloc[-1] <= -40 and steps["log_loss"].is_monotonic_decreasing


@pytest.mark.slow
def test_records_in_single_precision_have_the_digits_that_the_readme_says(inside, tmp_path):
    """Against the same weights looked at in float64."""
    words = ("norm=ewn", "stop.log_loss=-200", "hydra.run.dir=single")
    assert inside("train", *words, "precision=float32")[0] == 0
    given = "model.initial_weights=single/snapshots/seed=0/final.safetensors"
    words = ("norm=ewn", "stop.log_loss=-1e5", "stop.max_steps=1", "optimizer.first_reference=start")
    assert inside("train", *words, given, "hydra.run.dir=double")[0] == 0
    single, double = (Run(tmp_path / name).frame("steps") for name in ("single", "double"))
    last, first = single.iloc[-1], double.iloc[0]
    digits = {"log_loss": 1e-7, "margin": 1e-7, "normalized_margin": 1e-7, "kkt_epsilon": 1e-5, "kkt_delta": 3e-4}
    for name, relative in digits.items():
        assert last[name] == pytest.approx(first[name], rel=relative), name
    assert last["alignment"] == pytest.approx(first["alignment"], abs=3e-6)


@pytest.mark.slow
def test_a_non_finite_run_finishes_with_its_outcome(inside, tmp_path):
    code, out, _ = inside("train", "optimizer=gd_constant", "optimizer.step_size=1e300", "stop.max_steps=9")
    assert code == 0 and "non_finite" in out and "next: wnexp plot" in out
    described = status(next(tmp_path.rglob("run.json")).parent)
    assert described["status"] == "finished" and described["seeds"][0]["log_loss"] is None


@pytest.mark.slow
def test_changed_data_are_noticed(inside, tmp_path):
    arguments = ("train", "data=file", "data.path=d.npz", "model.widths=[]", "stop.log_loss=-5")
    np.savez(tmp_path / "d.npz", train_x=np.array([[1.0, 0.2], [-1.0, 0.1]]), train_y=np.array([1, -1]))
    assert inside(*arguments)[0] == 0
    np.savez(tmp_path / "d.npz", train_x=np.array([[2.0, 0.2], [-1.0, 0.1]]), train_y=np.array([1, -1]))
    code, _, err = inside(*arguments)
    assert code == 1 and "data.path (sha256)" in err and len(err.splitlines()) <= 2


@pytest.mark.slow
def test_a_run_is_repeated_from_its_run_json(inside, tmp_path):
    np.savez(tmp_path / "it's=d.npz", train_x=np.array([[1.0, 0.2], [-1.0, 0.1]]), train_y=np.array([1, -1]))
    words = ["data=file", "data.path=it's=d.npz", "model.widths=[3]", "snapshots=[-3]", "stop.log_loss=-5", "seed=4"]
    assert inside("train", *words, "optimizer=sgd", "optimizer.batch_size=1", "norm=ewn")[0] == 0
    (run,) = (path.parent for path in tmp_path.rglob("run.json"))
    code, _, err = inside("train", "--config-from", run, "outputs=again")
    assert code == 0, err
    again = tmp_path / "again" / run.relative_to(tmp_path / "outputs")
    same_tables(run, again)
    for path in run.rglob("*.safetensors"):
        assert path.read_bytes() == (again / path.relative_to(run)).read_bytes()
    assert status(run)["config"] == status(again)["config"]
    code, out, _ = inside("train", "--config-from", run)
    assert code == 0 and "finished earlier" in out
    code, _, err = inside("train", "--config-from", run, "-m", "seed=5")
    assert code == 1 and "-m: --config-from repeats one run" in err and len(err.splitlines()) == 2
    assert inside("train", "--config-from", tmp_path / "nowhere")[0] == 1
    assert inside("train", "--config-from")[0] == 2


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_of_another_version_is_named(inside, tmp_path, finished):
    assert inside("train", *QUICK)[0] == 0
    path = tmp_path / RUN / "run.json"
    old = status(tmp_path / RUN)
    del old["config"]["optimizer.shrink"]
    old["versions"]["wnexp"] = "0.0.9"
    old["status"] = "finished" if finished else "running"
    rewritten(path, old)
    code, out, err = inside("train", *QUICK)
    if finished:
        assert code == 0 and "finished earlier" in out, "a new setting at its default changes nothing"
    else:
        assert code == 1 and "begun by wnexp 0.0.9" in err and "optimizer.shrink is new" in err
    old["config"]["optimizer.momentum"] = 0.9
    rewritten(path, old)
    code, _, err = inside("train", *QUICK)
    assert code == 1 and "optimizer.momentum is gone" in err and len(err.splitlines()) == 2


def test_a_refused_overwrite_keeps_the_old_run(inside, tmp_path):
    assert inside("train", *QUICK)[0] == 0
    before = (tmp_path / RUN / "steps.parquet").read_bytes()
    code, _, err = inside("train", "norm=ewn", "stop.log_loss=9", "overwrite=true", f"hydra.run.dir='{RUN}'")
    assert code == 1 and "already met" in err
    assert (tmp_path / RUN / "steps.parquet").read_bytes() == before


def test_mistakes_leave_no_folders(inside, tmp_path):
    assert inside("train", "seeds=0")[0] == 1
    assert not list((tmp_path / "outputs").rglob("*"))


class Events(runner.Listener):
    """Writes down what it is told, with what it could read then."""

    def __init__(self):
        self.seen = []

    def skipped(self, directory):
        self.seen.append(("skipped", directory))

    def started(self, run):
        self.seen.append(("started", run.status.status))

    def chunk(self, run):
        self.seen.append(("chunk", run.status.steps))

    def snapshot(self, path):
        assert path.exists()
        self.seen.append(("snapshot", (path.parent.name, path.stem)))

    def finished(self, run):
        self.seen.append(("finished", Run(run.directory).state))

    def failed(self, run, reason):
        self.seen.append(("failed", reason))


WATCHED = ("norm=ewn", "stop.log_loss=-10", "seeds=2", "snapshots=[-5,-8]")  # a program of other tests too


def test_listeners_hear_of_a_run_in_order(tmp_path):
    first, second = Events(), Events()
    found = runner.run_in(tmp_path / "run", compose(*WATCHED), [first, second])
    assert isinstance(found, Status) and found.status == "finished" and first.seen == second.seen
    names = [name for name, _ in first.seen]
    assert names[:3] == ["started", "snapshot", "snapshot"] and names[-3:] == ["snapshot", "snapshot", "finished"]
    assert first.seen[0] == ("started", "running") and first.seen[-1] == ("finished", "finished")
    assert names.count("started") == names.count("finished") == 1 and set(names) == {*names[:2], "chunk", "finished"}
    chunks = [steps for name, steps in first.seen if name == "chunk"]
    assert chunks == sorted(chunks) and chunks[-1] == found.steps and len(chunks) > 1
    snapshots_told = [what for name, what in first.seen if name == "snapshot"]
    for seed in ("seed=0", "seed=1"):
        assert [stem for folder, stem in snapshots_told if folder == seed] == [
            "initial", "log_loss=-5", "log_loss=-8", "final",
        ]  # fmt: skip
    last_chunk = len(names) - 1 - names[::-1].index("chunk")
    assert all(what[1] == "final" for name, what in first.seen[last_chunk:] if name == "snapshot")
    again = Events()
    assert runner.run_in(tmp_path / "run", compose(*WATCHED), [again]).seeds == found.seeds
    assert again.seen == [("skipped", tmp_path / "run")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UserError("no luck"), "no luck"),
        (ValueError("a bug"), "ValueError: a bug"),
        (KeyboardInterrupt(), "interrupted"),
        (OSError(errno.ENOSPC, "No space left", "x"), "x: No space left"),
    ],
)
def test_listeners_hear_of_a_failure_and_so_does_whoever_asked(tmp_path, monkeypatch, error, reason):
    whole, calls = Session.chunk, []

    def failing(self, attempts):
        calls.append(attempts)
        if len(calls) == 3:
            raise error
        return whole(self, min(attempts, 10))

    monkeypatch.setattr(Session, "chunk", failing)
    events = Events()
    with pytest.raises(type(error)):
        runner.run_in(tmp_path / "run", compose(*WATCHED), [events])
    assert [name for name, _ in events.seen] == ["started", "snapshot", "snapshot", "chunk", "failed"]
    assert events.seen[-1] == ("failed", reason)
    assert Run(tmp_path / "run").status.error == reason
    assert Run(tmp_path / "run").state == (STOPPED if reason == statuses.INTERRUPTED else "failed")


def test_a_signal_is_not_lost_where_nothing_can_be_written(tmp_path, monkeypatch):
    """A sweep would go on with its next job."""
    whole = Session.chunk

    def gone(self, attempts):
        if attempts:
            os.kill(os.getpid(), signal.SIGTERM)
            monkeypatch.setattr(writer.status, "write", broken)
        return whole(self, min(attempts, 10))

    def broken(*arguments, **more):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "run.json")

    monkeypatch.setattr(Session, "chunk", gone)
    with signals.raising(), pytest.raises(signals.Terminated, match=r"run\.json: No such file"):
        runner.run_in(tmp_path / "run", compose(*WATCHED))


def test_a_run_from_python(tmp_path, monkeypatch):
    """Where the command would put it, or where one says; read as it is."""
    monkeypatch.chdir(tmp_path)
    events = Events()
    run = runner.train(["+norm=ewn", "stop.log_loss=-10"], listeners=[events])
    assert run.directory == type(tmp_path)("outputs/lin_sep/norm=ewn,stop.log_loss=-10")
    assert run.state == "finished" and run.frame("steps")["log_loss"].iloc[-1] <= -10
    assert events.seen[0] == ("started", "running") and (run.directory / ".hydra" / "overrides.yaml").exists()
    other = runner.train(["norm=ewn", "stop.log_loss=-10"], tmp_path / "mine")
    assert other.directory == tmp_path / "mine" and other.status.seeds == run.status.seeds
    assert runner.train(["norm=ewn", "stop.log_loss=-10"], listeners=[events]).directory == run.directory
    assert events.seen[-1] == ("skipped", run.directory)
    with pytest.raises(UserError, match="seeds=0"):
        runner.train(["seeds=0"])


def test_what_a_user_has_noted_is_kept(tmp_path, monkeypatch):
    """A note beside ours is kept when the run goes on, and when it is not run again."""
    whole, calls = Session.chunk, []

    def stopped(self, attempts):
        calls.append(attempts)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(self, min(attempts, 10))

    monkeypatch.setattr(Session, "chunk", stopped)
    with pytest.raises(KeyboardInterrupt):
        runner.run_in(tmp_path, compose(*WATCHED))
    noted = status(tmp_path) | {"note": "half of it"}
    (tmp_path / "run.json").write_text(json.dumps(noted))
    for _ in range(2):
        assert runner.run_in(tmp_path, compose(*WATCHED)).extra == {"note": "half of it"}
        assert status(tmp_path)["status"] == "finished" and status(tmp_path)["note"] == "half of it"
