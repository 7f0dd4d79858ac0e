"""The import arrows: mathematics at the bottom, input and output at the top, data flowing one way, no cycle."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "wnexp"
FREE = {"errors", "resources", "signals", "settings"}  # the bottom: whoever needs them imports them

# Each line's parts import exactly these parts, together, and those that are free.
ARROWS = {
    ("__main__",): {"cli"},
    ("__init__",): {"runner", "runs", "collection"},
    ("collection",): {"figures", "runs"},
    ("cli",): {
        "__init__",
        "figures",
        "exporting",
        "loggers",
        "theory",
        "pruning",
        "report",
        "runner",
        "training",
        "runs",
        "config",
    },
    ("theory", "pruning", "exporting"): {"runner", "training", "runs", "data", "nn"},
    ("figures",): {"runs"},
    ("report",): {"figures", "runs"},
    ("runner",): {"opening", "loggers", "training", "runs", "data", "config"},
    ("loggers",): {"opening", "figures", "runs"},
    ("opening",): {"training", "runs", "config"},
    ("training",): {"optim", "measures", "nn", "data", "config"},
    ("optim", "measures"): {"nn"},
    ("nn",): set(),
    ("runs",): {"config"},
    ("data",): set(),
    ("config",): set(),
    ("errors", "resources", "signals", "settings"): set(),
}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path):
    """The modules of the package that a file imports, at its top or later."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wnexp":
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in members}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "wnexp"}
    return names


def part(module):
    """The folder or file of the top level that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def test_the_arrows_are_the_table():
    """An import that the table does not have fails, and so does an arrow that no import needs."""
    found = {line: set() for line in ARROWS}
    for module, path in MODULES.items():
        line = next(line for line in ARROWS if part(module) in line)
        found[line] |= {part(name) for name in imported(path)} - {part(module)} - (FREE - set(line))
    assert found == {line: arrows | (found[line] & FREE) for line, arrows in ARROWS.items()}
    assert {part(module) for module in MODULES} == {name for line in ARROWS for name in line}


def test_no_module_imports_itself_on_the_way_round():
    graph = {module: imported(path) - {module} for module, path in MODULES.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("wnexp.errors") < order.index("wnexp.runner") < order.index("wnexp.cli.main")


def test_no_test_imports_another():
    for path in PACKAGE.parent.joinpath("tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                assert "test_" not in node.module, f"{path.name} imports {node.module}"


@pytest.mark.parametrize(
    "module", ["runs.reader", "runs.writer", "figures", "data", "config.compose", "config.overrides", "errors"]
)
def test_no_jax_outside_the_training_side(module):
    code = f"import sys, wnexp.{module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["plot", "--help"]])
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys; from wnexp.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'jax', 'hydra', 'matplotlib', 'pandas', 'numpy', 'omegaconf'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: wnexp" in done.stdout


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, wnexp; sys.exit(bool({'jax', 'hydra', 'numpy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
