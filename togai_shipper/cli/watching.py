"""Watching a drain: until nothing is left, or a signal comes; a line beside a spinner, or lines elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol, TypeVar

from rich.console import RenderableType
from rich.spinner import Spinner

from .screen import Screen, styled
from .streams import OutputLost

LOOK_EVERY = 0.25  # seconds, or, where a look takes long, as in a spool of very many files,
LOOK_SHARE = 10  # so many times what the last one took
LINE_EVERY = 5.0  # seconds between two lines where there is no terminal
_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


class Progress(Protocol):
    """How a drain stands."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits that could be sent."""

    def line(self) -> str:
        """Say it in one line."""


Drained = TypeVar("Drained", bound=Progress)


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` at Ctrl-C, SIGTERM and SIGHUP; a second one acts as it would without us.

    But for a second SIGHUP: of a terminal that was closed, the system and the shell both tell.
    """

    def ask(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN if number == _HANGUP else before[number])
        stop.set()

    with _handled((signal.SIGINT, signal.SIGTERM, _HANGUP), ask) as before:
        yield


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at SIGTERM and SIGHUP, too; once at SIGHUP, for the same reason."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if number == _HANGUP:
            signal.signal(number, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    with _handled((signal.SIGTERM, _HANGUP), interrupt):
        yield


@contextmanager
def _handled(
    numbers: Iterable[int | None], handler: Callable[[int, FrameType | None], None]
) -> Iterator[dict[int, Any]]:
    """Handle these signals, and give the handlers that were there before.

    SIGHUP is left alone where it is ignored: somebody has started the command with ``nohup``.
    """
    before: dict[int, Any] = {}
    for number in numbers:
        if number is None or (number == _HANGUP and signal.getsignal(number) is signal.SIG_IGN):
            continue
        before[number] = signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def watch(
    see: Callable[[], Drained],
    say: Callable[[str], None],
    stop: threading.Event,
    *,
    once: bool,
    is_quick: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Drained:
    """Look again and again until nothing is left (only if ``once``), or ``stop`` is set.

    After a look that took long it waits for longer, but only until ``is_quick`` says that the next one is not
    so.
    """
    while True:
        begun = clock()
        now = see()
        took = clock() - begun
        say(now.line())
        if once and now.is_empty:
            return now
        waits = max(1, round(took * LOOK_SHARE / LOOK_EVERY))
        for _ in range(waits):
            if stop.wait(LOOK_EVERY):
                return now
            if is_quick():
                break


class DrainPicture:
    """Draws a spinner, and a line beside it."""

    def __init__(self) -> None:
        self._spinner = Spinner("dots")

    def draw(self, line: str) -> RenderableType:
        """Return the picture with this line."""
        self._spinner.update(text=styled(line))
        return self._spinner


class SpacedLines:
    """Prints a line every few seconds, if it differs from the one before."""

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._said = ""
        self._next = 0.0

    def print(self, line: str) -> None:
        """Print the line if it is due."""
        now = self._clock()
        if line != self._said and now >= self._next:
            self._said, self._next = line, now + LINE_EVERY
            with suppress(OutputLost):  # the drain goes on, whoever reads
                self._screen.say(line)
