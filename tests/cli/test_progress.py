"""The progress bar: on a terminal alone, no wider than that, gone at the end."""

import io
import sys

import pytest

from wnexp.cli.progress import Bar, fitting


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self):
        return True


def test_a_line_of_progress_fits_a_narrow_terminal():
    parts = ["log loss -2869.91 of -100000", "step 36518", "step size 4.5e-07", "margin 2870"]
    assert fitting(parts, 60) == "log loss -2869.91 of -100000  step 36518  step size 4.5e-07"
    assert fitting(parts, 45) == "log loss -2869.91 of -100000  step 36518"
    assert fitting(parts, 5) == parts[0] and fitting(parts, 99).endswith("margin 2870")


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_count_on_a_terminal_and_nothing_elsewhere(monkeypatch, kind):
    error = kind()
    monkeypatch.setattr(sys, "stderr", error)
    for name, value in {"TERM": "xterm", "COLUMNS": "90"}.items():
        monkeypatch.setenv(name, value)
    with Bar() as bar:
        bar.of_count("drawing", 3, 16)
        bar.of_count("drawing", 0, 0)
    text = error.getvalue()
    assert ("drawing" in text and "0 of 0" in text) if kind is Terminal else text == ""
