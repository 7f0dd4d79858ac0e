"""What cannot fit is refused in one line."""

import os
from pathlib import Path

import pytest

from wnexp import resources
from wnexp.errors import UserError


def test_available_memory_is_plausible():
    assert 2**26 < resources.available() < 2**50


def test_more_than_there_is(monkeypatch):
    monkeypatch.setattr(resources, "available", lambda: 2**30)
    resources.check(2**30, "that")
    with pytest.raises(UserError, match=r"that takes about 3,000\.0 GiB of memory, 1\.0 GiB are available"):
        resources.check(3000 * 2**30, "that")


def test_a_container_that_is_given_less_counts(monkeypatch):
    real = Path.read_text

    def read_text(self, *arguments, **options):
        return "1048576\n" if self.name == "memory.max" else real(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert resources.available() == 2**20


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    assert 1 <= resources.cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert resources.cores() == 1


@pytest.mark.parametrize("found", [Path("~/.cache/wnexp"), RuntimeError("no home"), OSError("no home")])
def test_no_home_is_no_cache_folder(monkeypatch, found):
    def user_cache_path(name):
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("platformdirs.user_cache_path", user_cache_path)
    assert resources.cache_folder() is None
