"""The `wnexp` command: the only place that parses arguments. Nothing heavy is imported before a command needs it."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

USAGE = """\
wnexp: towards which solution does gradient descent go when a network is weight normalized?

usage: wnexp COMMAND [ARGUMENT ...]

  train [GROUP=OPTION ...] [KEY=VALUE ...]   train one run (-m: a sweep); wnexp train --help lists all
  train --config-from RUN outputs=FOLDER     repeat a run from its run.json
  plot [PATH ...] [--to DIR]                 figures of the newest run, or of the runs named
  prune [PATH ...] [OPTION ...]              accuracy against hidden neurons removed, from the snapshots of runs
  verify [PATH ...] [--deep]                 the theory's claims, measured on runs, with verdicts
  runs [PATH]                                what has been run, with status and last figures
  --version, --help

first steps:
  wnexp train +norm=ewn                      the paper's lin-sep experiment under EWN, to a loss of e^-300
  wnexp plot                                 its figures
  wnexp train -m +norm=none,swn,ewn seed=0,1,2
"""
PLOT_USAGE = """\
usage: wnexp plot [PATH ...] [--to DIR]

Draw every figure that the records of the runs allow, as PNG and PDF, and list them.
PATH is a run directory, a folder of runs (a sweep), or the name of an experiment under outputs/;
without it the newest run under outputs/ is drawn. Several runs are drawn together.
--to DIR puts the figures there instead of figures/ beside the records.
"""
PRUNE_USAGE = """\
usage: wnexp prune [PATH ...] [--percent P,P,...] [--scores S,S,...] [--global] [--save P]

Remove the hidden neurons that rank lowest and measure the accuracy, at every log loss a run has a snapshot at
(snapshots=[-10,-100,-300]). Writes pruning.parquet into each run directory; `wnexp plot PATH ...` draws it.
PATH is a run directory, a folder of runs (a sweep), or the name of an experiment; default: the newest run.
--percent P,P,...  percents of the hidden neurons to remove (default 0,5,...,95)
--scores S,S,...   final_norm, change_from_initial, change_from_-10, ... (default: all)
--global           rank the neurons of all hidden layers together instead of layer by layer
--save P           write the networks without P percent, by the first score, into snapshots/
"""
VERIFY_USAGE = """\
usage: wnexp verify [PATH ...] [--deep]

Hold the theory's claims (wnexp/theory/claims.py) against runs and print a verdict for each: holds, fails, or not
reached with the depth it would need. Without PATH a standing battery is trained first, gradient flow to 1e4 nats into
outputs/verify. Writes verify.parquet and one figure a claim there; with PATH beside the runs.
PATH is a run directory, a folder of runs, or the name of an experiment under outputs/.
--deep takes the battery to 1e6 nats, into outputs/verify-deep. The exit code is 1 if a claim fails.
"""
RUNS_USAGE = """\
usage: wnexp runs [PATH]

