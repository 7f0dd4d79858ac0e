"""`wnexp COMMAND ...`: finds the command and says what went wrong. Nothing heavy is imported before it is needed."""

import argparse
import gc
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from wnexp import signals
from wnexp.cli import completion, export, log, plot, prune, report, rm, runs, streams, tag, train, verify
from wnexp.errors import UsageError, UserError, explain

COMMANDS = (train, plot, report, prune, verify, runs, tag, rm, export, log, completion)
FIRST_STEPS = """\
first steps:
  wnexp train +norm=ewn                      the paper's lin-sep experiment under EWN, to a loss of e^-300
  wnexp plot                                 its figures
  wnexp train -m +norm=none,swn,ewn seed=0,1,2
"""


class Parser(argparse.ArgumentParser):
    """A parser that raises its errors, and names the help to read."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} ({self.prog} --help)")


def parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the whole command line, and that of each command."""
    from wnexp import __version__

    whole = Parser(
        prog="wnexp",
        description="Towards which solution does gradient descent go when a network is weight normalized?",
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"wnexp {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", prog="wnexp")
    parsers = {}
    for command in COMMANDS:
        parsers[command.NAME] = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(parsers[command.NAME])
    return whole, parsers


def script() -> NoReturn:
    """`main` as a process of its own."""
    code = main()
    gc.freeze()  # looking through all of JAX for garbage once more takes longer than most commands
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Exit codes: 0, 1 (an error, a failed job), 2 (usage), 130 (Ctrl-C), 143 (SIGTERM)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    streams.prepare()
    try:
        with signals.raising():
            code = _run(words)
            sys.stdout.flush()  # what cannot be written is noticed here, not when Python ends
            return code
    except KeyboardInterrupt as stop:
        streams.say(f"wnexp: interrupted{_outlook(stop)}")
        return signals.INTERRUPTED
    except signals.Terminated as stop:
        streams.say(f"wnexp: terminated{_outlook(stop)}")
        return signals.TERMINATED
    except SystemExit as exit:  # the parsers, and Hydra, leave this way after --help
        return exit.code if isinstance(exit.code, int) else 0
    except BrokenPipeError:  # `wnexp runs | head -1`
        return 1
    except UsageError as error:
        streams.say(f"wnexp: {error}")
        return 2
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        streams.say(f"wnexp: error: {message}")
        return 1
    finally:
        streams.release()


def _run(words: list[str]) -> int:
    whole, parsers = parser()
    if not words or words[0] == "help":
        whole.print_help()
        return 0 if words else 2
    if words[0].startswith("-"):
        whole.parse_args(words)  # prints or raises
        raise UsageError(f"a command is missing; known: {', '.join(parsers)} (wnexp --help)")
    command = next((command for command in COMMANDS if words[0] == command.NAME), None)
    if command is None:
        near = get_close_matches(words[0], list(parsers), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(parsers)}"
        raise UsageError(f"unknown command '{words[0]}'; {hint} (wnexp --help)")
    if not {"-h", "--help"} & set(words) and command is not completion:
        _check_folder()
    if command is train:  # its words are Hydra's
        return train.run(words[1:])
    return command.run(parsers[command.NAME].parse_intermixed_args(words[1:]))


def _check_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise UserError(f"the working directory cannot be used ({error.strerror}); change to one that exists") from None


def _outlook(stop: BaseException) -> str:
    return f"; {stop}" if str(stop) else ""
