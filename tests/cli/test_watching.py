"""What stops a command that watches."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from togai_shipper.cli.watching import LOOK_EVERY, ended_as_by_ctrl_c, stopped_by_signals, watch


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> signal.Signals:
    """One of the signals that end a command."""
    given: signal.Signals = request.param
    return given


@pytest.fixture
def noted(number: signal.Signals) -> Iterator[list[int]]:
    """Note the signal, as the application around a command might."""
    noted: list[int] = []
    before = signal.signal(number, lambda number, _: noted.append(number))
    yield noted
    signal.signal(number, before)


def test_the_first_signal_stops_it_and_the_second_acts_as_it_would_without_us(
    number: signal.Signals, noted: list[int]
) -> None:
    stop = threading.Event()

    with stopped_by_signals(stop):
        signal.raise_signal(number)
        assert (stop.is_set(), noted) == (True, [])
        signal.raise_signal(number)

    # Of a terminal that is closed, the system tells, and the shell does: nobody wants it to end at once.
    assert noted == ([] if number == signal.SIGHUP else [number])
    signal.raise_signal(number)
    assert noted[-1:] == [number], "it has been put back"


def test_a_signal_ends_it_as_ctrl_c_does(number: signal.Signals, noted: list[int]) -> None:
    with ended_as_by_ctrl_c():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        if number == signal.SIGHUP:
            signal.raise_signal(number)
        else:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)

    assert noted == []
    signal.raise_signal(number)
    assert noted == [number], "it has been put back"


@pytest.mark.parametrize("number", [signal.SIGHUP], indirect=True)
@pytest.mark.usefixtures("noted")
def test_a_hang_up_that_is_ignored_stays_so() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup

    with stopped_by_signals(stop), ended_as_by_ctrl_c():
        signal.raise_signal(signal.SIGHUP)

    assert not stop.is_set()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


class Waiting(threading.Event):
    """Notes how long it is waited for, and is set in the end."""

    def __init__(self, end: float) -> None:
        super().__init__()
        self.waited = 0.0
        self._end = end

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += timeout or 0.0
        return self.waited >= self._end


class Nothing:
    is_empty = False

    def line(self) -> str:
        return ""


def looks(*took: float, is_quick: Callable[[], bool] = lambda: False) -> list[float]:
    """When looks are made that take so long, the waits between them alone counted."""
    stop, at = Waiting(60.0), [0.0]
    seen: list[float] = []
    takes = iter(took)

    def see() -> Nothing:
        seen.append(stop.waited)
        at[0] += next(takes, 0.0)
        return Nothing()

    watch(see, lambda _: None, stop, once=False, is_quick=is_quick, clock=lambda: at[0])
    return seen


def test_a_look_that_takes_long_is_made_less_often() -> None:
    assert looks(0.001, 2.0, 0.5)[:4] == [0.0, LOOK_EVERY, LOOK_EVERY + 20.0, LOOK_EVERY + 25.0]


def test_it_is_made_soon_once_it_is_quick() -> None:
    answers = iter([False, False, True])

    assert looks(100.0, is_quick=lambda: next(answers, True))[:2] == [0.0, 3 * LOOK_EVERY]
