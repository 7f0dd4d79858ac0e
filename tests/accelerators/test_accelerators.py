"""What XLA's compilers make of the training programs for an H100 and a TPU v5e, without either."""

import jax
import jax.numpy as jnp
import pytest

from . import hlo
from .programs import Case, compiled, large_cases, small_cases
from .topologies import MEMORY, PLATFORMS, device, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(autouse=True)
def _jax_as_before():
    """Programs for a TPU have no float64, and none here is kept: it would never be looked up."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", folder)


def _check(case: Case) -> None:
    made = compiled(case)
    assert made.bytes_needed < MEMORY[case.platform], f"{made.bytes_needed / 2**30:.1f} GiB"
    assert not hlo.host_transfers(made.text)
    assert case.platform == "gpu" or not hlo.double_precision(made.text)
    assert case.platform == "tpu" or hlo.launches_of_attempt(made.text)  # a TPU's text says no loop's trips
    print(
        f"{case.name}: {made.seconds:.1f} s, {made.bytes_needed / 2**20:,.1f} MiB", dict(hlo.library_calls(made.text))
    )


@pytest.mark.parametrize("case", small_cases(), ids=lambda case: case.name)
def test_a_program_compiles_fits_and_needs_no_host(case):
    _check(case)


@pytest.mark.parametrize("case", large_cases(), ids=lambda case: case.name)
def test_a_program_of_large_images_does_too(case):
    _check(case)


def _text_of(platform: str, function, *arguments) -> str:
    sharding = jax.sharding.SingleDeviceSharding(device(platform))
    shapes = [jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=sharding) for one in arguments]
    return jax.jit(function).trace(*shapes).lower().compile().as_text()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_must_not_be_in_a_program_is_seen_where_it_is(platform):
    def calls_the_host(x):
        jax.debug.callback(lambda _: None, x)
        return x

    def keeps_on_the_host(x):
        return jax.device_put(2 * x, jax.memory.Space.Host)

    x = jnp.zeros(8, jnp.float32)
    assert not hlo.host_transfers(_text_of(platform, lambda x: 2 * x, x))
    if platform == "tpu":  # for a GPU that is not here JAX refuses them itself
        assert hlo.host_transfers(_text_of(platform, calls_the_host, x))
    assert hlo.host_transfers(_text_of(platform, keeps_on_the_host, x))
    assert not hlo.double_precision(_text_of(platform, lambda x: 2 * x, x))
    assert hlo.double_precision(_text_of(platform, lambda x: 2 * x.astype(jnp.float64), x))


def _small_chunk(trips: int, outside: int) -> str:
    """A chunk whose attempt makes so many products one after the other, and so many stand outside of it."""

    def attempt(state):
        count, x = state
        return count + 1, jax.lax.fori_loop(0, trips, lambda _, x: jnp.sin(x @ x), x)

    def fill(state):
        count, x = jax.lax.while_loop(lambda state: state[1][0, 0] < state[0], attempt, state)
        for _ in range(outside):
            x = jnp.cos(x @ x)
        return count, x

    def chunk(x):
        return jax.lax.while_loop(lambda state: state[0] < 9, fill, (0, x))

    return _text_of("gpu", chunk, jnp.zeros((64, 64), jnp.float32))


def test_launches_of_an_attempt_are_those_of_its_loop():
    few, more, many = (hlo.launches_of_attempt(_small_chunk(trips, 1)) for trips in (10, 20, 30))
    assert 10 <= more - few == many - more <= 50
    assert few < 50, "what is in no loop of the attempt counts once"
    assert hlo.launches_of_attempt(_small_chunk(10, 4)) == few, "what is outside does not count"
    with pytest.raises(ValueError, match="0 loops"):
        hlo.launches_of_attempt(_text_of("gpu", lambda x: x @ x, jnp.zeros((64, 64), jnp.float32)))


@pytest.mark.parametrize("words", ["norm=ewn", "norm=ewn seeds=16"])
def test_launches_of_a_small_attempt_do_not_grow_with_the_arrays_of_its_state(words):
    """They were 30 and 23 when every array of the state was selected by a kernel of its own."""
    assert hlo.launches_of_attempt(compiled(Case("gpu", f"experiment=lin_sep {words}")).text) < 20
