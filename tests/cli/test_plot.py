"""`wnexp plot`: which runs are drawn, and where the figures go."""

import json
import os
import resource
import shutil
import subprocess
import sys

import pytest

from tests.helpers import compose
from wnexp import figures, runner
from wnexp.figures import curves


@pytest.fixture
def drawn(monkeypatch):
    """The first seeds of the runs drawn; one figure is enough, in this process."""
    seen = []

    def loss(series):
        seen.append(sorted(one.config["seed"] for one in series))
        return curves.loss(series)

    monkeypatch.setattr(figures, "FIGURES", {"loss": loss})
    monkeypatch.setattr(figures, "cores", lambda: 1)
    return seen


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs; the first one by name is the newer one."""
    root = tmp_path_factory.mktemp("runs")
    for age, name, seed in ((0, "a", 4), (60, "b", 5)):
        folder = root / "outputs/lin_sep" / name
        runner.run_in(folder, compose("model.widths=[]", "stop.max_steps=3", f"seed={seed}"))
        made = (folder / "run.json").stat().st_mtime - age
        os.utime(folder / "run.json", (made, made))
    return root


def test_without_a_path_the_newest_run_is_drawn_and_no_other(inside, trained, monkeypatch, drawn):
    monkeypatch.chdir(trained)
    code, out, err = inside("plot")
    assert code == 0, err
    assert drawn == [[4]] and out.splitlines() == [f"outputs/lin_sep/a/figures/loss.{end}" for end in ("png", "pdf")]
    assert sorted(path.parent.parent.name for path in trained.rglob("loss.*")) == ["a", "a"]


def test_runs_named_are_drawn_together_into_the_folder_they_share_or_elsewhere(inside, trained, monkeypatch, drawn):
    monkeypatch.chdir(trained)
    assert inside("plot", "outputs/lin_sep/b")[1].splitlines()[0] == "outputs/lin_sep/b/figures/loss.png"
    assert inside("plot", "lin_sep")[1].splitlines()[0] == "outputs/lin_sep/figures/loss.png"
    assert inside("plot", "lin_sep", "--to=here")[1].splitlines() == ["here/loss.png", "here/loss.pdf"]
    assert [seeds[0] for seeds in drawn] == [5, 4, 4]


def test_a_folder_without_runs(inside, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = inside("plot", "empty")
    assert code == 1 and "empty holds no run" in err


def test_the_bar_is_told_how_many_figures_are_done(trained, monkeypatch, drawn):
    told = []
    monkeypatch.chdir(trained)
    figures.plot([], progress=lambda *what: told.append(what))
    assert told == [("reading 1 run", 0, 1), ("drawing", 1, 1)]
    figures.plot([trained / "outputs"], progress=lambda *what: told.append(what))
    assert told[2] == ("reading 2 runs", 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("differing", "most"), [("optimizer.step_size", 1.5), ("seed", 4.0)])
def test_three_hundred_runs_cost_little_more_than_twelve(tmp_path, differing, most):
    """Of a processor: as series of their own, of which twelve are drawn, and as one series of 25 times the seeds."""
    runner.run_in(tmp_path / "made", compose("norm=ewn", "seeds=2", "stop.log_loss=-20"))
    status = json.loads((tmp_path / "made/run.json").read_text())

    def cost(runs):
        for count in range(runs):
            folder = shutil.copytree(tmp_path / "made", tmp_path / f"{runs}/{count}")
            status["config"][differing] = count + 1
            (folder / "run.json").write_text(json.dumps({name: status[name] for name in status if name != "sha256"}))
        words = [sys.executable, "-m", "wnexp", "plot", str(tmp_path / f"{runs}")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        left_out = runs > 12 and differing != "seed"
        assert done.returncode == 0 and done.stderr.count("\n") == left_out, done.stderr
        return used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime

    assert cost(300) < most * cost(12)
