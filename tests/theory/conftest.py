"""Runs that several files of this folder judge."""

import pytest

from tests.helpers import LIN_SEP
from wnexp import runner


@pytest.fixture(scope="session")
def lin_sep_runs(tmp_path_factory):
    """A folder with `none` and `ewn`: lin-sep to -20 nats by discrete descent, two seeds. To read, or to copy."""
    folder = tmp_path_factory.mktemp("lin_sep")
    for norm in ("none", "ewn"):
        runner.train((f"norm={norm}", *LIN_SEP), folder / norm)
    return folder
