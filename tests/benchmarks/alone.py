"""The figures of wnexp alone in `bench.py`: what starting, stepping, batching seeds, plotting and listing cost."""

import shutil
import statistics
from collections.abc import Callable

from harness import Bench, Row, in_turns, run, statuses, wnexp


def first_run(bench: Bench) -> list[Row]:
    """`wnexp train +norm=ewn` with nothing compiled before, and once more."""
    first, second = [], []
    for _ in range(bench.repeats):
        folder, cache = bench.fresh("first"), bench.fresh("first_cache")
        for seconds in (first, second):
            seconds.append(
                run(wnexp("train", "+norm=ewn", "overwrite=true", f"outputs={folder}"), folder, cache).seconds
            )
    return [Row("`wnexp train +norm=ewn`, nothing compiled before", first), Row("the same, a second time", second)]


def loop(bench: Bench, words: list[str]) -> tuple[float, int, float]:
    """Loop seconds of a run without what it compiles, attempts of all its seeds, and seconds of the whole process."""
    folder = bench.fresh("loop")
    whole = bench.python(wnexp("train", *words, f"outputs={folder}")).seconds
    (status,) = statuses(folder)
    return status["loop_seconds"], sum(figures["attempts"] for figures in status["seeds"]), whole


def attempts(bench: Bench) -> list[Row]:
    """Attempts a second of a long run, 2-8-1 under each norm."""
    rows = []
    for norm in ("none", "swn", "ewn"):
        steps = 20_000 if bench.quick else 500_000
        words = [f"+norm={norm}", "optimizer=gd_constant", "stop.log_loss=-1e9", f"stop.max_steps={steps}"]
        runs = [loop(bench, words) for _ in range(bench.repeats)]
        rate = [count / seconds for seconds, count, _ in runs]
        rows.append(Row(f"2-8-1, {norm}, one seed: attempts in the loop", rate, unit="a second", more_is_better=True))
    return rows


def seeds(experiment: str, title: str) -> Callable[[Bench], list[Row]]:
    """Many seeds as one program against one alone: attempts of all seeds a second, and what a seed costs."""

    def make(bench: Bench) -> list[Row]:
        many = 64 if bench.quick else 1024
        words = [f"+experiment={experiment}", "+norm=ewn"]
        sides = [lambda count=count: loop(bench, [*words, f"seeds={count}"]) for count in (1, many)]
        made: list[Row] = []
        for count, side in zip((1, many), in_turns(bench.repeats, *sides), strict=True):
            what = f"{title}, seeds={count}"
            rate = [attempts / seconds for seconds, attempts, _ in side]
            per_seed = [1000 * whole / count for *_, whole in side]
            made.append(Row(f"{what}: attempts of all seeds in the loop", rate, unit="a second", more_is_better=True))
            made.append(Row(f"{what}: whole process, a seed", per_seed, unit="ms"))
        many_rate, one_rate, whole, one_whole = (statistics.median(made[index].ours) for index in (2, 0, 3, 1))
        return [*made[:2], made[2]._replace(ratio=many_rate / one_rate), made[3]._replace(ratio=one_whole / whole)]

    return make


def plot(bench: Bench) -> list[Row]:
    """`wnexp plot` of three norms of lin-sep with 16 seeds each."""
    folder = bench.fresh("plot")
    many = 2 if bench.quick else 16
    bench.python(wnexp("train", "-m", "+experiment=lin_sep", "norm=none,swn,ewn", f"seeds={many}", f"outputs={folder}"))
    seconds = [bench.python(wnexp("plot", folder / "lin_sep")).seconds for _ in range(bench.repeats)]
    return [Row("`wnexp plot` of lin-sep, 3 norms, 16 seeds", seconds)]


def list_runs(bench: Bench) -> list[Row]:
    """`wnexp runs` over copies of one finished run."""
    folder, copies = bench.fresh("runs"), 20 if bench.quick else 1000
    bench.python(wnexp("train", "+norm=ewn", f"outputs={folder}"))
    (finished,) = (path.parent for path in folder.rglob("run.json"))
    for index in range(1, copies):
        shutil.copytree(finished, finished.with_name(f"{finished.name},copy={index}"))
    seconds = [bench.python(wnexp("runs", folder)).seconds for _ in range(bench.repeats)]
    return [Row("`wnexp runs`, 1,000 runs", seconds)]
