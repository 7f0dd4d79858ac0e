"""Whatever the environment says, numbers depend on the command alone and nothing ends in a stack trace."""

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

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
)
REFUSED = (
    {"JAX_PLATFORMS": "cuda"},
    {"JAX_PLATFORMS": "nonsense"},
    {"JAX_DEFAULT_PRNG_IMPL": "nonsense"},
    {"JAX_DEBUG_NANS": "maybe"},
    {"JAX_DEFAULT_DEVICE": "nonsense"},
)


def mostly_slow(cases):
    """The first one is quick enough for every day."""
    return [cases[0], *(pytest.param(one, marks=pytest.mark.slow) for one in cases[1:])]


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


@pytest.mark.parametrize("environment", mostly_slow(JAX), ids=named)
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


@pytest.mark.parametrize("environment", mostly_slow(REFUSED), ids=named)
def test_what_cannot_be_overruled_is_named_in_one_line(wnexp, tmp_path, environment):
    code, _, err = wnexp(*TRAIN, **environment)
    assert code == 1 and len(err.splitlines()) == 1 and named(environment) in err
    assert not (tmp_path / "made").exists() or not list(tmp_path.rglob("*.parquet"))
