"""What is explained and what is raised as it is."""

import errno

from hydra.errors import HydraException

from wnexp.config import UserError
from wnexp.errors import explain


def test_users_mistakes_are_explained_and_our_faults_are_not():
    assert explain(UserError("seeds=0 is out of range")) == "seeds=0 is out of range"
    assert explain(OSError(errno.ENOSPC, "No space left on device", "/x")) == "/x: No space left on device"
    assert explain(OSError("plain")) == "plain"
    assert explain(HydraException("one\n\n two \nthree")) == "one\ntwo"
    assert explain(ValueError("a bug")) is None
