"""The `wnexp` command: `main` reads the command line, one file per command does the rest."""

from wnexp.cli.main import main, script

__all__ = ["main", "script"]
