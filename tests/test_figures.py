"""Figures: every one is made from real records, is not blank, and says what it shows."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from wnexp import figures
from wnexp.config import UserError
from wnexp.figures.series import load_series, mean_and_spread, panels


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
    assert figure is not None and [axes.get_title() for axes in figure.axes] == ["norm=swn, seed 0", "norm=ewn, seed 0"]


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
    assert {"paths", "boundary", "norms"} <= drawn(files)
    check_pictures(files)
    assert drawn(figures.plot([figures.Path("digits")])) >= {"loss", "norms", "alignment"}


def test_the_newest_run_is_the_default(runs, monkeypatch, tmp_path):
    monkeypatch.chdir(runs)
    assert "digits" in str(figures.plot([], tmp_path)[0].parent) or list(tmp_path.glob("loss.png"))
    assert {path.stem for path in tmp_path.glob("*.png")} >= {"loss", "norms"}


def test_missing_and_damaged_records_are_one_line(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(next((runs / "outputs/lin_sep").glob("norm=ewn,seed=0*")), copy)
    (copy / "neurons.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(UserError, match="not a readable parquet file"):
        figures.plot([copy])
    (copy / "steps.parquet").unlink()
    with pytest.raises(UserError, match="no records yet"):
        figures.plot([copy])


def test_mean_and_spread_over_seeds():
    import pandas as pd

    frame = pd.DataFrame({"seed": [0] * 3 + [1] * 3, "x": [0, 1, 2, 0, 1, 3], "y": [0.0, 2, 4, 2, 4, 8]})
    _, axes = panels(1, 1)
    mean_and_spread(axes[0, 0], frame, "x", "y", "#000000", "both")
    line = axes[0, 0].lines[-1]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(line.get_ydata(), [1, 3, 5])
    assert line.get_label() == "both (2 seeds)" and len(axes[0, 0].collections) == 1
