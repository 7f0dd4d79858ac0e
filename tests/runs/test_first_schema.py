"""A run directory of the first schema, written by version 0.1.0 before settings belonged to options."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import compose
from wnexp import runner
from wnexp.config.compose import from_flat, upgraded
from wnexp.errors import UserError
from wnexp.runs import identity, status
from wnexp.runs.reader import Run
from wnexp.training.options import OPTIONS

WRITTEN = Path(__file__).parent / "first_schema"
WORDS = ("norm=ewn", "stop.log_loss=-5", "seeds=2", "snapshots=[-1]")


class Skips(runner.Listener):
    """Counts what was not run again; nothing else may happen."""

    def __init__(self):
        self.directories = []

    def skipped(self, directory):
        self.directories.append(directory)

    def started(self, run):
        raise AssertionError("it is run again")


@pytest.fixture
def directory(tmp_path):
    shutil.copytree(WRITTEN, tmp_path / "run")
    return tmp_path / "run"


def test_it_is_read():
    """Its checksum too."""
    found = status.read(WRITTEN)
    assert found is not None and found.schema == 1 and found.extra == {}
    assert found.law == {"normalizes": True, "slope": -1.0}
    run = Run(WRITTEN)
    assert run.state == status.FINISHED and run.seeds == [0, 1] and run.tables == [] and run.snapshot_losses == []
    assert run.settings["model.channels"] == [], "every setting of a group, whatever the option"


def test_its_settings_compose():
    old = Run(WRITTEN).settings
    with pytest.raises(UserError, match=r"unknown key 'model\.gone'"):
        from_flat(old | {"model.gone": 1}, OPTIONS)
    settings = upgraded(old, OPTIONS)
    assert {key: old[key] for key in settings} == settings and "model.channels" not in settings
    assert from_flat(settings, OPTIONS) == compose(*WORDS)
    now = identity.identity(compose(*WORDS))
    assert identity.differing_keys(identity.with_new_defaults(settings, now, now), now) == []


def test_it_is_opened(directory):
    reopened = runner.reopen(Run(directory))
    assert reopened.config == compose(*WORDS) and len(reopened.dataset.train_x) == 4
    assert [layer.shape for layer in reopened.network.layers] == [(2, 8), (8, 1)]


def test_the_same_configuration_is_not_run_again_and_another_is_refused(directory):
    content, listener = (directory / "run.json").read_bytes(), Skips()
    found = runner.run_in(directory, compose(*WORDS), [listener])
    assert listener.directories == [directory] and found.status == status.FINISHED
    with pytest.raises(UserError, match=r"holds a run with another configuration: stop.log_loss \(-5.0 -> -6.0\);"):
        runner.run_in(directory, compose(*WORDS, "stop.log_loss=-6"), [listener])
    assert (directory / "run.json").read_bytes() == content and len(list(directory.iterdir())) == 1


def test_half_of_one_is_not_resumed(directory):
    """Its checkpoint would be of another program."""
    half = status.read(directory)
    assert half is not None
    half.status = status.RUNNING
    status.write(directory, half)
    with pytest.raises(UserError, match="overwrite=true") as error:
        runner.run_in(directory, compose(*WORDS), [Skips()])
    assert len(str(error.value).splitlines()) == 2
