"""What is explained and what is raised as it is."""

import errno

import pytest

from wnexp.errors import UsageError, UserError, explain


def test_users_mistakes_are_explained_and_our_faults_are_not():
    assert explain(UserError("seeds=0 is out of range")) == "seeds=0 is out of range"
    assert explain(UsageError("unknown command")) == "unknown command"
    assert explain(OSError(errno.ENOSPC, "No space left on device", "/x")) == "/x: No space left on device"
    assert explain(OSError("plain")) == "plain"
    assert explain(ValueError("a bug")) is None


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes\nx")]
)
def test_a_lack_of_memory_is_one_line(error):
    message = explain(error)
    assert message is not None and message.startswith("not enough memory for a run of this size (")
    assert "\n" not in message
