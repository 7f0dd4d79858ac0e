"""Run-time checks of every jaxtyping annotation, float64, and small helpers that several test modules share."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The commands under test share compiled programs, but not with the user's own cache.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

from jaxtyping import install_import_hook

install_import_hook("wnexp", "beartype.beartype")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_enable_x64", True)


@pytest.fixture
def wnexp(tmp_path):
    """Run the command in a fresh process and folder: `wnexp("train", ...)` -> (exit code, stdout, stderr)."""

    def run(*arguments, cwd=tmp_path, timeout=300, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "wnexp", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=os.environ | {key: str(value) for key, value in environment.items()},
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def inside(tmp_path, monkeypatch, capsys):
    """As `wnexp`, in this process: quicker, for what needs no process of its own."""
    from wnexp.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wnexp"])
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def random():
    """A random generator with a fixed seed."""
    return np.random.default_rng(20101290)
