"""The command line as a whole: help, spellings of options, commands mistyped, exit codes."""

import pytest

from wnexp.cli.main import COMMANDS
from wnexp.errors import UserError
from wnexp.runs import reader

NAMES = [command.NAME for command in COMMANDS]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ([], 2, "usage: wnexp"),
        (["--help"], 0, "wnexp train +norm=ewn"),
        (["help"], 0, "wnexp train +norm=ewn"),
        (["--version"], 0, "wnexp 0."),
        (["--foo"], 2, "unrecognized arguments: --foo"),
        (["train", "--foo"], 2, "unrecognized arguments: --foo"),
        (["trian"], 2, "unknown command 'trian'; did you mean train? (wnexp --help)"),
        (["polt"], 2, "unknown command 'polt'; did you mean plot?"),
        (["xyzzy"], 2, "unknown command 'xyzzy'; known: train, plot, report, prune, verify, runs"),
        (["plot", "--foo"], 2, "unrecognized arguments: --foo (wnexp plot --help)"),
        (["plot", "--to"], 2, "--to: expected one argument"),
        (["plot"], 1, "no runs under outputs"),
        (["plot", "nowhere"], 1, "nowhere: no such run"),
        (["runs"], 1, "no runs at or under outputs"),
        (["runs", "nowhere"], 1, "nowhere: no such run"),
        (["prune", "--percent", "0,101"], 2, "'0,101' must be numbers from 0 to 100"),
        (["prune", "--percent=many"], 2, "'many' must be numbers from 0 to 100"),
        (["prune", "--save", "10,20"], 2, "--save 10,20: one percent is needed, like 90 (wnexp prune --help)"),
        (["plot", "--most", "0"], 2, "argument --most: '0' must be an integer of at least 1"),
        (["verify", "here", "--deep"], 2, "--deep and --data-seeds are of the battery and take no PATH"),
        (["completion"], 2, "required: shell"),
        (["completion", "csh"], 2, "invalid choice: 'csh'"),
        (["train", "--config-from"], 2, "--config-from needs a run directory"),
        (["train", "--config-from=nowhere"], 1, "nowhere: no run there"),
    ],
)
def test_usage_and_exit_codes(inside, words, code, part):
    got, out, err = inside(*words)
    assert got == code and part in out + err
    assert "Traceback" not in err and (code == 0 or not words or len(err.splitlines()) == 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_its_help(inside, name):
    for word in ("--help", "-h"):
        code, out, err = inside(name, word)
        assert code == 0 and out.startswith(f"usage: wnexp {name}") and err == ""


def test_the_help_lists_every_command(inside):
    out = " ".join(inside("--help")[1].split())
    assert all(f" {command.NAME} {command.HELP} " in out for command in COMMANDS)


def test_train_help_lists_groups_and_settings(inside):
    code, out, _ = inside("train", "--help")
    assert code == 0 and "--config-from RUN" in out
    for word in ("norm=ewn", "norm=none", "norm=swn", "experiment=xor", "optimizer.step_size=", "stop.log_loss=-300.0"):
        assert f"\n  {word}" in out, word


@pytest.mark.parametrize("words", [["--to", "there"], ["--to=there"]])
def test_an_option_takes_its_value_in_both_spellings_and_at_any_place(inside, monkeypatch, words):
    from wnexp import figures

    asked = []
    monkeypatch.setattr(
        figures, "plot", lambda paths, target, *rest, **options: asked.append((paths, str(target))) or []
    )
    for line in (["a", "b", *words], [*words, "a", "b"], ["a", *words, "b"]):
        assert inside("plot", *line)[0] == 0
    assert [([str(path) for path in paths], target) for paths, target in asked] == [(["a", "b"], "there")] * 3


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("one line"), 1, "wnexp: error: one line\n"),
        (OSError(28, "No space left on device", "x"), 1, "wnexp: error: x: No space left on device\n"),
        (KeyboardInterrupt(), 130, "wnexp: interrupted\n"),
        (KeyboardInterrupt("all is kept"), 130, "wnexp: interrupted; all is kept\n"),
    ],
)
def test_how_a_command_ends_early(inside, monkeypatch, error, code, message):
    def fails(paths):
        raise error

    monkeypatch.setattr(reader, "load", fails)
    got, _, err = inside("runs", "here")
    assert got == code and err == message


def test_a_fault_of_ours_keeps_its_trace(inside, monkeypatch):
    monkeypatch.setattr(reader, "load", lambda paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        inside("runs", "here")
