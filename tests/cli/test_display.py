"""What shows a command's progress: a picture on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import threading

from rich.console import Console, RenderableType
from rich.text import Text

from togai_shipper.cli.display import Speed, display_on, shown_by_a_thread


def picture(count: int) -> RenderableType:
    return Text(f"<{count}>")


def page(*counts: int, stays: bool = False) -> str:
    """What a terminal is sent."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system=None, _environ={})
    with display_on(console, picture, print, stays=stays) as show:
        for count in counts:
            show(count)
    return file.getvalue()


def test_on_a_terminal_each_picture_is_drawn_over_the_one_before() -> None:
    drawn = page(1, 2)

    assert drawn.index("<1>") < drawn.index("\x1b[2K") < drawn.index("<2>")


def test_the_last_picture_stays_on_the_terminal_only_where_it_is_to() -> None:
    assert page(1, stays=True).count("\x1b[2K") < page(1).count("\x1b[2K")


def test_where_there_is_no_terminal_lines_are_printed_and_nothing_is_drawn() -> None:
    file, printed = io.StringIO(), list[int]()

    with display_on(Console(file=file), picture, printed.append) as show:
        show(1)
        show(2)

    assert printed == [1, 2]
    assert file.getvalue() == ""


def test_a_thread_shows_the_progress_until_the_block_ends() -> None:
    shown: list[int] = []
    looked = threading.Semaphore(0)
    before = threading.active_count()

    def show(count: int) -> None:
        shown.append(count)
        looked.release()

    with shown_by_a_thread(show, lambda: len(shown)):
        assert looked.acquire(timeout=10)
        assert looked.acquire(timeout=10)

    assert shown[:2] == [0, 1]
    assert threading.active_count() == before


def test_speed_is_that_of_the_last_second() -> None:
    speed = Speed()

    assert speed.at(0.0, 0) == 0
    assert speed.at(1.0, 100) == 100
    assert speed.at(2.0, 100) == 0
    assert speed.at(2.5, 600) == 500 / 0.5
