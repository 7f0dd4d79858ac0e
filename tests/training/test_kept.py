"""Compiled programs kept on disk: the same numbers without tracing, and compiled again whenever anything is other."""

import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.helpers import SMALL, lin_sep, make_program, make_settings, measures
from wnexp.nn.initializers import initialize
from wnexp.nn.losses import CrossEntropy
from wnexp.nn.weights import split
from wnexp.training import kept, loop

SETTINGS = make_settings(target=-3.0)


def trained(folder, what=None, code="abc", seeds=2):
    """The leaves of a short run, by programs from that folder, as a new process would find them."""
    kept.kept_train.cache_clear()
    what = make_program(SMALL, "ewn", measures=measures()) if what is None else what
    train = kept.kept_train(what, None, jax.devices("cpu")[0], code, folder)
    drawn = [initialize(what.network, seed, "uniform", what.dtype) for seed in range(seeds)]
    weights = split(what.network, jax.tree.map(lambda *arrays: np.stack(arrays), *drawn))
    state = train.start(np.arange(seeds), weights, lin_sep(), SETTINGS)
    made = train.chunk(state, lin_sep(), SETTINGS, 50)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((made, train.weights(made.state)))]


@pytest.fixture
def untraceable(monkeypatch):
    """After a call of it, nothing can be traced."""

    def forbid(*_):
        def function(*_):
            pytest.fail("traced")

        functions = {name: jax.jit(function) for name in ("start", "chunk", "weights", "limit", "outputs")}
        return loop.Train(**functions, compilations=lambda: 0)

    return lambda: monkeypatch.setattr(loop, "make_train", forbid)


def test_what_is_kept_is_not_traced_again(tmp_path, untraceable):
    first = trained(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    untraceable()
    for again, before in zip(trained(tmp_path), first, strict=True):
        np.testing.assert_array_equal(again, before)


@pytest.mark.parametrize(
    "other",
    [
        {"code": "abd"},
        {"seeds": 3},
        {"what": make_program(SMALL, "swn", measures=measures())},
        {"what": dataclasses.replace(make_program(SMALL, "ewn", measures=measures()), slots=127)},
    ],
    ids=["code", "seeds", "norm", "slots"],
)
def test_what_differs_is_traced(tmp_path, untraceable, other):
    trained(tmp_path)
    trained(tmp_path, **other)
    assert len(list(tmp_path.iterdir())) == 6
    untraceable()
    with pytest.raises(pytest.fail.Exception, match="traced"):
        trained(tmp_path, **({"code": "another"} | other | {"seeds": 4}))


@pytest.mark.parametrize("content", [b"", b"no program", None], ids=["empty", "other", "cut"])
def test_a_damaged_file_is_compiled_again(tmp_path, content):
    first = trained(tmp_path)
    whole = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for file in whole:
        file.write_bytes(whole[file][: len(whole[file]) // 2] if content is None else content)
    for again, before in zip(trained(tmp_path), first, strict=True):
        np.testing.assert_array_equal(again, before)
    assert sorted(tmp_path.iterdir()) == sorted(whole), "nothing is left beside the files"
    assert all(file.stat().st_size > len(whole[file]) / 2 for file in whole)


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").touch()
    assert trained(tmp_path / "file" / "folder")


class Own(CrossEntropy):
    """A loss from elsewhere, whose source is in no fingerprint."""


def test_programs_of_a_users_own_parts_are_not_kept(tmp_path):
    assert trained(tmp_path, dataclasses.replace(make_program(SMALL, measures=measures()), loss=Own()))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_script_that_changes_what_it_imports_is_heard(tmp_path):
    """Its program is not the one that the command has left."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "programs")}
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, wnexp; from wnexp.nn.losses import CrossEntropy\n"
        "if len(sys.argv) > 1: CrossEntropy.of_soft_margins = lambda self, high, low: (-2 * high, -2 * low)\n"
        "run = wnexp.train('norm=ewn', 'stop.log_loss=-5', f'outputs=of_script{len(sys.argv)}')\n"
        "print('steps', run.status.steps)"
    )
    words = ["norm=ewn", "stop.log_loss=-5"]
    commands = (["-m", "wnexp", "train", *words], [str(script)], [str(script), "changed"])
    shown = []
    for command in commands:
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    assert list((tmp_path / "programs").glob("wnexp-*"))
    assert shown[1] != shown[2] and "steps" in shown[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("norm=ewn", "seeds=70", "snapshots=[-5]", "stop.log_loss=-20"),  # on two devices, where there are two cores
        ("+experiment=digits", "norm=swn", "seeds=2", "stop.log_loss=-1"),
        ("optimizer=flow", "norm=ewn", "stop.log_loss=-20"),
        ("+experiment=conv_rate", "model.depth=2", "stop.max_steps=50"),
    ],
    ids=["seeds", "digits", "flow", "deep"],
)
def test_a_run_from_kept_programs_has_the_same_bytes(wnexp, tmp_path, words):
    environment = {"JAX_COMPILATION_CACHE_DIR": tmp_path / "programs"}
    programs = []
    for folder in ("first", "second"):
        code, _, err = wnexp("train", *words, f"outputs={folder}", **environment)
        assert code == 0, err
        programs.append(sorted((tmp_path / "programs").glob("wnexp-*")))
    assert len(programs[0]) >= 3 and programs[0] == programs[1]
    tables = sorted((tmp_path / "first").rglob("*.safetensors"))
    assert tables
    for table in tables:
        assert table.read_bytes() == (tmp_path / "second" / table.relative_to(tmp_path / "first")).read_bytes()
