"""Time and memory of wnexp against steps, seeds, width and samples: outputs/gallery/growth.png and .pdf.

python tests/benchmarks/growth.py [--quick]

Every point is a run of `wnexp train` in a process of its own, the second one of its kind, so nothing is compiled in
it: seconds of its training loop, and the process's largest resident memory. Dashed is what each should be: a power of
the quantity through the last point, for memory on top of what every run takes, the least of the panel. Slopes are
fitted to the upper half of the times, and to memory more than 40 MB above the least, where there are two such points.
"""

import argparse
import math
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
from matplotlib.lines import Line2D

FIGURE = ROOT / "outputs" / "gallery" / "growth"
TIME, MEMORY = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion
NOTICEABLE = 40.0  # MB; two runs of the same work may differ by 30
# Constant steps to no target, and records on the geometric grid: the same work whatever the data.
PLAIN = ("+norm=ewn", "optimizer=gd_constant", "optimizer.step_size=1e-6", "stop.log_loss=-1e9", "record.points=20")
# Few inputs, one output: weights and work are linear in the width and in the samples.
WIDE = ("data=gaussian", "data.test_per_class=0", "record.max_direction=0", "record.max_gradient=0")


class Panel(NamedTuple):
    """One quantity that grows: its values, the words of the run, the slopes of time and memory to expect."""

    label: str
    values: tuple[int, ...]
    words: Callable[[int], Sequence[str]]
    slopes: tuple[float, float]
    traced: bool = False  # one compiled program serves all values


PANELS = (
    Panel(
        "steps",
        tuple(10_000 * 4**power for power in range(5)),
        lambda value: [f"stop.max_steps={value}"],
        (1, 0),
        traced=True,
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
        lambda value: [
            *WIDE,
            "data.inputs=16",
            "data.train_per_class=8",
            f"model.widths=[{value}]",
            "stop.max_steps=200",
        ],
        (1, 1),
    ),
    Panel(
        "training samples",
        tuple(2 * 4**power for power in range(4, 9)),
        lambda value: [
            *WIDE,
            f"data.train_per_class={value // 2}",
            "data.inputs=64",
            "model.widths=[16]",
            "stop.max_steps=50",
        ],
        (1, 1),
    ),
)


def measure(words: Sequence[str], folder: Path, compiled: bool) -> tuple[float, float]:
    """Loop seconds and peak megabytes of a run of these words, of the second one if nothing is compiled yet."""
    command = wnexp("train", *PLAIN, *words, "overwrite=true", f"outputs={folder / 'runs'}", "hydra.run.dir=run")
    if not compiled:
        run(command, folder, folder / "cache")
    done = run(command, folder, folder / "cache")
    (status,) = statuses(folder / "run")
    return status["loop_seconds"], done.megabytes


def fitted_slope(values: Sequence[float], results: Sequence[float]) -> float:
    """The slope in double logarithmic axes; NaN for fewer than two points."""
    return float(np.polyfit(np.log(values), np.log(results), 1)[0]) if len(values) > 1 else math.nan


def memory_slope(values: np.ndarray, megabytes: np.ndarray, expected: float) -> float:
    """The slope of memory: of all of it where it should not grow, else of what is well above the least."""
    if expected == 0:
        return fitted_slope(values, megabytes)
    above = megabytes - megabytes.min()
    return fitted_slope(values[above > NOTICEABLE], above[above > NOTICEABLE])


def draw_line(axes: Axes, values: np.ndarray, results: np.ndarray, color: str, label: str, guide: np.ndarray) -> Line2D:
    """Points, what they should be dashed, and room for the legend above them."""
    (line,) = axes.loglog(values, results, "o-", color=color, markersize=4, linewidth=1.5, label=label)
    axes.loglog(values, guide, "--", color=color, linewidth=1, alpha=0.7)
    return line


def described(name: str, measured: float, expected: float) -> str:
    """The legend's words."""
    return f"{name}: " + (
        "too little to tell" if math.isnan(measured) else f"slope {measured:.2f} (expected {expected:g})"
    )


def draw(panels: Sequence[Panel], results: Sequence[np.ndarray], path: Path) -> None:
    """Four panels; results `(points, 2)` each: loop seconds, peak megabytes."""
    plt.rcParams.update({"font.size": 9, "legend.fontsize": 8, "axes.spines.top": False})
    figure, grid = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    for axes, panel, points in zip(grid.flat, panels, results, strict=True):
        values, (seconds, megabytes) = np.array(panel.values, float), points.T
        upper, least, relative = len(values) // 2, megabytes.min(), values / values[-1]
        time = described("time", fitted_slope(values[upper:], seconds[upper:]), panel.slopes[0])
        memory = described("memory", memory_slope(values, megabytes, panel.slopes[1]), panel.slopes[1])
        grown = least + (megabytes[-1] - least) * relative ** panel.slopes[1]
        twin = axes.twinx()
        lines = [
            draw_line(axes, values, seconds, TIME, time, seconds[-1] * relative ** panel.slopes[0]),
            draw_line(twin, values, megabytes, MEMORY, memory, grown),
        ]
        axes.set_xlabel(panel.label)
        axes.set_ylabel("training loop (s)", color=TIME)
        twin.set_ylabel("peak resident memory (MB)", color=MEMORY)
        axes.set_ylim(seconds.min() / 3, seconds.max() * 12)
        twin.set_ylim(100, max(10_000, 12 * megabytes.max()))
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
        results = []
        for panel in panels:
            compiled = [panel.traced and index > 0 for index in range(len(panel.values))]
            pairs = zip(panel.values, compiled, strict=True)
            points = np.array([measure(panel.words(value), folder, known) for value, known in pairs])
            print(
                panel.label, *(f"{v:,}: {s:.3g} s, {m:.0f} MB;" for v, (s, m) in zip(panel.values, points, strict=True))
            )
            results.append(points)
        draw(panels, results, folder / "growth" if quick else FIGURE)


if __name__ == "__main__":
    main()
