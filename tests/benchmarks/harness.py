"""What the benchmarks share: processes timed from outside, turns, rows and their Markdown table, random images."""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from exchange import Agreement

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HEADER = ("what", "wnexp", "PyTorch or what is named", "wnexp is faster by")


class Finished(NamedTuple):
    """A process that has ended well: its seconds from start to exit, its standard output, its largest memory."""

    seconds: float
    output: str
    megabytes: float  # peak resident

    def json(self) -> dict[str, Any]:
        """The JSON object on the last line of the output."""
        return json.loads(self.output.strip().splitlines()[-1])


class Row(NamedTuple):
    """One line of the table: samples of a quantity on both sides. `ratio` is given where there are not two sides."""

    what: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    unit: str = "s"
    more_is_better: bool = False
    ratio: float | None = None

    def faster_by(self) -> float | None:
        """How many times faster wnexp is, from the medians."""
        if self.ratio is not None or not (self.ours and self.theirs):
            return self.ratio
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return ours / theirs if self.more_is_better else theirs / ours

    def cells(self) -> tuple[str, str, str, str]:
        """The cells of the table."""
        factor = self.faster_by()
        return (
            self.what,
            interval(self.ours, self.unit),
            interval(self.theirs, self.unit),
            "" if factor is None else f"{factor:.2g}" if factor < 10 else f"{factor:,.0f}",
        )


def interval(samples: Sequence[float], unit: str) -> str:
    """`median [min, max] unit`; nothing for no samples, the number alone for one."""
    if not samples:
        return ""
    middle, low, high = statistics.median(samples), min(samples), max(samples)
    text = number(middle) if len(samples) == 1 else f"{number(middle)} [{number(low)}, {number(high)}]"
    return f"{text} {unit}".rstrip()


def number(value: float) -> str:
    """Three significant digits, without an exponent where it can be helped."""
    if value == 0 or not 1e-3 <= abs(value) < 1e15:
        return f"{value:.2e}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEADER, ("---", "---:", "---:", "---:"), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def seconds(made: Any, attempts: int) -> float:
    """Of a chunk of so many attempts of a `Session`."""
    began = time.perf_counter()
    made.chunk(attempts)
    return time.perf_counter() - began


def losses(rows: Sequence[Row]) -> list[Row]:
    """The rows of two sides in which wnexp is slower, the worst first."""
    ratios = [(row.faster_by() or 1.0, row) for row in rows if row.theirs]
    return [row for ratio, row in sorted(ratios, key=lambda pair: pair[0]) if ratio < 1]


def machine() -> str:
    """Processor, cores, versions and the date, in one line."""
    names = [line.split(":")[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    versions = ", ".join(f"{name} {_version(name)}" for name in ("wnexp", "jax", "torch", "scikit-learn", "scipy"))
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {versions}, {datetime.date.today().isoformat()}"
    )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def run(words: Sequence[str], folder: Path, cache: Path) -> Finished:
    """Run `python ...` in that folder and wait. Raises `SystemExit` with its last lines if it fails."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "MPLBACKEND": "Agg",
    }
    with (folder / "output.txt").open("w+") as output:
        began = time.perf_counter()
        command = [sys.executable, *words]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {process.returncode}\n{text[-2000:]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Finished(seconds, text, usage.ru_maxrss / unit)


def script(name: str, *words: object) -> list[str]:
    """The words that run a script of this folder."""
    return [str(HERE / name), *map(str, words)]


class Bench(NamedTuple):
    """How to run."""

    repeats: int
    quick: bool
    folder: Path  # scratch; its `cache` holds compiled programs
    agreements: list[Agreement]

    def python(self, words: list[str]) -> Finished:
        """Run to the end."""
        return run(words, self.folder, self.folder / "cache")

    def fresh(self, name: str) -> Path:
        """An empty folder."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


def wnexp(*words: object) -> list[str]:
    """The words that run a wnexp command."""
    return ["-m", "wnexp", *map(str, words)]


def in_turns(repeats: int, *sides: Callable[[], Any]) -> list[list[Any]]:
    """Call the sides A, B, A, B, ...; one list of results a side. What disturbs the machine disturbs all of them."""
    rounds = [[side() for side in sides] for _ in range(repeats)]
    return [list(results) for results in zip(*rounds, strict=True)]


def statuses(folder: Path) -> list[dict[str, Any]]:
    """`run.json` of every run below a folder, by name."""
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("run.json"))]


def random_images(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of MNIST's shape, `(samples, 784)` float32 of unit variance, and labels 0..9 `(samples,)` int64.

    The first labels are 0..9, so that any subset of ten has every class.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, samples)
    labels[:10] = np.arange(min(10, samples))
    return rng.standard_normal((samples, 784), dtype=np.float32), labels


def rule_script(description: str | None, rules: Iterable[str], small: Callable, epoch: Callable) -> None:
    """The command line of a script that times step rules on a small net and in epochs; prints one JSON line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("small", "epoch"))
    parser.add_argument("rule", choices=list(rules))
    parser.add_argument("--start", type=Path)
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--step-size", type=float, default=1e-6)
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    if given.what == "small":
        figures = small(given.rule, given.start, given.updates, given.step_size)
    else:
        figures = epoch(given.rule, given.samples, given.width, given.batch, given.epochs, given.step_size)
    print(json.dumps(figures))
