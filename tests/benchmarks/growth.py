"""Time and memory of wnexp against steps, seeds, width and samples: outputs/gallery/growth.png and .pdf.

python tests/benchmarks/growth.py [--quick]

Every point is a run of `wnexp train` in a process of its own, the second one of its kind, so nothing is compiled in
it: seconds of its training loop, and the process's largest resident memory less that of a run that does next to
nothing. The slopes are fitted to the upper half of the points, where the work outweighs what every run costs; dashed
is the slope each should have.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from harness import ROOT, run, statuses, wnexp
from matplotlib.axes import Axes

FIGURE = ROOT / "outputs" / "gallery" / "growth"
TIME, MEMORY = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion
# Constant steps to no target, and records on the geometric grid: the same work whatever the data.
PLAIN = ("+norm=ewn", "optimizer=gd_constant", "optimizer.step_size=1e-6", "stop.log_loss=-1e9", "record.points=20")
# 16 inputs, 1 output: weights and work are linear in the width and in the samples.
WIDE = ("data=gaussian", "data.inputs=16", "data.test_per_class=0", "record.max_direction=0", "record.max_gradient=0")


class Panel(NamedTuple):
    """One quantity that grows: its values, the words of the run, the slopes of time and memory to expect."""

    label: str
    values: tuple[int, ...]
    words: Callable[[int], Sequence[str]]
    slopes: tuple[float, float]


PANELS = (
    Panel(
        "steps",
        tuple(10_000 * 4**power for power in range(5)),
        lambda value: [f"stop.max_steps={value}"],
        (1, 0),
    ),
    Panel(
        "seeds",
        tuple(4**power for power in range(2, 7)),
        lambda value: [f"seeds={value}", "stop.max_steps=1000"],
        (1, 1),
    ),
    Panel(
        "width (neurons)",
        tuple(4**power for power in range(4, 9)),
        lambda value: [*WIDE, "data.train_per_class=8", f"model.widths=[{value}]", "stop.max_steps=200"],
        (1, 1),
    ),
    Panel(
        "training samples",
        tuple(2 * 4**power for power in range(4, 9)),
        lambda value: [*WIDE, f"data.train_per_class={value // 2}", "model.widths=[16]", "stop.max_steps=200"],
        (1, 1),
    ),
)


def measure(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """Loop seconds and peak megabytes of the second run of these words."""
    command = wnexp("train", *PLAIN, *words, "overwrite=true", f"outputs={folder / 'runs'}", "hydra.run.dir=run")
    run(command, folder, folder / "cache")
    done = run(command, folder, folder / "cache")
    (status,) = statuses(folder / "run")
    return status["loop_seconds"], done.megabytes


def fitted_slope(values: Sequence[float], results: Sequence[float]) -> float:
    """The slope in double logarithmic axes over the upper half of the points."""
    upper = len(values) // 2
    return float(np.polyfit(np.log(values[upper:]), np.log(results[upper:]), 1)[0])


def draw_line(axes: Axes, values: Sequence[float], results: Sequence[float], color: str, name: str, slope: float):
    """Points, and a dashed line of the slope to expect through the last one; returns their handles."""
    measured = fitted_slope(values, results)
    (line,) = axes.loglog(values, results, "o-", color=color, markersize=4, linewidth=1.5)
    line.set_label(f"{name}: slope {measured:.2f} (expected {slope:g})")
    guide = results[-1] * (np.asarray(values, float) / values[-1]) ** slope
    axes.loglog(values, guide, "--", color=color, linewidth=1, alpha=0.7)
    return line


def draw(panels: Sequence[Panel], results: Sequence[np.ndarray], path: Path) -> None:
    """Four panels; results `(points, 2)` each: loop seconds, megabytes above a run that does next to nothing."""
    plt.rcParams.update({"font.size": 9, "legend.fontsize": 8, "axes.spines.top": False})
    figure, grid = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    for axes, panel, points in zip(grid.flat, panels, results, strict=True):
        twin = axes.twinx()
        lines = [
            draw_line(axes, panel.values, points[:, 0], TIME, "time", panel.slopes[0]),
            draw_line(twin, panel.values, points[:, 1], MEMORY, "memory", panel.slopes[1]),
        ]
        axes.set_xlabel(panel.label)
        axes.set_ylabel("training loop (s)", color=TIME)
        twin.set_ylabel("peak memory above a tiny run (MB)", color=MEMORY)
        for side, points_of in ((axes, points[:, 0]), (twin, points[:, 1])):
            side.set_ylim(min(points_of) / 3, max(points_of) * 12)  # room for the legend
        axes.legend(handles=lines, loc="upper left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("png", "pdf"):
        figure.savefig(path.with_suffix(f".{ending}"), dpi=200)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small points a panel, into a scratch folder")
    quick = parser.parse_args().quick
    panels = [panel._replace(values=panel.values[: 3 if quick else None]) for panel in PANELS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, least = measure(["stop.max_steps=1"], folder)
        results = []
        for panel in panels:
            points = np.array([measure(panel.words(value), folder) for value in panel.values])
            print(
                panel.label, *(f"{v:,}: {s:.3g} s, {m:.0f} MB;" for v, (s, m) in zip(panel.values, points, strict=True))
            )
            points[:, 1] = np.maximum(points[:, 1] - least, 1.0)
            results.append(points)
        draw(panels, results, folder / "growth" if quick else FIGURE)


if __name__ == "__main__":
    main()
