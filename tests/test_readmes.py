"""The READMEs say what the code says."""

import re
import shlex

import pytest

from tests import readmes
from wnexp.cli.main import parser
from wnexp.training.options import OPTIONS

PAGES = [readmes.ROOT / "README.md", *readmes.ROOT.glob("*/README.md"), *readmes.ROOT.glob("*/*/README.md")]
PAGES = [page for page in PAGES if not page.is_relative_to(readmes.ROOT / ".venv")]


@pytest.mark.parametrize("page", readmes.PAGES, ids=str)
def test_settings_and_columns_are_those_of_the_code(page):
    assert page.read_text() == readmes.rendered(page), "make readmes"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(readmes.ROOT)))
def test_links_lead_somewhere_and_lines_are_short(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long, long


def test_the_front_page_is_short():
    assert len((readmes.ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(readmes.ROOT)))
def test_commands_that_a_page_shows_can_be_read(page):
    """Commands exist, and settings that they name do."""
    _, parsers = parser()
    for line in re.findall(r"^    (?:\$ )?(wnexp .*)$", page.read_text().replace(" \\\n", " "), re.MULTILINE):
        words = shlex.split(line.split(" # ")[0])
        if words[1] == "train":
            named = [word.lstrip("+").split("=")[0] for word in words[2:] if "=" in word]
            keys = [key for key in named if "/" not in key or key.startswith("hydra")]  # names have them too
            assert all(OPTIONS.has_key(key) or key.startswith("hydra") for key in keys), line
        else:
            parsers[words[1]].parse_intermixed_args(words[2:])
