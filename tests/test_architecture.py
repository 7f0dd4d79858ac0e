"""The import arrows: mathematics at the bottom, input and output at the top, data flowing one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "wnexp"

# Module -> the wnexp modules it may import. A new module needs a row here.
ALLOWED = {
    "__init__": set(),
    "__main__": {"cli"},
    "network": set(),
    "weightnorm": set(),
    "losses": set(),
    "measures": {"losses", "weightnorm"},
    "naming": set(),
    "config": {"naming"},
    "overrides": {"config", "records"},
    "errors": {"config"},
    "memory": {"config"},
    "archives": {"config", "memory"},
    "data": {"config", "archives", "images", "memory"},
    "images": {"config"},
    "optimizers": {"network", "weightnorm", "losses", "measures", "flow"},
    "flow": {"network", "weightnorm", "losses", "measures", "optimizers"},
    "train": {"network", "weightnorm", "losses", "measures", "optimizers", "data"},
    "tables": set(),
    "sealed": set(),
    "records": {"config", "images", "memory", "sealed", "tables"},
    "lock": {"config"},
    "stopping": set(),
    "recording": {"config", "records", "sealed", "tables"},
    "build": {"config", "data", "network", "weightnorm", "losses", "optimizers", "flow", "train", "records"},
    "devices": {"config", "memory"},
    "session": {"config", "data", "build", "devices", "memory", "network", "optimizers", "train"},
    "prune": {"config", "data", "build", "devices", "network", "losses", "records", "tables"},
    "report": {"config", "lock", "records", "recording"},
    "runner": {"config", "errors", "data", "lock", "records", "recording", "session", "report", "stopping", "tables"},
    "figures": {"config", "memory", "records", "figures", "stopping", "tables"},
    "theory": {"config", "data", "build", "network", "records", "runner", "report", "figures"},
    "cli": {
        *("config", "errors", "overrides", "records", "runner", "prune", "report", "stopping", "figures", "theory"),
        "__init__",
    },
}


def imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wnexp":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("wnexp.")}
    return {"__init__" if name == "__version__" else name for name in names}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows(path):
    module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert imported(path) <= ALLOWED[module] | {module}


@pytest.mark.parametrize("module", ["tables", "records", "recording", "figures", "data", "config", "errors", "report"])
def test_no_jax_outside_the_training_side(module):
    code = f"import sys, wnexp.{module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["plot", "--help"], ["prune", "--help"], ["runs", "--help"]])
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys; from wnexp.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'jax', 'hydra', 'matplotlib', 'pandas', 'numpy', 'omegaconf'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: wnexp" in done.stdout
