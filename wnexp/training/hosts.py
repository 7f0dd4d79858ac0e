"""Several processes that train one run together, on one host or many: the first decides, the others do as it does.

The first process alone has the run's directory, the clock and the signals. Before its session computes it tells the
others which method it calls, with what; all of them then run the same program, every device on its share of the
samples. At the end it tells them how the run ended, and so it ends for them.

JAX connects the processes: under Slurm and Open MPI by what these say of themselves, elsewhere by
JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and JAX_PROCESS_ID.
"""

import functools
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from wnexp.errors import UserError

_VARIABLES = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")  # JAX itself does not read these two
_HOW = "start every process by srun, or with JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
_BEGIN, _END = "+", "-"  # what is no method of a session
_LEAST = 2**10  # bytes of a message
_SECONDS_TO_END = 60  # that a process waits for the others at its end


def join() -> bool:
    """Connect this process with the others, once, before JAX has any device. Returns whether it is the first.

    Raises `UserError` where nothing says who the others are, or they do not come.
    """
    if not jax.distributed.is_initialized():
        try:
            number, own = (int(os.environ[name]) if name in os.environ else None for name in _VARIABLES)
            jax.distributed.initialize(num_processes=number, process_id=own, shutdown_timeout_seconds=_SECONDS_TO_END)
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"distributed=true: {reason}\n{_HOW}") from None
    return not follows()


def follows() -> bool:
    """Whether this process does as another one does."""
    return jax.distributed.is_initialized() and jax.process_index() > 0


def lead(run: Callable[[], Any]) -> Any:
    """What `run` returns, or raises, in the first process; the others are told of it."""
    try:
        result = run()
    except BaseException as error:
        with suppress(UserError):  # they may be gone, which may be why
            _tell(_END, error)
        raise
    _tell(_END, result)
    return result


def begin(*arguments: Any) -> None:
    """The first process is about to make a session of these arguments."""
    _tell(_BEGIN, *arguments)


def follow(session_of: Callable[..., Any]) -> Any:
    """Do as the first process does to the end, with sessions by `session_of`. Returns or raises as it does."""
    session = None
    while True:
        name, arguments = _told()
        if name == _BEGIN:
            session = session_of(*arguments)
        elif name != _END:
            getattr(session, name)(*arguments)
        elif isinstance(arguments[0], BaseException):
            raise arguments[0]
        else:
            return arguments[0]


def together(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a session that all processes must call: the first one tells the others."""

    @functools.wraps(method)
    def call(session, *arguments):
        if not session.distributed:
            return method(session, *arguments)
        if not follows():
            _tell(method.__name__, *arguments)
        with _lost():
            return method(session, *arguments)

    return call


@contextmanager
def _lost(*more: type[Exception]) -> Iterator[None]:
    """What JAX says where a process is gone, as a `UserError`."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, *more) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"distributed=true: {reason}\nthe same command goes on from the last checkpoint") from None


def _tell(name: str, *arguments: Any) -> None:
    try:
        message = pickle.dumps((name, arguments))
        pickle.loads(message)
    except Exception:  # an error that cannot be sent, or be put together again
        message = pickle.dumps((name, tuple(RuntimeError(str(argument)) for argument in arguments)))
    size = max(_LEAST, 1 << len(message).bit_length())  # a program a size: there are few sizes
    _broadcast(np.uint32(size))
    _broadcast(np.frombuffer(message.ljust(size, b"\0"), np.uint8))


def _told() -> tuple[str, tuple]:
    size = int(_broadcast(np.uint32(0)))
    return pickle.loads(_broadcast(np.zeros(size, np.uint8)).tobytes())


def _broadcast(array: Any) -> Any:
    with _lost(ValueError):  # which this function of JAX raises too
        return multihost_utils.broadcast_one_to_all(array)