List the runs at or below PATH (default: outputs) with their status and last figures.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Exit codes: 0, 1 (an error, a failed job), 2 (usage), 130 (Ctrl-C), 143 (SIGTERM)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if words else 2
    if words[0] == "--version":
        from wnexp import __version__

        print(f"wnexp {__version__}")
        return 0
    if words[0] not in COMMANDS:
        return _usage(f"unknown command '{words[0]}'; known: {', '.join(COMMANDS)} (wnexp --help)")
    usage, command = COMMANDS[words[0]]
    if usage and ("-h" in words or "--help" in words):
        print(usage, end="")
        return 0
    from wnexp import stopping

    try:
        with stopping.raising():
            return command(words[1:])
    except KeyboardInterrupt as stop:
        print(f"wnexp: interrupted{_outlook(stop)}", file=sys.stderr)
        return stopping.INTERRUPTED
    except stopping.Terminated as stop:
        print(f"wnexp: terminated{_outlook(stop)}", file=sys.stderr)
        return stopping.TERMINATED
    except SystemExit as exit:  # Hydra leaves this way after --help and for options it does not know
        return exit.code if isinstance(exit.code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _explained(error)


def _outlook(stop: BaseException) -> str:
    return f"; {stop}" if str(stop) else ""


def _usage(message: str) -> int:
    print(f"wnexp: {message}", file=sys.stderr)
    return 2


def _explained(error: Exception) -> int:
    """One or two lines for a user's mistake; a fault of ours is raised as it is."""
    from wnexp.errors import explain

    message = explain(error)
    if message is None:
        raise error
    print(f"wnexp: error: {message}", file=sys.stderr)
    return 1


def train(words: list[str]) -> int:
    """`wnexp train`: hand the arguments to Hydra, which calls `runner.job` once for every job."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra shall raise; `main` explains
    # LAPACK, whose matrices are small here, waits for its threads wherever cores are shared.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import hydra
    from hydra._internal import utils
    from hydra.core.utils import JobReturn

    from wnexp import config, overrides, report, runner

    try:
        words = overrides.prepared(overrides.expanded(words))
        overrides.check(words)
    except overrides.UsageError as error:
        return _usage(str(error))
    sys.argv = ["wnexp train", *words]
    returned = []

    def call_and_keep(call):
        returned.append(call())
        return returned[-1]

    # The one way to the return values of the jobs that serves every launcher: Hydra 1.3 drops them here.
    utils.run_and_report = call_and_keep
    hydra.main(str(config.configs_folder()), "config", version_base="1.3")(runner.job)()
    batches = returned[-1] if isinstance(returned[-1], list) else [returned[-1:]]
    jobs = [job.return_value for batch in batches for job in batch if isinstance(job, JobReturn)]
    if isinstance(returned[-1], list):
        report.report_sweep(jobs)
    return int(any(job["status"] == "failed" for job in jobs))


def plot(words: list[str]) -> int:
    """`wnexp plot`: read records, draw figures."""
    target = None
    if "--to" in words:
        position = words.index("--to")
        if position + 1 == len(words):
            return _usage("--to needs a directory (wnexp plot --help)")
        target = Path(words[position + 1])
        del words[position : position + 2]
    unknown = [word for word in words if word.startswith("-")]
    if unknown:
        return _usage(f"unknown option '{unknown[0]}' (wnexp plot --help)")
    from wnexp import figures

    for path in figures.plot([Path(word) for word in words], target):
        print(path)
    return 0


def prune(words: list[str]) -> int:
    """`wnexp prune`: snapshots -> curves of accuracy against neurons removed."""
    import argparse

    parser = argparse.ArgumentParser("wnexp prune", add_help=False)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--percent", type=_percents, default=None)
    parser.add_argument("--scores", type=lambda text: text.split(","), default=None)
    parser.add_argument("--global", dest="together", action="store_true")
    parser.add_argument("--save", type=_percents, default=None)
    parser.error = lambda message: sys.exit(_usage(f"{message} (wnexp prune --help)"))
    options = parser.parse_args(words)
    if options.save is not None and len(options.save) != 1:
        return _usage("--save takes one percent (wnexp prune --help)")
    from wnexp import prune, records, report

    runs = records.runs_at(options.paths)
    percents = options.percent or prune.PERCENTS
    save = options.save[0] if options.save else None
    results = prune.prune_all(runs, percents, options.scores, options.together, save)
    report.report_pruning({run: result.rows for run, result in results.items()})
    for path, command in (entry for result in results.values() for entry in result.saved):
        print(f"saved {report.shown(path)}; train it on:\n  {command}")
    print(f"next: wnexp plot {' '.join(map(repr, map(str, options.paths or map(report.shown, runs))))}")
    return 0


def _percents(text: str) -> list[float]:
    import argparse

    try:
        percents = [float(word) for word in text.split(",")]
    except ValueError:
        percents = []
    if not percents or not all(0 <= percent <= 100 for percent in percents):
        raise argparse.ArgumentTypeError(f"'{text}' must be numbers from 0 to 100, like 0,50,90")
    return percents


def verify(words: list[str]) -> int:
    """`wnexp verify`: the claims held against runs."""
    unknown = [word for word in words if word.startswith("-") and word != "--deep"]
    paths = [Path(word) for word in words if not word.startswith("-")]
    if unknown or (paths and "--deep" in words):
        return _usage(f"{unknown[0] if unknown else '--deep with PATH'} is no option (wnexp verify --help)")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from wnexp.theory import verdicts

    return verdicts.verify(paths, "--deep" in words)


def runs(words: list[str]) -> int:
    """`wnexp runs`: one line a run."""
    if len(words) > 1 or any(word.startswith("-") for word in words):
        return _usage(f"unknown arguments {' '.join(words)} (wnexp runs --help)")
    from wnexp import report

    report.print_runs(Path(words[0] if words else "outputs"))
    return 0


COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "train": ("", train),
    "plot": (PLOT_USAGE, plot),
    "prune": (PRUNE_USAGE, prune),
    "verify": (VERIFY_USAGE, verify),
    "runs": (RUNS_USAGE, runs),
}
