"""Operating characteristics: how often the claims judge true runs and falsified ones how.

`python -m tests.theory.characteristics [FOLDER]` trains the battery's flows on data seeds that it does not have, those
of the falsifications with patched code, judges every run by itself and writes the tables of theory/README.md.
"""

import multiprocessing
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import compose
from tests.theory.falsifications import FALSIFICATIONS, concerns, falsified
from wnexp import runner, theory
from wnexp.config.schema import flat
from wnexp.resources import cores
from wnexp.runner import Reopened
from wnexp.runs.reader import Run
from wnexp.theory import battery
from wnexp.theory.runs import TrainedRun
from wnexp.training.loop import make_train
from wnexp.training.program import build_network

DATA_SEEDS = range(2000, 2010)
DEPTH = -100_000
README = Path(theory.__file__).parent / "README.md"
Counts = dict[str, Counter[str]]  # claim -> verdict -> how many runs
Job = tuple[Path, str, tuple[str, ...]]  # directory, the falsification that it is trained with or "", overrides


def jobs(folder: Path, data_seeds: range = DATA_SEEDS) -> list[list[Job]]:
    """What is trained, in groups that compile one program."""
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for name, words in (battery.flows(data_seeds, DEPTH) | battery.twins(data_seeds)).items():
        groups["", name.rpartition("/")[0]].append((folder / "true" / name, "", words))
    for title, what in FALSIFICATIONS.items():
        for name, words in battery.flows(data_seeds, DEPTH).items() if what.trains else ():
            network, norm, loss, _ = name.split("/")
            if network in what.networks and norm in what.norms and loss == "exponential":
                directory = folder / re.sub("[^A-Za-z0-9]+", "-", title) / name
                groups[title, name.rpartition("/")[0]].append((directory, title, words))
    return list(groups.values())


def train(group: list[Job]) -> None:
    """Train runs of one falsification in this process, its patches put in."""
    title = group[0][1]
    patches = FALSIFICATIONS[title].patches if title else {}
    kept = {place: getattr(*place) for place in patches}
    make_train.cache_clear()  # a program compiled without the patches, or with others
    for (owner, name), patch in patches.items():
        setattr(owner, name, patch)
    try:
        for directory, _, words in group:
            runner.train((*words, *(FALSIFICATIONS[title].overrides if title else ())), directory)
    finally:
        for (owner, name), original in kept.items():
            setattr(owner, name, original)
        make_train.cache_clear()


def load(job: Job) -> TrainedRun:
    """The run, with the configuration on record."""
    directory, title, words = job
    run = theory.load_runs([Run(directory)])[0]
    if not title or not FALSIFICATIONS[title].overrides:
        return run
    config = compose(*words)
    dataset = config.data.load()
    network = build_network(config, dataset)
    degrees = np.array(network.degrees)[run.seeds[0].layers]
    return replace(
        run,
        reopened=Reopened(config, flat(config), dataset, network),
        seeds=[replace(seed, degrees=degrees) for seed in run.seeds],
    )


def verdicts(runs: list[TrainedRun], claims: Iterable[str], others: list[TrainedRun]) -> Counts:
    """Every run judged by itself, but for the twins among the others that it is compared with."""
    counts: Counts = defaultdict(Counter)
    for name in claims:
        claim = theory.CLAIMS[name]
        for run in runs:
            twin = run.is_flow and not run.config.optimizer.steps_on_weights
            if not twin and claim.applies(run) and (evidence := claim.evidence([run], [*runs, *others])) is not None:
                verdict = theory.hypothesis.judge(evidence, claim.tolerance(run), claim.one_sided)
                counts[name][verdict.verdict] += 1
    return counts


def characteristics(folder: Path, data_seeds: range = DATA_SEEDS) -> tuple[Counts, dict[str, Counts]]:
    """Train what is not there yet, and count: true runs, and those of every falsification."""
    groups = jobs(folder, data_seeds)
    with ProcessPoolExecutor(min(cores(), len(groups)), mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(train, groups))
    true = [load(job) for group in groups for job in group if not job[1]]
    found = {}
    for title, what in FALSIFICATIONS.items():
        own = [load(job) for group in groups for job in group if job[1] == title]
        if what.trains:
            found[title] = verdicts(own, what.claims, true)
        else:
            chosen = [run for run in true if concerns(what, run)]
            others = [run for run in true if not concerns(what, run)]
            found[title] = verdicts([falsified(run, what) for run in chosen], what.claims, others)
    return verdicts(true, theory.CLAIMS, []), found


def _cells(counts: Counter[str]) -> list[str]:
    total = sum(counts.values())
    return [f"{100 * counts[verdict] / total:.3g}" for verdict in (theory.HOLDS, theory.NOT_REACHED, theory.FAILS)]


def tables(true: Counts, found: dict[str, Counts]) -> str:
    """Both tables in markdown, percentages of runs (three seeds each)."""
    lines = ["| claim | true runs | holds | not reached | fails |", "|---|---|---|---|---|"]
    for claim, counts in true.items():
        lines.append("| " + " | ".join([claim, str(sum(counts.values())), *_cells(counts)]) + " |")
    lines += ["", "| falsification | claim | runs | holds | not reached | fails |", "|---|---|---|---|---|---|"]
    for title, by_claim in found.items():
        for claim in filter(by_claim.get, FALSIFICATIONS[title].claims):  # the family is not trained here
            counts = by_claim[claim]
            lines.append("| " + " | ".join([title, claim, str(sum(counts.values())), *_cells(counts)]) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> Any:
    """Write the tables between the marks of the README."""
    folder = Path(arguments[0] if arguments else "outputs/characteristics")
    text = tables(*characteristics(folder))
    marked = re.compile(r"(<!-- characteristics -->\n).*?(<!-- end -->)", re.DOTALL)
    README.write_text(marked.sub(lambda match: match[1] + text + match[2], README.read_text()))
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
