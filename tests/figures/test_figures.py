"""Figures: every one is made from real records, is not blank, and says what it shows."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from wnexp.memory import cores

from wnexp import figures
from wnexp.config import UserError
from wnexp.figures.series import load_series


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Starting another one takes as long as a figure or two."""
    monkeypatch.setattr(figures, "MOST_PROCESSES", 1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Quick runs: lin_sep under two norms and two seeds, simple_traj."""
    folder = tmp_path_factory.mktemp("runs")
    for words in (
        ["-m", "+norm=swn,ewn", "seed=0,1", "stop.log_loss=-30"],
        ["+experiment=simple_traj", "+norm=ewn", "stop.log_loss=-10"],
        ["data=digits", "model.activation=relu", "loss.reduction=mean", "norm=none", "stop.max_steps=3"],
    ):
        command = [sys.executable, "-m", "wnexp", "train", *words]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def drawn(files):
    return {path.stem for path in files if path.suffix == ".png"}


def check_pictures(files):
    for path in files:
        if path.suffix == ".png":
            pixels = imread(path)[..., :3]
            assert pixels.shape[0] > 200 and pixels.std() > 0.02, f"{path} is blank"
        else:
            assert path.read_bytes().startswith(b"%PDF") and path.stat().st_size > 3000


def test_one_run_draws_every_figure_its_records_allow(runs, monkeypatch):
    monkeypatch.chdir(runs)
    run = next((runs / "outputs/lin_sep").glob("norm=ewn,seed=0*"))
    files = figures.plot([run])
    assert drawn(files) == set(figures.FIGURES) - {"paths", "pruning", "pruning_scores", "loss_by_norm"}
    assert all((runs / path).parent == run / "figures" for path in files)
    assert {path.suffix for path in files} == {".png", ".pdf"}
    check_pictures(files)


def test_several_runs_share_figures_one_panel_a_norm(runs, monkeypatch):
    monkeypatch.chdir(runs)
    files = figures.plot([runs / "outputs/lin_sep"])
    assert (runs / files[0]).parent == runs / "outputs/lin_sep/figures"
    check_pictures(files)
    series = load_series(sorted((runs / "outputs/lin_sep").glob("norm=*")))
    assert [one.label for one in series] == ["norm=swn", "norm=ewn"]
    assert all(one.seeds == 2 for one in series), "runs that differ in the seed alone are one series"
    figure = figures.FIGURES["norms"](series)
    assert figure is not None
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["norm=swn, seed 0", "norm=ewn, seed 0"]


def test_every_axis_is_labelled(runs):
    series = load_series(sorted((runs / "outputs/lin_sep").glob("norm=*")))
    for name, draw in figures.FIGURES.items():
        figure = draw(series)
        if figure is not None:
            assert all(axes.get_xlabel() for axes in figure.axes), name
            assert figure.axes[0].get_ylabel(), name


def test_experiment_names_paths_and_high_dimensions(runs, monkeypatch):
    monkeypatch.chdir(runs)
    files = figures.plot([figures.Path("simple_traj")])
    assert {"paths", "norms"} <= drawn(files)
    assert not {"boundary", "alignment", "loss_shares"} & drawn(files), "one point, and neurons with one weight"
    check_pictures(files)
    assert drawn(figures.plot([figures.Path("digits")])) >= {"loss", "norms", "alignment"}


def test_the_newest_run_is_the_default(runs, monkeypatch, tmp_path):
    monkeypatch.chdir(runs)
    assert "digits" in str(figures.plot([], tmp_path)[0].parent) or list(tmp_path.glob("loss.png"))
    assert {path.stem for path in tmp_path.glob("*.png")} >= {"loss", "norms"}


def test_a_run_with_a_damaged_table_is_left_out(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        shutil.copytree(next((runs / "outputs/lin_sep").glob(f"norm=ewn,seed={seed}*")), tmp_path / f"seed{seed}")
    (tmp_path / "seed0" / "neurons.parquet").write_bytes(b"PAR1 cut")
    assert [one.seeds for one in load_series([tmp_path / "seed0", tmp_path / "seed1"])] == [1]
    error = capsys.readouterr().err
    assert "left out" in error and "neurons.parquet: not a readable parquet file" in error
    assert len(error.splitlines()) == 1
    with pytest.raises(UserError, match="no records to draw"):
        figures.plot([tmp_path / "seed0"])
    (tmp_path / "seed1" / "steps.parquet").unlink()
    with pytest.raises(UserError, match="no records to draw"):
        figures.plot([tmp_path / "seed1"])


def test_norm_against_gradient_is_shown_at_the_snapshots(runs):
    series = load_series(sorted((runs / "outputs/lin_sep").glob("norm=ewn*")))
    series[0].config["snapshots"] = [-5, -20, -1000]
    figure = figures.FIGURES["norm_gradient"](series)
    assert figure is not None
    steps = series[0].of_first_seed("steps")
    first = [steps[steps["log_loss"] <= level]["log_loss"].iloc[0] for level in (-5, -20)]
    assert [panel.get_title().splitlines()[1] for panel in figure.axes] == [f"log loss {level:.4g}" for level in first]


def test_the_predicted_line_goes_through_the_neurons_of_a_layer(runs):
    series = load_series(sorted((runs / "outputs/lin_sep").glob("norm=ewn*")))
    figure = figures.FIGURES["norm_gradient"](series)
    assert figure is not None
    lines = [line for line in figure.axes[-1].lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    points = [line for line in figure.axes[-1].lines if line.get_marker() == "o" and line.get_label()[0] != "_"]
    (line,), (layer,) = lines, points
    (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(-1)
    assert (x0 + x1) / 2 == pytest.approx(np.mean(layer.get_xdata()))
    assert (y0 + y1) / 2 == pytest.approx(np.mean(layer.get_ydata()))


def test_processes_share_the_figures(runs, tmp_path, monkeypatch):
    alone = figures.plot([runs / "outputs/lin_sep"], tmp_path / "alone")
    monkeypatch.setattr(figures, "MOST_PROCESSES", 3)
    monkeypatch.setattr(figures, "cores", lambda: 3)
    shared = figures.plot([runs / "outputs/lin_sep"], tmp_path / "shared")
    assert [path.name for path in shared] == [path.name for path in alone]
    for one, other in zip(alone, shared, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for the other processes in /proc")
@pytest.mark.skipif(cores() < 2, reason="one process draws all")
@pytest.mark.parametrize("pause", [0.05, 0.5])
def test_ctrl_c_is_one_line_from_all_processes(runs, tmp_path, pause):
    """At a terminal it reaches the whole group, processes that still import among them."""
    words = [sys.executable, "-m", "wnexp", "plot", str(runs / "outputs/lin_sep"), "--to", str(tmp_path / "figures")]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and len(children.read_text().split()) < 2:  # one of them keeps multiprocessing's books
        time.sleep(0.01)
    time.sleep(pause)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "wnexp: interrupted\n"
    assert not list(tmp_path.rglob("*.tmp"))
