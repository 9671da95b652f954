"""What ``send`` shows of itself while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from togai_shipper.cli.send.progress import SendLines, SendPicture, SendProgress, as_line, seconds_left


def test_the_rest_takes_as_long_as_what_is_done() -> None:
    assert seconds_left(SendProgress(seconds=10, lines=5, done=25, total=100)) == 30
    assert seconds_left(SendProgress(seconds=10, lines=5, done=110, total=100)) == 0  # it grew meanwhile


def test_of_what_has_no_known_end_or_no_beginning_nobody_knows_what_is_left() -> None:
    assert seconds_left(SendProgress(seconds=10, lines=5, done=25)) is None
    assert seconds_left(SendProgress(seconds=10, lines=5, total=100)) is None


def test_progress_is_a_line() -> None:
    plain = SendProgress(seconds=1, lines=1000, delivered=900)
    rich = SendProgress(seconds=3700, lines=5, bad=2, done=1, total=3, trouble="HTTP 503")

    assert as_line(plain, 1000.4) == "1,000 lines  900 delivered  1,000 lines/s"
    assert as_line(SendProgress(seconds=1, lines=1), 1) == "1 line  0 delivered  1 lines/s"
    assert as_line(rich, 5) == "5 lines  0 delivered  5 lines/s  2 bad  2:03:20 left  (HTTP 503)"


def test_a_log_gets_a_line_each_ten_seconds() -> None:
    said: list[str] = []
    lines = SendLines(said.append)

    for seconds in (0.0, 9.9, 10.0, 10.1, 19.9, 20.0):
        lines.print(SendProgress(seconds=seconds, lines=100))

    assert said == ["100 lines  0 delivered  10 lines/s", "100 lines  0 delivered  5 lines/s"]


@pytest.mark.parametrize(("total", "signs"), [(None, "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"), (0, "━"), (200, "━")])
def test_on_a_terminal_there_is_a_bar_or_a_spinner_beside_the_line(total: int | None, signs: str) -> None:
    page = io.StringIO()

    Console(file=page, force_terminal=True, width=80, color_system=None, _environ={}).print(
        SendPicture().draw(SendProgress(seconds=1, lines=7, done=100, total=total))
    )

    assert page.getvalue()[0] in signs
    assert "7 lines  0 delivered  7 lines/s" in page.getvalue()
