"""All figures: which are drawn, their panels, labels, units and legends; the files; the processes that draw them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matplotlib.image import imread

from wnexp import figures
from wnexp.errors import UserError
from wnexp.figures.series import load_series
from wnexp.resources import cores

LIN_SEP = ("lin_sep/none", "lin_sep/ewn", "lin_sep/more")
NORMS = ["norm=none", "norm=ewn"]
LOSS, STEPS, DEPTH = "log training loss (nats)", "accepted steps", "$-$log training loss (nats)"
MEDIAN = "2 to 4 seeds: median, band from the 10 % to the 90 % quantile"
MEAN = "2 seeds: mean, band of one standard deviation within the seeds' range"
FAINT = "faint: neurons that end below a quarter of the largest norm of their layer"
SAMPLES = [f"sample {index}" for index in range(4)]
POINTS = [f"{part}, label {label}" for part in ("test", "train") for label in ("-1", "+1")]
# Figure -> the runs to draw, the labels below its panels, that at its left, the legend's entries (None: see the
# figure's own test) and note.
CONTENT = {
    "loss": (LIN_SEP, [STEPS, "log time (nats)"], LOSS, NORMS, MEDIAN),
    "loss_by_norm": (
        ("lin_sep/none", "others/none", "lin_sep/ewn", "others/ewn"),
        [STEPS] * 2,
        LOSS,
        ["optimizer.step_size=0.005", "optimizer.step_size=0.01"],
        "2 seeds: median, band from the 10 % to the 90 % quantile",
    ),
    "margin": (LIN_SEP, [STEPS, DEPTH], r"normalized margin $q/\|w\|^L$", NORMS, MEDIAN),
    "rates": (LIN_SEP, [r"$\log \log t$"] * 2, r"$-\log \mathcal{L} - \log t$ (nats)", NORMS, MEDIAN),
    "limit_cosine": (LIN_SEP, [STEPS], r"$\cos(\nabla \mathcal{L}, \tilde g)$", NORMS, MEDIAN),
    "norms": (LIN_SEP, [STEPS] * 2, r"weight norm $\|w_u\|$", ["layer 0", "layer 1"], FAINT),
    "alignment": (
        LIN_SEP,
        [STEPS] * 2,
        r"alignment $\cos(w_u, -\nabla_u \mathcal{L})$",
        ["layer 0", "layer 1"],
        FAINT,
    ),
    "norm_gradient": (
        LIN_SEP,
        [r"$\log \|w_u\|$"] * 4,
        r"$\log \|\nabla_u \mathcal{L}\|$ (nats)",
        ["layer 0, active", "layer 1, active", "slope -1, by layer"],
        "small and faint: neurons below a quarter of the largest norm of their layer",
    ),
    "directions": (LIN_SEP, [STEPS] * 2, r"components of $w_u/\|w_u\|$", None, ""),
    "loss_shares": (LIN_SEP, [STEPS] * 2, r"loss share $\ell_i / \|\ell\|_2$", SAMPLES, ""),
    "boundary": (LIN_SEP, ["first input"] * 2, "second input", POINTS, ""),
    "paths": (("simple_traj/none",), ["$w_1$"], "$w_2$", ["norm=none"], ""),
    "effective_neurons": (
        LIN_SEP,
        [DEPTH],
        r"effective neurons $(\sum_u\,\|w_u\|)^2 /\, \sum_u\,\|w_u\|^2$",
        NORMS,
        MEDIAN,
    ),
    "norm_distribution": (
        LIN_SEP,
        ["neurons, largest first (%)"] * 2,
        r"$\|w_u\|$ / largest of the layer",
        NORMS,
        MEDIAN,
    ),
    "pruning": (LIN_SEP[:2], ["hidden neurons removed (%)"] * 2, "best test accuracy", NORMS, MEAN),
    "pruning_scores": (
        LIN_SEP[:2],
        ["hidden neurons removed (%)"] * 4,
        "test accuracy",
        ["final norm", "change from initial", "change from -5"],
        MEAN,
    ),
}


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Starting another one takes as long as a figure or two."""
    monkeypatch.setattr(figures, "MOST_PROCESSES", 1)


def drawn(files):
    return {path.stem for path in files if path.suffix == ".png"}


def check_pictures(files):
    for path in files:
        if path.suffix == ".png":
            pixels = imread(path)[..., :3]
            assert pixels.shape[0] > 200 and pixels.std() > 0.02, f"{path} is blank"
        else:
            assert path.read_bytes().startswith(b"%PDF") and path.stat().st_size > 3000


def only(monkeypatch, *names):
    """Draw these figures alone."""
    monkeypatch.setattr(figures, "FIGURES", {name: figures.FIGURES[name] for name in names})


ELSEWHERE = ("atlas", "margin_gap", "crossover", "sweep", "sharpness")  # their content: files of their own


def test_every_figure_has_its_content_asserted():
    assert [*CONTENT, *ELSEWHERE] == list(figures.FIGURES)


@pytest.mark.parametrize("name", CONTENT)
def test_panels_labels_and_legend(series, name):
    runs, below, left, entries, note = CONTENT[name]
    figure = figures.FIGURES[name](series(*runs))
    assert [panel.get_xlabel() for panel in figure.axes] == below
    assert figure.axes[0].get_ylabel() == left
    assert all(panel.lines or panel.collections for panel in figure.axes)
    (legend,) = figure.legends
    assert entries is None or [text.get_text() for text in legend.get_texts()] == entries
    assert legend.get_title().get_text().replace("\n", " ") == note


