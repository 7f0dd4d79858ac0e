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


@pytest.mark.parametrize("words", ["data=file data.path", "data=mnist data.dir", "model.initial_weights"])
def test_a_home_that_nobody_has_is_one_line(inside, words):
    code, _, err = inside("train", *f"{words}=~nobody-of-this-name/d".split())
    assert code == 1 and "~ in a path stands for no folder here" in err and len(err.splitlines()) == 1
