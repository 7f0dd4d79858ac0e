"""One process a run directory: who is refused, and what a dead owner leaves."""

import json
import os
import subprocess
import sys
import time

import pytest

from wnexp.runs import lock

OWNER = """
import sys, time
from pathlib import Path
from wnexp.runs import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_held_directory_is_refused_with_its_owner_and_age(tmp_path, monkeypatch):
    with lock.hold(tmp_path):
        monkeypatch.setattr(time, "time", lambda real=time.time: real() + 600)
        with pytest.raises(lock.BusyError) as error, lock.hold(tmp_path):
            raise AssertionError
        assert lock.is_held(tmp_path)
    assert str(error.value) == f"it is being run by process {os.getpid()} on {os.uname().nodename}, for 10 min"
    assert not lock.is_held(tmp_path) and not list(tmp_path.iterdir())
    with lock.hold(tmp_path):
        pass


def test_a_dead_owners_lock_is_taken_over(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == owner.pid and lock.is_held(tmp_path)
    with pytest.raises(lock.BusyError, match=f"process {owner.pid}"), lock.hold(tmp_path):
        raise AssertionError
    owner.kill()
    owner.communicate()
    assert (tmp_path / lock.NAME).exists() and not lock.is_held(tmp_path)
    with lock.hold(tmp_path):
        assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == os.getpid()


def test_a_lock_file_removed_behind_our_back_is_not_a_lock(tmp_path, monkeypatch):
    """Between our opening and our locking of the file its owner removes it: two would each lock a file of their own."""
    real, opened = os.open, []

    def late(path, *arguments, **options):
        descriptor = real(path, *arguments, **options)
        if not opened:
            (tmp_path / lock.NAME).unlink()
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with lock.hold(tmp_path):
        assert len(opened) == 2 and (tmp_path / lock.NAME).exists() and lock.is_held(tmp_path)
