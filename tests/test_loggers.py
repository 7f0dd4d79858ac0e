"""Runs in TensorBoard, Weights & Biases and MLflow, read back with the libraries themselves."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from wnexp import loggers
from wnexp.errors import UserError
from wnexp.runs.reader import Run

QUICK = ("norm=ewn", "seeds=2", "stop.log_loss=-20", "model.widths=[4]")


class Kept:
    """A logger that keeps what it is told."""

    def __init__(self, directory, settings):
        self.rows, self.pictures, self.end, self.settings = [], [], None, settings

    def scalars(self, step, values):
        self.rows.append((step, dict(values)))

    def picture(self, name, file):
        self.pictures.append((name, file.read_bytes()[:4]))

    def close(self, settings, final):
        self.end = dict(final)


@pytest.fixture
def kept(monkeypatch):
    made = []

    def make(directory, settings):
        made.append(Kept(directory, settings))
        return made[-1]

    monkeypatch.setitem(loggers.LOGGERS, "tensorboard", make)
    return made


def expected(run):
    """`(step, name) -> value` of everything that steps.parquet holds."""
    found = {}
    for row in run.table("steps").to_pylist():
        for name, value in row.items():
            if name not in ("seed", "step") and value is not None:
                found[row["step"], f"{name}/seed_{row['seed']}"] = float(value)
    return found


def told(logger):
    return {(step, name): value for step, values in logger.rows for name, value in values.items()}


def test_every_number_is_logged_once_as_it_goes_on_and_when_it_is_over(inside, tmp_path, kept):
    code, out, err = inside("train", *QUICK, "+logger=tensorboard")
    assert code == 0, err
    run = Run(next((tmp_path / "outputs/lin_sep").iterdir()))
    assert "logger" not in str(run.directory) and not any("logger" in key for key in run.config)
    code, out, err = inside("log", str(run.directory), "--to", "tensorboard")
    assert code == 0 and out.endswith("logged to tensorboard\n"), err
    for logger in kept:
        assert told(logger) == expected(run) and sum(len(values) for _, values in logger.rows) == len(expected(run))
        assert [name for name, _ in logger.pictures] == ["loss", "margin", "norms"]
        assert {magic for _, magic in logger.pictures} == {b"\x89PNG"}
        assert logger.end["final/log_loss/seed_1"] == run.status.seeds[1]["log_loss"]
        assert logger.settings["norm.name"] == "ewn"
    assert len(kept) == 2


def test_a_logger_that_fails_costs_the_run_nothing(inside, tmp_path, kept, monkeypatch):
    def full(self, step, values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Kept, "scalars", full)
    code, _, err = inside("train", *QUICK, "logger=tensorboard")
    assert code == 0 and err.count("stopped logging") == 1 and "No space left" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("logger=tensorbord", "did you mean tensorboard?"),
        ("logger=[wandb,x]", "logger=x is unknown; allowed: tensorboard, wandb, mlflow"),
        ("logger=wandb", "needs the library nowhere: pip install 'wnexp[wandb]'"),
    ],
)
def test_loggers_that_are_not_there_are_refused_before_anything_is_trained(
    inside, tmp_path, monkeypatch, word, message
):
    monkeypatch.setattr(loggers.WeightsAndBiases, "needs", "nowhere")
    code, _, err = inside("train", *QUICK, word)
    assert code == 1 and message in err and not list(tmp_path.rglob("run.json"))


def test_a_logger_that_cannot_be_opened_is_refused(kept, monkeypatch, tmp_path):
    def refuse(directory, settings):
        raise RuntimeError("no such server\nand a trace")

    monkeypatch.setitem(loggers.LOGGERS, "tensorboard", refuse)
    with pytest.raises(UserError, match=r"^logger=tensorboard cannot be opened: no such server$"):
        loggers.opened("tensorboard", tmp_path, {})


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run that all three libraries have logged."""
    folder = tmp_path_factory.mktemp("logged")
    environment = {"WANDB_MODE": "offline", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/runs.db"}
    words = [sys.executable, "-m", "wnexp", "train", *QUICK, "logger=[tensorboard,wandb,mlflow]"]
    done = subprocess.run(words, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "stopped logging" not in done.stderr, done.stderr
    return Run(next(path.parent for path in folder.rglob("run.json")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_what_was_written(logged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logged.directory / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    want = expected(logged)
    got = {(one.step, name): one.value for name in events.Tags()["scalars"] for one in events.Scalars(name)}
    assert {key for key in got if not key[1].startswith("final/")} == want.keys()
    assert all(np.float32(want[key]) == np.float32(got[key]) for key in want)
    assert events.Tags()["images"] == ["figures/loss", "figures/margin", "figures/norms"]
    assert any(data.plugin_data.plugin_name == "hparams" for data in events.summary_metadata.values())


def log_records(data):
    """The records of a file in LevelDB's log format, which wandb's are, behind a header of seven bytes."""
    place, whole = 7, b""  # blocks are counted from the start of the file
    data = b"\0" * 7 + data
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # full, or the last part
            yield whole
            whole = b""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_reads_what_was_written(logged):
    from wandb.proto import wandb_internal_pb2

    (file,) = logged.directory.glob("wandb/offline-run-*/run-*.wandb")
    got, settings = {}, {}
    for data in log_records(file.read_bytes()[7:]):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        row = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for seed in (0, 1):
            if f"step/seed_{seed}" in row:
                names = [name for name in row if not name.startswith(("_", "step/"))]
                got |= {(row[f"step/seed_{seed}"], name): row[name] for name in names}
        settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    assert got == expected(logged) and settings["norm.name"] == "ewn"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_what_was_written(logged):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{next(logged.directory.parents[2].glob('runs.db'))}")
    (run,) = client.search_runs([client.get_experiment_by_name("wnexp/lin_sep").experiment_id])
    assert run.data.params["norm.name"] == "ewn" and run.info.status == "FINISHED"
    got = {}
    for name in run.data.metrics:
        if not name.startswith("final/"):
            got |= {(one.step, name): one.value for one in client.get_metric_history(run.info.run_id, name)}
    assert got == expected(logged)
    assert run.data.metrics["final/log_loss/seed_0"] == logged.status.seeds[0]["log_loss"]
