"""Ctrl-C and SIGTERM: a run that is asked to stop first computes its chunk to the end and writes a checkpoint."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED, TERMINATED = 130, 143  # exit codes


class Terminated(BaseException):
    """SIGTERM came; what KeyboardInterrupt is to SIGINT."""


_RAISED: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


def _raise(number: int, frame: Any) -> None:
    raise _RAISED[number]()


class StopRequest:
    """The first signal is remembered and `check` raises it; the second one raises at once."""

    def __init__(self):
        self._number: int | None = None

    def __call__(self, number: int, frame: Any) -> None:
        if self._number is not None:
            _raise(number, frame)
        self._number = number

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    def check(self, *message: str) -> None:
        """Raise `KeyboardInterrupt` or `Terminated`, with the message, if its signal has come."""
        if self._number is not None:
            raise _RAISED[self._number](*message)


@contextmanager
def _handled(handler: Callable[[int, Any], None] | signal.Handlers, numbers: Iterable[int] = _RAISED) -> Iterator[None]:
    """Handle the signals, where nobody else does: launchers of sweeps have handlers of their own."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _raise):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def raising() -> Iterator[None]:
    """Both signals raise their exceptions at once."""
    with _handled(_raise):
        yield


@contextmanager
def ignored() -> Iterator[None]:
    """Ctrl-C is ignored, for good by processes started meanwhile: it reaches them too, but their parent ends them."""
    with _handled(signal.SIG_IGN, [signal.SIGINT]):
        yield


@contextmanager
def deferred() -> Iterator[StopRequest]:
    """The first of the signals waits for `StopRequest.check`."""
    stop = StopRequest()
    with _handled(stop):
        yield stop
