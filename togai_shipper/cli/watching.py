"""Watching a drain: until nothing is left, or a signal comes; a line beside a spinner, or lines elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from rich.console import RenderableType
from rich.spinner import Spinner

from .terminal import Screen, styled

LOOK_EVERY = 0.25  # seconds
LINE_EVERY = 5.0  # seconds between two lines where there is no terminal


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
    """Set ``stop`` at Ctrl-C and SIGTERM; a second one acts as it would without us."""
    before: dict[int, Any] = {}

    def ask(number: int, _: object) -> None:
        signal.signal(number, before[number])
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = signal.signal(each, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(
    see: Callable[[], Drained], say: Callable[[str], None], stop: threading.Event, *, once: bool
) -> Drained:
    """Look again and again until nothing is left (only if ``once``), or ``stop`` is set."""
    while True:
        now = see()
        say(now.line())
        if (once and now.is_empty) or stop.wait(LOOK_EVERY):
            return now


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
            self._screen.say(line)
