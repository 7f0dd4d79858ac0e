"""The standard streams as every command needs them: open, and able to take any text."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


def prepare() -> None:
    """Open to nowhere what the caller has closed, and escape what an encoding lacks."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:  # a file of ours must not take the place of a stream
        os.set_inheritable(descriptor, True)  # nor one of a process that we start
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not so in a notebook
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """A line on the standard error, if it can be written."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def release() -> None:
    """Let go what a stream cannot write, so that Python does not complain of it as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # nothing that has a descriptor
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
