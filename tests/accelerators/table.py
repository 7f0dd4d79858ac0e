"""The table of `README.md` here: what the compilers say of the programs, a row at a time as Markdown.

PYTHONPATH=.venv/accelerators JAX_PLATFORMS=cpu python -m tests.accelerators.table [PLATFORM WORDS ...]
"""

import sys
from itertools import chain

import jax

from . import hlo
from .programs import Case, compiled

_WORDS = (
    "experiment=lin_sep norm=ewn",
    "experiment=lin_sep norm=ewn seeds=16",
    "experiment=xor norm=ewn",
    "experiment=margins_net norm=ewn optimizer=adam",
    "experiment=margins norm=none optimizer=muon",
    "experiment=lin_sep norm=ewn optimizer=flow",
    "experiment=digits norm=ewn seeds=3",
    "experiment=digits_cnn norm=ewn",
    "experiment=mnist norm=ewn seeds=3",
    "experiment=cifar10 norm=ewn seeds=3",
)
_HEADER = ("program", "chip", "compiler, core seconds", "memory, MiB", "launches an attempt", "library calls")


def _row(case: Case) -> tuple[str, ...]:
    made = compiled(case)
    launches = f"{hlo.launches_of_attempt(made.text):,}" if case.platform == "gpu" else ""
    calls = hlo.library_calls(made.text) if case.platform == "gpu" else {}
    found = ", ".join(f"{count} {name}" for name, count in calls.items())
    words = case.words.replace("experiment=", "")
    return words, case.platform, f"{made.seconds:.0f}", f"{made.bytes_needed / 2**20:,.0f}", launches, found


def main() -> None:
    jax.config.update("jax_compilation_cache_dir", None)
    given = sys.argv[1:]
    cases = (
        [Case(given[0], " ".join(given[1:]))]
        if given
        else [
            Case(platform, words)
            for platform in ("gpu", "tpu")
            for words in _WORDS
            if platform == "gpu" or "flow" not in words  # needs float64
        ]
    )
    for cells in chain((_HEADER, ("---", "---", *["---:"] * 3, "---")), map(_row, cases)):
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
