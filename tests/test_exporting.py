"""A run's weights go to PyTorch and come back to start another run from them."""

import numpy as np
import pytest

from wnexp.runs import snapshots
from wnexp.runs.reader import Run

QUICK = ("norm=swn", "seeds=2", "stop.log_loss=-10", "snapshots=[-5]", "model.activation=relu", "model.bias=first")


@pytest.fixture
def run(inside, tmp_path):
    assert inside("train", *QUICK)[0] == 0
    return Run(next((tmp_path / "outputs/lin_sep").iterdir()))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_there_and_back(inside, tmp_path, run, suffix):
    if suffix == ".pt":
        pytest.importorskip("torch")
    file = tmp_path / f"net{suffix}"
    code, out, err = inside("export", run.directory, "--torch", "--seed", "1", "--at", "-5", "--to", file)
    assert code == 0 and "net = nn.Sequential(nn.Linear(2, 8, bias=True), nn.ReLU()" in out, err
    assert sorted(snapshots.read(file)) == ["0.bias", "0.weight", "2.weight"]
    code, _, err = inside(
        "train", "norm=ewn", "stop.log_loss=-10", *QUICK[-2:], f"model.initial_weights={file}", "outputs=again"
    )
    assert code == 0, err
    (again,) = (Run(path.parent) for path in (tmp_path / "again").rglob("run.json"))
    for key, array in again.weights(0, "initial").items():
        np.testing.assert_allclose(array, run.weights(1, -5)[key], rtol=1e-14)
    assert any("initial_weights (sha256)" in key for key in again.config)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at", "-7"], "no snapshot log_loss=-7 of seed 0; it has final, initial, log_loss=-5"),
        (["--seed", "9"], "of seed 9; it has none"),
        (["--to", "x.npz"], "allowed: .pt, .pth, .bin, .safetensors"),
    ],
)
def test_what_cannot_be_exported(inside, run, words, message):
    code, _, err = inside("export", run.directory, *words)
    assert code == 1 and message in err and len(err.splitlines()) == 1


def test_files_that_are_no_checkpoint(inside, tmp_path):
    torch = pytest.importorskip("torch")
    (tmp_path / "bad.pt").write_text("no")
    torch.save({"epoch": 3}, tmp_path / "other.pt")
    state = {"a.weight": torch.ones(8, 2), "b.weight": torch.ones(1, 8)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "good.pt")
    assert "not a checkpoint of tensors alone" in inside("train", "model.initial_weights=bad.pt")[2]
    assert "not a state of tensors by name" in inside("train", "model.initial_weights=other.pt")[2]
    code, _, err = inside("train", "model.initial_weights=good.pt", "stop.max_steps=1")
    assert code == 0, err
