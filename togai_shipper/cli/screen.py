"""What a viewer sees while the demo runs: a picture that changes on a terminal, elsewhere plain lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .weather import CLEAR


@attrs.frozen
class Glance:
    """How things stand at one moment.

    Attributes:
        seconds: since the start.
        total: events there will be.
        tracked: events handed over.
        delivered: of them, billed by the sandbox.
        requests: made so far.
        retries: of them, repetitions.
        weather: what the sandbox does now.
        log: the lines that the library has logged.

    """

    seconds: float
    total: int
    tracked: int
    delivered: int
    requests: int
    retries: int
    weather: str
    log: Sequence[str] = ()


class Speed:
    """Events a second, over the last second or so."""

    _SPAN = 1.0

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque([(0.0, 0)])

    def at(self, seconds: float, count: int) -> float:
        """The speed now that ``count`` is reached."""
        while len(self._past) > 1 and seconds - self._past[0][0] > self._SPAN:
            self._past.popleft()
        since, before = self._past[0]
        self._past.append((seconds, count))
        return (count - before) / max(seconds - since, 0.001)


class Screen(Protocol):
    """Where glances are shown."""

    def show(self, glance: Glance) -> None:
        """Show how things stand."""


@contextmanager
def screen_on(console: Console) -> Iterator[Screen]:
    """The kind of screen that this console can be, for as long as there is something to see."""
    if console.is_interactive:
        with Live(console=console, auto_refresh=False) as live:
            yield LiveScreen(live)
    else:
        plain = PlainScreen(console)
        yield plain
        plain.end()


class LiveScreen:
    """One picture, drawn over and over."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._tracking, self._delivery = Speed(), Speed()

    def show(self, glance: Glance) -> None:
        """Draw it."""
        tracking = self._tracking.at(glance.seconds, glance.tracked)
        delivery = self._delivery.at(glance.seconds, glance.delivered)
        self._live.update(_picture(glance, tracking, delivery), refresh=True)


def _picture(glance: Glance, tracking: float, delivery: float) -> RenderableType:
    bars = Table.grid(padding=(0, 2, 0, 0), expand=True)
    bars.add_column(no_wrap=True)
    bars.add_column(ratio=1)
    bars.add_column(justify="right", no_wrap=True)
    bars.add_column(justify="right", no_wrap=True, style="dim", min_width=len("99,999/s"))
    for name, count, speed in (
        ("tracked", glance.tracked, tracking),
        ("delivered", glance.delivered, delivery),
    ):
        bar = ProgressBar(total=glance.total, completed=count, complete_style="cyan", finished_style="green")
        bars.add_row(name, bar, f"{count:,} / {glance.total:,}", f"{speed:,.0f}/s")
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True, min_width=len("delivered"))
    facts.add_column()
    weather = Text(glance.weather, "green" if glance.weather == CLEAR else "bold yellow")
    facts.add_row("weather", weather)
    facts.add_row("requests", f"{glance.requests:,}, {glance.retries:,} of them retries")
    facts.add_row("the log", Text(glance.log[-1] if glance.log else "says nothing", "dim"))
    return Group(bars, facts)


class PlainScreen:
    """A line a second and a last one, one for each change of weather, and one for each line of the log."""

    _EVERY = 1.0  # seconds between two lines if nothing else happens

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0
        self._weather = CLEAR
        self._logged = 0
        self._unseen: Glance | None = None

    def show(self, glance: Glance) -> None:
        """Print what is new."""
        for line in glance.log[self._logged :]:
            self._print(f"log: {line}")
        self._logged = len(glance.log)
        self._unseen = glance
        if glance.seconds >= self._next or glance.weather != self._weather:
            self.end()
            self._next = glance.seconds + self._EVERY
            self._weather = glance.weather

    def end(self) -> None:
        """Print how things stood last, unless it is to be seen already."""
        glance, self._unseen = self._unseen, None
        if glance is not None:
            self._print(
                f"{glance.seconds:5.1f} s  tracked {glance.tracked:,}  delivered {glance.delivered:,}"
                f"  of {glance.total:,}  retries {glance.retries:,}  weather {glance.weather}"
            )

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)
