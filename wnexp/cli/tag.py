"""`wnexp tag`: words and notes kept with runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from wnexp.cli.plot import PATHS

NAME, HELP = "tag", "words and notes kept with runs, shown by `wnexp runs`"
DESCRIPTION = """\
Keep words with the runs at or below a path, in their run.json; `wnexp runs` shows them in the column tags, and
`--where "tags=paper"` finds them. A note is a text, shown in the column note.

  wnexp tag lin_sep paper
  wnexp tag lin_sep/norm=ewn --note "the one of figure 2"
"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("path", type=Path, metavar="PATH", help=PATHS)
    parser.add_argument("words", nargs="*", metavar="WORD", help="the words to add")
    parser.add_argument("--remove", action="store_true", help="take the words away instead")
    parser.add_argument("--note", metavar="TEXT", help="the note, in place of what there was; '' removes it")


def run(arguments: Namespace) -> int:
    """Write the words, and list the runs."""
    from wnexp.cli.runs import show
    from wnexp.errors import UsageError, UserError
    from wnexp.runs import lock, reader, status
    from wnexp.runs.files import shown

    words = list(dict.fromkeys(arguments.words))
    if not words and arguments.note is None:
        raise UsageError("a word or --note is missing (wnexp tag --help)")
    if bad := [word for word in words if not word.strip() or set(word) & set(",'\"()")]:
        raise UsageError(f"'{bad[0]}' is no word; a text can be a --note (wnexp tag --help)")
    runs = reader.load([arguments.path])
    for one in runs:
        try:
            with lock.hold(one.directory):
                found = reader.Run(one.directory).status
                before = found.extra.get("tags")
                tags = [tag for tag in (before if isinstance(before, list) else []) if tag not in words]
                tags += [] if arguments.remove else words
                changed: dict[str, Any] = {"tags": tags} | ({} if arguments.note is None else {"note": arguments.note})
                found.extra = {key: value for key, value in (found.extra | changed).items() if value}
                status.write(one.directory, found)
        except lock.BusyError as error:
            raise UserError(f"{shown(one.directory)}: {error}; tag it when it has ended") from None
    show([reader.Run(one.directory) for one in runs])
    return 0
