"""What the viewer of the demo sees while it runs: two bars on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from togai_shipper.cli.display import Speed
from togai_shipper.cli.screen import Screen, styled

from .fault_plan import CLEAR


@attrs.frozen
class DemoProgress:
    """How far the demo is at one moment.

    Attributes:
        seconds: the time since the start.
        total: how many events there will be.
        tracked: how many were tracked so far.
        delivered: how many of them the sandbox bills.
        requests: how many requests were made.
        retries: how many of them were repetitions.
        faults: what goes wrong now.
        log: the lines that the library has logged.
        is_last: whether the demo is over.

    """

    seconds: float
    total: int
    tracked: int
    delivered: int
    requests: int
    retries: int
    faults: str
    log: Sequence[str] = ()
    is_last: bool = False


class DemoPicture:
    """Draws two bars with their speed, and three facts below them."""

    def __init__(self) -> None:
        self._tracking, self._delivery = Speed(), Speed()

    def draw(self, progress: DemoProgress) -> RenderableType:
        """Return the picture of this progress."""
        tracking = self._tracking.at(progress.seconds, progress.tracked)
        delivery = self._delivery.at(progress.seconds, progress.delivered)
        return Group(_bars(progress, tracking, delivery), _facts(progress))


def _bars(progress: DemoProgress, tracking: float, delivery: float) -> RenderableType:
    bars = Table.grid(padding=(0, 2, 0, 0), expand=True)
    bars.add_column(no_wrap=True)
    bars.add_column(ratio=1)
    bars.add_column(justify="right", no_wrap=True)
    bars.add_column(justify="right", no_wrap=True, style="dim", min_width=len("99,999/s"))
    for name, count, speed in (
        ("tracked", progress.tracked, tracking),
        ("delivered", progress.delivered, delivery),
    ):
        bar = ProgressBar(
            total=progress.total, completed=count, complete_style="cyan", finished_style="green"
        )
        bars.add_row(name, bar, f"{count:,} / {progress.total:,}", f"{speed:,.0f}/s")
    return bars


def _facts(progress: DemoProgress) -> RenderableType:
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True, min_width=len("delivered"))
    facts.add_column()
    faults = styled(progress.faults, "green" if progress.faults == CLEAR else "bold yellow")
    facts.add_row("faults", faults)
    facts.add_row("requests", f"{progress.requests:,}, {progress.retries:,} of them retries")
    facts.add_row("the log", styled(progress.log[-1] if progress.log else "nothing", "dim"))
    return facts


class DemoLines:
    """Prints a line a second and a last one, one for each change of faults, and each line of the log."""

    _EVERY = 1.0  # seconds between two lines if nothing else happens

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._next = 0.0
        self._faults = CLEAR
        self._logged = 0
        self._is_over = False

    def print(self, progress: DemoProgress) -> None:
        """Print the lines that are due."""
        for line in progress.log[self._logged :]:
            self._screen.say(f"log: {line}")
        self._logged = len(progress.log)
        has_changed = (progress.faults, progress.is_last) != (self._faults, self._is_over)
        if has_changed or progress.seconds >= self._next:
            self._next = progress.seconds + self._EVERY
            self._faults, self._is_over = progress.faults, progress.is_last
            self._screen.say(
                f"{progress.seconds:5.1f} s  tracked {progress.tracked:,}  delivered {progress.delivered:,}"
                f"  of {progress.total:,}  retries {progress.retries:,}  faults: {progress.faults}"
            )
