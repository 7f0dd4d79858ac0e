"""What cannot fit is refused in one line."""

import pytest

from wnexp import memory
from wnexp.config import UserError


def test_available_memory_is_plausible():
    assert 2**26 < memory.available() < 2**50


def test_more_than_there_is(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    memory.check(2**30, "that")
    with pytest.raises(UserError, match=r"that takes about 3,000\.0 GiB of memory, 1\.0 GiB are available"):
        memory.check(3000 * 2**30, "that")
