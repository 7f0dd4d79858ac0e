"""Signals in this process; the runs that they stop are in test_runner.py and test_kill.py."""

import signal

import pytest

from wnexp import signals

EXCEPTIONS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: signals.Terminated}


@pytest.fixture(params=EXCEPTIONS, ids=lambda number: number.name)
def number(request):
    """A signal, whose handler the test must have put back."""
    before = signal.getsignal(request.param)
    yield request.param
    left = signal.signal(request.param, before)
    assert left is before


def test_the_first_signal_waits_for_the_check_with_its_message(number):
    with signals.deferred() as stop:
        stop.check("nothing has come")
        signal.raise_signal(number)
        assert stop.asked
        with pytest.raises(EXCEPTIONS[number], match="kept"):
            stop.check("kept")


def test_the_second_signal_does_not_wait(number):
    with signals.deferred():
        signal.raise_signal(number)
        with pytest.raises(EXCEPTIONS[number]):
            signal.raise_signal(number)


def test_within_a_command_that_raises_at_once_a_run_still_waits(number):
    with signals.raising():
        with signals.deferred() as stop:
            signal.raise_signal(number)
        assert stop.asked
        with pytest.raises(EXCEPTIONS[number]):
            signal.raise_signal(number)


def test_only_ctrl_c_is_ignored_for_other_processes():
    before = signal.getsignal(signal.SIGTERM)
    with signals.ignored():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_handler_of_somebody_else_stays(number):
    came = []
    before = signal.signal(number, lambda *arguments: came.append(arguments))
    try:
        with signals.deferred() as stop, signals.raising():
            signal.raise_signal(number)
        assert came and not stop.asked
    finally:
        signal.signal(number, before)
