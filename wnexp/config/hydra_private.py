"""What needs Hydra's private modules, and nothing else: if Hydra moves them, this file changes alone."""

from argparse import Namespace
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from wnexp.errors import UsageError


def parsed_arguments(words: Sequence[str]) -> Namespace:
    """The command line as Hydra reads it. Raises `UsageError` for an option that it does not have."""

    def refuse(message: str):
        raise UsageError(f"{message} (wnexp train --help)")

    parser = get_args_parser()
    parser.error = refuse
    return parser.parse_args(list(words))
