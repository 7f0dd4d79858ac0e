"""What the completion scripts offer, asked of the shells themselves."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from wnexp.cli import completion
from wnexp.cli.main import COMMANDS
from wnexp.training.options import OPTIONS

COMMAND_NAMES = [command.NAME for command in COMMANDS]
# Bash cuts a word at = and offers what follows it, other shells the whole word.
CASES = {
    "wnexp ": COMMAND_NAMES,
    "wnexp tr": ["train"],
    "wnexp train norm=e": ["norm=ewn"],
    "wnexp train seed=1 norm=": ["norm=ewn", "norm=none", "norm=power", "norm=swn"],
    "wnexp train optimizer.st": ["optimizer.step_size=", "optimizer.step_size_cap="],
    "wnexp train experiment=x": ["experiment=xor"],
    "wnexp train precision=": ["precision=float32", "precision=float64"],
    "wnexp train overwrite=t": ["overwrite=true"],
    "wnexp train --config-": ["--config-from", "--config-dir"],
    "wnexp plot --t": ["--to"],
    "wnexp prune --": ["--help", "--percent", "--scores", "--global", "--save"],
    "wnexp verify --d": ["--data-seeds", "--deep"],
    "wnexp completion z": ["zsh"],
}
BREAKS = " \t\n\"'@><=;|&(:"

BASH = """
source "$1"
compopt() { :; }
COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$3
_wnexp
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(inside, tmp_path):
    def write(shell):
        code, out, err = inside("completion", shell)
        assert code == 0 and err == ""
        (tmp_path / f"script.{shell}").write_text(out)
        return str(tmp_path / f"script.{shell}")

    return write


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"no {shell} here")


def printed(*words, cwd):
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30, cwd=cwd)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_the_words_are_every_option_and_every_setting():
    words = completion.train_words()
    assert len(words) == len(set(words)) and {"norm=ewn", "stop.log_loss=", "device=gpu", "-m"} <= set(words)
    keys = {word.partition("=")[0] for word in words if "=" in word}
    assert keys == {*OPTIONS.groups, "experiment", *OPTIONS.keys()}


@needs("bash")
def test_bash(script, tmp_path):
    file = script("bash")
    for line, expected in CASES.items():
        typed = line.rpartition(" ")[2]
        cut = typed[: typed.rfind("=") + 1]
        got = printed("bash", "--norc", "-c", BASH, "bash", file, line, BREAKS, cwd=tmp_path)
        assert sorted(got) == sorted(word.removeprefix(cut) for word in expected), line
        whole = printed("bash", "--norc", "-c", BASH, "bash", file, line, BREAKS.replace("=", ""), cwd=tmp_path)
        assert sorted(whole) == sorted(expected), f"{line}, words not cut at ="


@needs("bash")
def test_bash_completes_the_last_value_of_a_list_and_else_files(script, tmp_path):
    file = script("bash")
    (tmp_path / "weights.safetensors").write_text("")
    for line, expected in {
        "wnexp train -m norm=none,e": ["none,ewn"],
        "wnexp train -m norm=none,swn,": ["none,swn,ewn", "none,swn,none", "none,swn,power", "none,swn,swn"],
        "wnexp train model.initial_weights=wei": ["weights.safetensors"],
        "wnexp plot wei": ["weights.safetensors"],
    }.items():
        got = printed("bash", "--norc", "-c", BASH, "bash", file, line, BREAKS, cwd=tmp_path)
        assert sorted(got) == expected, line


@needs("fish")
def test_fish(script, tmp_path):
    file, here = script("fish"), tmp_path / "here"
    here.mkdir()  # it offers files too
    for line, expected in CASES.items():
        asked = ["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", file, line]
        got = [word.split("\t")[0] for word in printed(*asked, cwd=here)]
        assert sorted(got) == sorted(expected), line


def typed(argv, setup, line, cwd):
    """The line as an interactive shell has it after the tabulator key: it is sent to echo."""
    main, terminal = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "HOME": str(cwd)}
    shell = subprocess.Popen(
        argv, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, cwd=cwd, start_new_session=True
    )
    os.close(terminal)

    def until(mark):
        shown, deadline = b"", time.monotonic() + 30
        while mark not in shown and time.monotonic() < deadline:
            if select.select([main], [], [], 0.1)[0]:
                shown += os.read(main, 65536)
        assert mark in shown, shown
        return shown

    try:
        os.write(main, f"{setup}; echo re''ady\n".encode())
        until(b"ready\r\n")
        os.write(main, f"{line}\t\x01echo do''ne: \necho e''nd\n".encode())
        return until(b"end\r\n").decode().split("done: ")[1].splitlines()[0].rstrip()
    finally:
        shell.kill()
        os.close(main)
        shell.wait(timeout=30)


SHELLS = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}


@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in SHELLS])
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("wnexp tr", "wnexp train"),
        ("wnexp train norm=e", "wnexp train norm=ewn"),
        ("wnexp train optimizer.st", "wnexp train optimizer.step_size"),
        ("wnexp train optimizer.step_size_", "wnexp train optimizer.step_size_cap="),
        ("wnexp train -m norm=none,e", "wnexp train -m norm=none,ewn"),
        ("wnexp plot --t", "wnexp plot --to"),
    ],
)
def test_the_tabulator_key(script, tmp_path, shell, line, completed):
    got = typed(SHELLS[shell], f"PS1=; source {script(shell)}", line, tmp_path)
    assert got.removesuffix("=") == completed.removesuffix("=")
