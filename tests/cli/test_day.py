"""The page that tells a day around a run, replayed: fresh processes, the real libraries, an empty folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from wnexp.runs.reader import find_runs

PAGE = Path(__file__).resolve().parents[2] / "wnexp/cli/README.md"
NOTEBOOK = PAGE.parents[2] / "outputs/gallery/notebook.ipynb"
STEP = re.compile(r"^    (wnexp (?:[^\n]*\\\n)*[^\n]*)$|```python\n(.*?)```", re.MULTILINE | re.DOTALL)


def steps():
    """The commands and the pieces of Python of the page, in its order."""
    for command, python in STEP.findall(PAGE.read_text()):
        if command:
            yield [sys.executable, "-m", *shlex.split(command.replace("\\\n", " "))]
        else:
            yield [sys.executable, "-c", python]


@pytest.mark.slow
def test_the_day(tmp_path):
    for words in (found := list(steps())):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=os.environ)
        assert done.returncode == 0, (words, done.stderr)
    assert len(found) > 20
    written = ("table.tex", "lin_sep.html", "net.safetensors", "margin.pdf", "wide/weight_norm.png", "grey/loss.pdf")
    assert [name for name in written if not (tmp_path / name).stat().st_size] == []
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["norm"].fillna("none").value_counts().to_dict() == {"ewn": 4, "none": 4, "swn": 4}
    runs = [run.name for run in find_runs(tmp_path / "outputs/lin_sep")]
    assert "norm=ewn,seeds=4" in runs
    assert not any("v_norm" in name for name in runs), "removed"
    assert (tmp_path / "search/optimization_results.yaml").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    shutil.copy(NOTEBOOK, tmp_path)
    book = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    made = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    kinds = {kind for out in made for kind in out.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    assert [cell.source for cell in book.cells] == [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
