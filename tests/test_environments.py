"""Whatever the environment says, numbers depend on the command alone and nothing ends in a stack trace."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow  # every case is a process of its own

TRAIN = ("train", "optimizer=sgd", "optimizer.batch_size=2", "stop.max_steps=20", "outputs=made")
# Of JAX: each of these changed the shuffles, stopped a run or made it slow.
JAX = (
    {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
    {"JAX_THREEFRY_PARTITIONABLE": "0"},
    {"JAX_RANDOM_SEED_OFFSET": "7"},
    {"JAX_DEBUG_NANS": "1"},
    {"JAX_DEBUG_INFS": "1"},
    {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    {"JAX_TRANSFER_GUARD": "disallow"},
    {"JAX_TRANSFER_GUARD_HOST_TO_DEVICE": "disallow"},
    {"JAX_DISABLE_JIT": "1"},
    {"JAX_ENABLE_X64": "0"},
    {"JAX_CHECK_TRACER_LEAKS": "1"},
    {"JAX_ENABLE_CHECKS": "1"},
    {"JAX_DEBUG_KEY_REUSE": "1"},
    {"JAX_NO_EXECUTION": "1"},
    {"JAX_PLATFORM_NAME": "cuda"},
    {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"},
    {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    {"JAX_COMPILATION_CACHE_DIR": "/proc/nowhere"},
    {"JAX_COMPILATION_CACHE_DIR": "/dev/null", "JAX_RAISE_PERSISTENT_CACHE_ERRORS": "1"},
    {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"},
)
REFUSED = (
    {"JAX_PLATFORMS": "cuda"},
    {"JAX_PLATFORMS": "nonsense"},
    {"JAX_DEFAULT_PRNG_IMPL": "nonsense"},
    {"JAX_DEBUG_NANS": "maybe"},
    {"JAX_DEFAULT_DEVICE": "nonsense"},
    {"XLA_FLAGS": "--nonsense"},
    {"XLA_FLAGS": "--xla_cpu_enable_fast_math=maybe"},
    {"XLA_FLAGS": "no_file"},
)


def named(environment):
    return ",".join(f"{key}={value}" for key, value in environment.items())


def numbers(folder):
    """The columns of `steps`, without the metadata, which hold the command."""
    return pq.read_table(next(folder.rglob("steps.parquet"))).replace_schema_metadata(None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run and its figures in an environment that says nothing."""
    folder = tmp_path_factory.mktemp("plain")
    for words in (TRAIN, ("plot", "made")):
        subprocess.run([sys.executable, "-m", "wnexp", *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("environment", JAX, ids=named)
def test_no_setting_of_jax_changes_a_number(wnexp, plain, tmp_path, environment):
    code, _, err = wnexp(*TRAIN, **environment)
    assert (code, err) == (0, "")
    assert numbers(tmp_path).equals(numbers(plain))


def test_python_trains_the_same(plain, tmp_path):
    """`wnexp.train` in a program that has set JAX up for itself, and used it."""
    script = (
        "import jax; jax.config.update('jax_random_seed_offset', 7); jax.config.update('jax_debug_nans', True)\n"
        f"jax.random.key(1); import wnexp; wnexp.train(*{TRAIN[1:]!r})"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert numbers(tmp_path).equals(numbers(plain))


@pytest.mark.parametrize("environment", REFUSED, ids=named)
def test_what_cannot_be_overruled_is_named_in_one_line(wnexp, tmp_path, environment):
    code, _, err = wnexp(*TRAIN, **environment)
    assert code == 1 and len(err.splitlines()) == 1 and named(environment) in err
    assert not (tmp_path / "made").exists() or not list(tmp_path.rglob("*.parquet"))


# Of matplotlib: notebooks set the backend, users their files.
MATPLOTLIB = (
    {"MPLBACKEND": "nonsense", "MATPLOTLIBRC": "rc"},
    {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    {"HOME": "/proc", "TMPDIR": "/nowhere"},
)
RC = "text.usetex: True\nfont.family: Nobody\nfigure.dpi: 30\naxes.facecolor: red\nnonsense: 3\n"


@pytest.mark.parametrize("environment", MATPLOTLIB, ids=named)
def test_figures_look_the_same(wnexp, plain, tmp_path, environment):
    (tmp_path / "rc").write_text(RC)
    code, out, err = wnexp("plot", plain / "made", "--to", tmp_path, **environment)
    assert (code, err) == (0, "") and len(out.splitlines()) > 5
    drawn = sorted(path.name for path in tmp_path.glob("*.p*"))
    own = next(plain.rglob("figures"))
    assert drawn == sorted(path.name for path in own.iterdir())
    assert all((tmp_path / name).read_bytes() == (own / name).read_bytes() for name in drawn)


@pytest.mark.parametrize("environment", MATPLOTLIB, ids=named)
def test_claims_are_drawn(wnexp, plain, tmp_path, environment):
    shutil.copytree(plain / "made", tmp_path / "made")
    (tmp_path / "rc").write_text(RC)
    code, out, err = wnexp("verify", "made", **environment)
    assert (code, err) == (0, "") and "claim" in out


@pytest.mark.parametrize("command", ["plot", "verify"])
def test_settings_of_matplotlib_that_are_no_text_are_one_line(wnexp, plain, tmp_path, command):
    shutil.copytree(plain / "made", tmp_path / "made")
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: 9 # caf\xe9\n")
    code, _, err = wnexp(command, "made")
    assert code == 1 and len(err.splitlines()) == 1 and "matplotlibrc: not UTF-8 text" in err


COMMANDS = {
    "train": "train stop.max_steps=5 model.widths=[] outputs=new",
    "sweep": "train -m seed=0,1 stop.max_steps=5 model.widths=[] outputs=new",
    "plot": "plot made --to drawn",
    "runs": "runs made",
    "verify": "verify made",
}
NO_PASSWORDS = """\
import pwd
def getpwuid(number): raise KeyError(number)
pwd.getpwuid = getpwuid
"""
ROOT = Path(__file__).resolve().parents[1]
NO_CACHE = "env -u JAX_COMPILATION_CACHE_DIR"
# The shell's line around a command, and the exit code; where it is 1, one or two lines say why.
SHELLS = {
    "pipe that has ended": ("{{ {command}; echo $? >code; }} | true", (0, 1)),
    "removed folder": ("mkdir gone; cd gone; rmdir ../gone; {command}; echo $? >../code", (1,)),
    "closed streams": ("{command} <&- >&- 2>&-; echo $? >code", (0,)),
    "closed input and output": ("{command} <&- >&-; echo $? >code", (0,)),
    "full disk": ("{command} >/dev/full; echo $? >code", (1,)),
    "no home": (f"{NO_CACHE} -u HOME {{command}}; echo $? >code", (0,)),
    "nobody": (f"{NO_CACHE} -u HOME PYTHONPATH=.:{ROOT} {{command}}; echo $? >code", (0,)),
    "home that cannot be written": (f"{NO_CACHE} HOME=/proc {{command}}; echo $? >code", (0,)),
    "no folder for temporary files": ("env TMPDIR=/nowhere {command}; echo $? >code", (0,)),
    "ascii": ("env PYTHONIOENCODING=ascii {command}; echo $? >code", (0,)),
    "C": ("env LC_ALL=C {command}; echo $? >code", (0,)),
    "C without UTF-8": ("env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {command}; echo $? >code", (0, 1)),
    "folder that cannot be written": ("here=$PWD; cd /proc; {command}; echo $? >$here/code", (1,)),
}


@pytest.mark.parametrize(
    ("shell", "name"),
    [(shell, name) for shell in SHELLS for name in COMMANDS],
)
def test_no_stack_trace(plain, tmp_path, shell, name):
    """In a folder whose name is not ASCII."""
    folder = tmp_path / "größe"
    shutil.copytree(plain / "made", folder / "made")
    (folder / "sitecustomize.py").write_text(NO_PASSWORDS)
    line, codes = SHELLS[shell]
    line = line.format(command=f"{sys.executable} -m wnexp {COMMANDS[name]}")
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    most = 3 if name == "sweep" else 2  # a line for each of its jobs
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= most, done.stderr
    code = int((folder / "code").read_text())
    assert code in codes, done.stderr
    assert code == 0 or done.stderr or "pipe" in shell


@pytest.mark.parametrize("shell", ["nobody", "home that cannot be written"])
def test_data_of_a_cache_that_cannot_be_had(tmp_path, shell):
    """No folder called ~ is made; no network is needed for the line."""
    (tmp_path / "sitecustomize.py").write_text(NO_PASSWORDS)
    line = SHELLS[shell][0].format(command=f"{sys.executable} -m wnexp train data=kmnist outputs=new")
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (tmp_path / "code").read_text().strip() == "1"
    assert "data=kmnist" in done.stderr and "data.dir=" in done.stderr and len(done.stderr.splitlines()) <= 2
    assert not (tmp_path / "~").exists()


def test_a_name_too_long_in_bytes_is_one_line(wnexp):
    code, _, err = wnexp("train", f"outputs='{'ü' * 150}'")
    assert code == 1 and len(err.splitlines()) == 1 and "too long" in err
