"""The progress of ``send``: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from togai_shipper.cli.display import Speed
from togai_shipper.cli.formats import plural
from togai_shipper.cli.screen import styled


@attrs.frozen(kw_only=True)
class SendProgress:
    """How far ``send`` is at one moment.

    Attributes:
        seconds: the time since the start.
        lines: how many lines were read.
        delivered: how many events were delivered.
        bad: how many lines are no events, or events that Togai refused.
        done: how many bytes were read.
        total: how many bytes there are; ``None``: unknown.
        trouble: why nothing is delivered, if so.

    """

    seconds: float
    lines: int
    delivered: int = 0
    bad: int = 0
    done: int = 0
    total: int | None = None
    trouble: str | None = None


def seconds_left(progress: SendProgress) -> float | None:
    """Return how long the rest will take at the present speed; ``None``: unknown."""
    if not progress.total or not progress.done:
        return None
    return progress.seconds * max(progress.total - progress.done, 0) / progress.done


def as_line(progress: SendProgress, speed: float) -> str:
    """Say it in one line."""
    left = seconds_left(progress)
    text = f"{plural(progress.lines, 'line')}  {progress.delivered:,} delivered  {speed:,.0f} lines/s"
    if progress.bad:
        text += f"  {progress.bad:,} bad"
    if left is not None:
        minutes, seconds = divmod(round(left), 60)
        text += f"  {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
    if progress.trouble:
        text += f"  ({progress.trouble})"
    return text


class SendPicture:
    """Draws a bar, or a spinner if the end is unknown, and the line beside it."""

    def __init__(self) -> None:
        self._speed = Speed()
        self._spinner = Spinner("dots")

    def draw(self, progress: SendProgress) -> RenderableType:
        """Return the picture of this progress."""
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(no_wrap=True)
        row.add_column()
        sign: RenderableType = self._spinner
        if progress.total is not None:
            sign = ProgressBar(total=max(progress.total, 1), completed=progress.done, width=20)
        row.add_row(sign, styled(as_line(progress, self._speed.at(progress.seconds, progress.lines))))
        return row


class SendLines:
    """Prints a line every ten seconds."""

    _EVERY = 10.0

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._next = self._EVERY

    def print(self, progress: SendProgress) -> None:
        """Print the line if it is due."""
        if progress.seconds >= self._next:
            self._next = progress.seconds + self._EVERY
            self._say(as_line(progress, progress.lines / progress.seconds))
