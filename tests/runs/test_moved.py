"""Files that a run was trained on and that are elsewhere now: known by their contents."""

import shutil

import numpy as np
import pytest

from tests.helpers import compose
from wnexp import runner
from wnexp.config.overrides import elsewhere
from wnexp.errors import UserError
from wnexp.runs import identity, moved
from wnexp.runs.reader import Run
from wnexp.runs.status import Status
from wnexp.training.options import OPTIONS

X = np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [-2.0, -1.0]])


def save(path, x=X):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train_x=x, train_y=[1, 1, -1, -1])


def run_of(folder, *words):
    """A run as `run.json` has it, not trained."""
    run = Run(folder)
    run.__dict__["status"] = Status(status="finished", config=identity.identity(compose(*words)), seeds=[])
    return run


def test_files_that_are_gone_are_told_from_files_that_have_changed(tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"0")
    config = compose(f"model.initial_weights={file}")
    run = run_of(tmp_path, f"model.initial_weights={file}")
    assert moved.changed_files(run, config) == {}
    file.write_bytes(b"1")
    assert moved.changed_files(run, config) == {"model.initial_weights": f"{file} (other contents)"}
    file.unlink()
    assert moved.changed_files(run, config) == {"model.initial_weights": f"{file} (not there)"}


def test_data_that_are_elsewhere(tmp_path):
    old, new, other = (tmp_path / name for name in ("old.npz", "b/new.npz", "other.npz"))
    save(old)
    run = run_of(tmp_path / "run", "data=file", f"data.path={old}")
    assert runner.reopen(run).config.data.path == str(old)
    shutil.copytree(tmp_path, tmp_path / "copy")
    save(other, 2 * X)
    new.parent.mkdir()
    old.rename(new)
    with pytest.raises(UserError, match=r"run: its data are not where or what they were: data.path=.*old.npz \(not th"):
        runner.reopen(run)
    again = runner.reopen(run, {"data.path": str(new)})
    assert again.settings["data.path"] == str(new) and len(again.dataset.train_x) == 4
    for words, message in (
        ({"data.path": str(other)}, r"data.path=.*other.npz: other contents than the files that .*run was trained on"),
        ({"data.path": str(tmp_path / "no")}, r"data.path=.*no: not there, so not the files that"),
        ({"data.dir": str(tmp_path)}, r"data.dir=.*run was trained with no data.dir, on no file to compare"),
        ({"model.initial_weights": str(new)}, r"was trained with model.initial_weights=null, on no file"),
    ):
        with pytest.raises(UserError, match=message) as error:
            runner.reopen(run, words)
        assert len(str(error.value).splitlines()) == 1
    save(old, 2 * X)
    with pytest.raises(UserError, match=r"data.path=.*old.npz \(other contents\)"):  # `verify` took them before
        runner.reopen(run)


def test_a_folder_of_images_that_is_elsewhere(tmp_path, monkeypatch):
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        (tmp_path / "old" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "old" / name).write_bytes(name.encode())
    (tmp_path / "old" / "t10k-labels-idx1-ubyte").write_bytes(b"labels")
    run = run_of(tmp_path / "run", "data=mnist", f"data.dir={tmp_path}/old")
    (tmp_path / "new" / "MNIST").mkdir(parents=True)
    (tmp_path / "old").rename(tmp_path / "new" / "MNIST" / "raw")
    monkeypatch.chdir(tmp_path)
    found = moved.found_again(run, run.settings, {"data.dir": "new"}, OPTIONS)
    assert found == run.settings | {"data.dir": str(tmp_path / "new")}
    (tmp_path / "new/MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(b"others")
    with pytest.raises(UserError, match=r"data\.dir=new: other contents"):
        moved.found_again(run, run.settings, {"data.dir": "new"}, OPTIONS)


def test_the_words_that_say_where_files_are():
    assert elsewhere(["a", "data.path=~/b=c.npz", "outputs=x"]) == (["a", "outputs=x"], {"data.path": "~/b=c.npz"})


@pytest.mark.slow
def test_prune_and_config_from_take_data_that_have_moved(inside, tmp_path):
    save(tmp_path / "d.npz")
    save(tmp_path / "other.npz", 2 * X)
    words = ("data=file", "data.path=d.npz", "model.widths=[4]", "snapshots=[-1]", "stop.log_loss=-2", "norm=ewn")
    assert inside("train", *words, "hydra.run.dir=run")[0] == 0
    (tmp_path / "new").mkdir()
    (tmp_path / "d.npz").rename(tmp_path / "new" / "d.npz")
    code, _, err = inside("prune", "run")
    assert code == 1 and "run: its data are not where" in err and len(err.splitlines()) == 1
    code, _, err = inside("prune", "run", "data.path=other.npz")
    assert code == 1 and "data.path=other.npz: other contents" in err and len(err.splitlines()) == 1
    code, out, err = inside("prune", "run", "data.path=new/d.npz", "--save", "50")
    assert (code, err) == (0, "") and "data.path=new/d.npz" in out and "data.path=d.npz" not in out
    assert "next: wnexp plot 'run'" in out
    code, _, err = inside("train", "--config-from", "run", "outputs=again", "data.path=other.npz")
    assert code == 1 and "data.path=other.npz: other contents than the files that run was trained on" in err
    code, _, err = inside("train", "--config-from", "run", "outputs=again", "data.path=new/d.npz")
    assert (code, err) == (0, "")
    (again,) = (tmp_path / "again").rglob("run.json")
    then, now = Run(tmp_path / "run"), Run(again.parent)
    assert now.settings["data.path"] == str(tmp_path / "new" / "d.npz")
    assert now.table("steps").drop(["seed"]).equals(then.table("steps").drop(["seed"]))
    code, out, err = inside("train", "--config-from", "run", "hydra.run.dir=run", "data.path=new/d.npz")
    assert (code, err) == (0, "") and "finished" in out