@pytest.mark.slow
def test_one_run_draws_every_figure_its_records_allow(runs, monkeypatch):
    monkeypatch.chdir(runs)
    files = figures.plot([runs / "lin_sep/more"])
    absent = {"paths", "pruning", "pruning_scores", "loss_by_norm", *ELSEWHERE}
    assert drawn(files) == set(figures.FIGURES) - absent
    assert all((runs / path).parent == runs / "lin_sep/more/figures" for path in files)
    assert {path.suffix for path in files} == {".png", ".pdf"}
    check_pictures(files)


def test_several_runs_share_figures_one_panel_per_norm(runs, series, monkeypatch):
    only(monkeypatch, "norms")
    monkeypatch.chdir(runs)
    files = figures.plot([runs / "lin_sep"])
    assert [str(path) for path in files] == ["lin_sep/figures/norms.png", "lin_sep/figures/norms.pdf"]
    check_pictures(files)
    loaded = series(*LIN_SEP)
    assert [one.label for one in loaded] == NORMS
    assert [one.seeds for one in loaded] == [2, 4], "runs that differ in the seed alone are one series"
    figure = figures.FIGURES["norms"](loaded)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["norm=none, seed 0", "norm=ewn, seed 0"]


def test_experiments_are_drawn_by_their_names(runs, monkeypatch, tmp_path):
    only(monkeypatch, "paths", "norms", "boundary", "alignment", "loss_shares")
    monkeypatch.chdir(runs.parent)
    files = figures.plot([Path("simple_traj")], tmp_path)
    assert drawn(files) == {"paths", "norms"}, "not of one point, and neurons with one weight"
    assert {path.parent for path in files} == {tmp_path}
    check_pictures(files)


def test_the_newest_run_is_the_default(runs, monkeypatch, tmp_path):
    """And no other: whichever was written last."""
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(runs / "lin_sep", tmp_path / "outputs" / "lin_sep")
    shown = []

    def spy(series):
        shown.append([(one.norm, int(one.table("steps")["seed"].min()), one.seeds) for one in series])
        return figures.curves.loss(series)

    monkeypatch.setattr(figures, "FIGURES", {"loss": spy})
    for age, (name, expected) in enumerate({"more": ("ewn", 2, 2), "none": ("none", 0, 2)}.items()):
        os.utime(folder / name / "run.json", (2e9 + age, 2e9 + age))
        files = figures.plot([])
        assert shown[-1] == [expected]
        assert files == [Path(f"outputs/lin_sep/{name}/figures/loss.{suffix}") for suffix in ("png", "pdf")]


def test_a_run_with_a_damaged_table_is_left_out(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("ewn", "more"):
        shutil.copytree(runs / "lin_sep" / name, tmp_path / name)
    (tmp_path / "ewn" / "neurons.parquet").write_bytes(b"PAR1 cut")
    assert [one.seeds for one in load_series([tmp_path / "ewn", tmp_path / "more"])] == [2]
    error = capsys.readouterr().err
    assert "left out" in error and "neurons.parquet: not a readable parquet file" in error
    assert len(error.splitlines()) == 1
    with pytest.raises(UserError, match="no records to draw"):
        figures.plot([tmp_path / "ewn"])
    (tmp_path / "more" / "steps.parquet").unlink()
    for name in ("one", "two"):
        shutil.copytree(tmp_path / "more", tmp_path / "several" / name)
    with pytest.raises(UserError, match=r"^more: no records to draw$"):
        figures.plot([tmp_path / "more"])
    with pytest.raises(UserError, match=r"^several/one and 1 more: no records to draw$"):
        figures.plot([tmp_path / "several"])


@pytest.mark.slow
def test_processes_share_the_figures(runs, tmp_path, monkeypatch):
    alone = figures.plot([runs / "lin_sep"], tmp_path / "alone")
    monkeypatch.setattr(figures, "cores", lambda: 3)
    shared = figures.plot([runs / "lin_sep"], tmp_path / "shared", processes=3)
    assert [path.name for path in shared] == [path.name for path in alone]
    check_pictures(alone)
    for one, other in zip(alone, shared, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.slow
def test_a_script_without_a_main_guard_draws(runs, tmp_path):
    script = tmp_path / "script.py"
    lines = ("from pathlib import Path", "import wnexp.figures as figures")
    script.write_text("\n".join([*lines, f"print(len(figures.plot([Path({str(runs / 'lin_sep')!r})], Path('to'))))"]))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and int(done.stdout) == len(list((tmp_path / "to").iterdir())), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for the other processes in /proc")
@pytest.mark.skipif(cores() < 2, reason="one process draws all")
@pytest.mark.parametrize("pause", [0.05, 0.5])
def test_ctrl_c_is_one_line_from_all_processes(runs, tmp_path, pause):
    """At a terminal it reaches the whole group, processes that still import among them."""
    words = [sys.executable, "-m", "wnexp", "plot", str(runs / "lin_sep"), "--to", str(tmp_path / "figures")]
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
