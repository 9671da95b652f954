"""Show how a command gets on: a picture that is drawn over and over on a terminal, lines where there is none.

A command says what its picture is and which lines it prints; this module alone draws on the terminal.
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
    """Give the function that shows how a command gets on, for as long as the block lasts.

    Args:
        console: where to show it.
        picture: what to draw, where the console is a terminal.
        print_lines: what to do elsewhere.
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
    """Look at the progress ten times a second, and show it, from a thread of its own until the block ends."""
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
    """How many a second, over the last second or so."""

    _SPAN = 1.0

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque([(0.0, 0)])

    def at(self, seconds: float, count: int) -> float:
        """Return the speed now that ``count`` is reached."""
        while len(self._past) > 1 and seconds - self._past[0][0] > self._SPAN:
            self._past.popleft()
        since, before = self._past[0]
        self._past.append((seconds, count))
        return (count - before) / max(seconds - since, 0.001)
