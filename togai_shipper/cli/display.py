"""Show the progress of a command: a picture that is redrawn on a terminal, lines elsewhere.

A command says what its picture is and which lines it prints; only this module draws on the terminal.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

_LOOK_EVERY = 0.1  # seconds

Progress = TypeVar("Progress")


@contextmanager
def display_on(
    console: Console,
    picture: Callable[[Progress], RenderableType],
    print_lines: Callable[[Progress], None],
    *,
    stays: bool = False,
    is_animated: bool = False,
) -> Iterator[Callable[[Progress], None]]:
    """Give a function that shows the progress of a command, for as long as the block lasts.

    Args:
        console: where to show it.
        picture: makes the picture, if the console is a terminal.
        print_lines: prints the lines that are due, if it is none.
        stays: whether the last picture is left on the terminal.
        is_animated: whether the picture moves by itself between two calls.

    """
    if not console.is_interactive:
        yield print_lines
        return
    with Live(console=console, auto_refresh=is_animated, transient=not stays) as live:
        yield lambda progress: live.update(picture(progress), refresh=True)


@contextmanager
def shown_by_a_thread(show: Callable[[Progress], None], look: Callable[[], Progress]) -> Iterator[None]:
    """Show the progress ten times a second, from a thread, until the block ends."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(_LOOK_EVERY):
            show(look())

    thread = threading.Thread(target=go_on, name="togai-shipper progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Speed:
    """Measures how many things were done in the last second."""

    _SPAN = 1.0

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque([(0.0, 0)])

    def at(self, seconds: float, count: int) -> float:
        """Return the speed, now that ``count`` things were done."""
        while len(self._past) > 1 and seconds - self._past[0][0] > self._SPAN:
            self._past.popleft()
        since, before = self._past[0]
        self._past.append((seconds, count))
        return (count - before) / max(seconds - since, 0.001)
