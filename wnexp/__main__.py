"""`python -m wnexp` is the `wnexp` command."""

from wnexp.cli import script

script()
