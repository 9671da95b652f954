"""What is seen while it goes on."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from togai_shipper.cli.progress import Glance, Plain, eta, line, watching


def test_the_rest_takes_as_long_as_what_is_done() -> None:
    assert eta(Glance(seconds=10, lines=5, done=25, total=100)) == 30
    assert eta(Glance(seconds=10, lines=5, done=110, total=100)) == 0  # it grew meanwhile


def test_of_what_has_no_known_end_or_no_beginning_nobody_knows_what_is_left() -> None:
    assert eta(Glance(seconds=10, lines=5, done=25)) is None
    assert eta(Glance(seconds=10, lines=5, total=100)) is None


def test_a_glance_is_a_line() -> None:
    plain = Glance(seconds=1, lines=1000, delivered=900)
    rich = Glance(seconds=3700, lines=5, bad=2, done=1, total=3, trouble="HTTP 503")

    assert line(plain, 1000.4) == "1,000 lines  900 delivered  1,000 lines/s"
    assert line(Glance(seconds=1, lines=1), 1) == "1 line  0 delivered  1 lines/s"
    assert line(rich, 5) == "5 lines  0 delivered  5 lines/s  2 bad  2:03:20 left  (HTTP 503)"


def test_a_log_gets_a_line_each_ten_seconds() -> None:
    said: list[str] = []
    plain = Plain(said.append)

    for seconds in (0.0, 9.9, 10.0, 10.1, 19.9, 20.0):
        plain.show(Glance(seconds=seconds, lines=100))

    assert said == ["100 lines  0 delivered  10 lines/s", "100 lines  0 delivered  5 lines/s"]


@pytest.mark.parametrize("total", [None, 0, 200])
def test_on_a_terminal_something_moves(total: int | None) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=80)
    looked = threading.Semaphore(0)

    def look() -> Glance:
        looked.release()
        return Glance(seconds=1, lines=7, done=3, total=total)

    with watching(console, print, look):
        assert looked.acquire(timeout=10)
        assert looked.acquire(timeout=10)  # the first is drawn

    assert "7 lines" in console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above


def test_elsewhere_it_is_said() -> None:
    said = threading.Event()

    with watching(Console(file=io.StringIO()), lambda _: said.set(), lambda: Glance(seconds=60, lines=7)):
        assert said.wait(10)
