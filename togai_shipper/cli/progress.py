"""How far it is, while it goes on: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import attrs
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .amounts import plural
from .screen import Speed

_EVERY = 0.1  # seconds between two looks


@attrs.frozen(kw_only=True)
class Glance:
    """How things stand at one moment.

    Attributes:
        seconds: since the start.
        lines: read.
        delivered: events.
        bad: lines that are no events, and events refused.
        done: bytes read.
        total: bytes there are; ``None``: unknown.
        trouble: why delivery does not get on, if it does not.

    """

    seconds: float
    lines: int
    delivered: int = 0
    bad: int = 0
    done: int = 0
    total: int | None = None
    trouble: str | None = None


def eta(glance: Glance) -> float | None:
    """Seconds that are left if the rest takes as long as what is done; ``None``: nobody knows."""
    if not glance.total or not glance.done:
        return None
    return glance.seconds * max(glance.total - glance.done, 0) / glance.done


def line(glance: Glance, speed: float) -> str:
    """A glance in a line."""
    left = eta(glance)
    text = f"{plural(glance.lines, 'line')}  {glance.delivered:,} delivered  {speed:,.0f} lines/s"
    if glance.bad:
        text += f"  {glance.bad:,} bad"
    if left is not None:
        minutes, seconds = divmod(round(left), 60)
        text += f"  {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
    if glance.trouble:
        text += f"  ({glance.trouble})"
    return text


class Screen(Protocol):
    """Where glances are shown."""

    def show(self, glance: Glance) -> None:
        """Show how things stand."""


class Bar:
    """A bar on a terminal, or a spinner where the end is not known."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._speed = Speed()
        self._spinner = Spinner("dots")

    def show(self, glance: Glance) -> None:
        """Draw it."""
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(no_wrap=True)
        row.add_column()
        sign: RenderableType = self._spinner
        if glance.total is not None:
            sign = ProgressBar(total=max(glance.total, 1), completed=glance.done, width=20)
        row.add_row(sign, Text(line(glance, self._speed.at(glance.seconds, glance.lines))))
        self._live.update(row, refresh=True)


class Plain:
    """A line each so many seconds, so that a log shows whether it gets on."""

    _EVERY = 10.0

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._next = self._EVERY

    def show(self, glance: Glance) -> None:
        """Say it, if it is time."""
        if glance.seconds >= self._next:
            self._next = glance.seconds + self._EVERY
            self._say(line(glance, glance.lines / glance.seconds))


@contextmanager
def watching(console: Console, say: Callable[[str], None], look: Callable[[], Glance]) -> Iterator[None]:
    """Show how things stand, from a thread of its own, until the block is done."""
    if console.is_interactive:
        with Live(console=console, auto_refresh=False, transient=True) as live, _showing(Bar(live), look):
            yield
    else:
        with _showing(Plain(say), look):
            yield


@contextmanager
def _showing(screen: Screen, look: Callable[[], Glance]) -> Iterator[None]:
    done = threading.Event()

    def show() -> None:
        while not done.wait(_EVERY):
            screen.show(look())

    thread = threading.Thread(target=show, name="togai-shipper progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
