"""What a viewer of the demo sees while it runs."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from typing import Any

import attrs
from rich.console import Console

from togai_shipper.cli.logbook import logbook
from togai_shipper.cli.screen import Glance, Speed, screen_on

START = Glance(seconds=0.0, total=1_000, tracked=0, delivered=0, requests=0, retries=0, weather="clear")


def shown(console: Console, glances: Sequence[Glance]) -> None:
    with screen_on(console) as screen:
        for glance in glances:
            screen.show(glance)


def plain(*glances: Glance) -> list[str]:
    page = io.StringIO()
    shown(Console(file=page), glances)
    return page.getvalue().splitlines()


def live(*glances: Glance) -> str:
    page = io.StringIO()
    shown(Console(file=page, force_terminal=True, width=80, color_system=None, _environ={}), glances)
    return page.getvalue()


def later(seconds: float, **changes: Any) -> Glance:
    return attrs.evolve(START, seconds=seconds, **changes)


def test_without_a_terminal_it_is_a_line_a_second_and_a_last_one() -> None:
    lines = plain(
        START, later(0.5), later(1.0, tracked=1_000), later(1.8), later(1.9, tracked=1_000, delivered=999)
    )

    assert lines == [
        "  0.0 s  tracked 0  delivered 0  of 1,000  retries 0  weather clear",
        "  1.0 s  tracked 1,000  delivered 0  of 1,000  retries 0  weather clear",
        "  1.9 s  tracked 1,000  delivered 999  of 1,000  retries 0  weather clear",
    ]


def test_without_a_terminal_a_change_of_weather_is_a_line_at_once() -> None:
    lines = plain(START, later(0.1, weather="503"), later(0.2, weather="503"), later(0.3))

    assert [line.rpartition("weather ")[2] for line in lines] == ["clear", "503", "clear"]


def test_without_a_terminal_each_line_of_the_log_comes_once() -> None:
    lines = plain(START, later(0.1, log=("one [/]",)), later(0.2, log=("one [/]", "two")))

    assert lines[1:3] == ["log: one [/]", "log: two"]


def test_without_a_terminal_there_are_no_control_characters() -> None:
    assert all(line.isprintable() for line in plain(START, later(5.0, weather="503", log=("a line",))))


def test_on_a_terminal_both_counts_and_their_speed_are_seen() -> None:
    picture = live(START, later(1.0, tracked=900, delivered=400, requests=7, retries=2))

    assert "900 / 1,000     900/s" in picture
    assert "400 / 1,000     400/s" in picture
    assert "7, 2 of them retries" in picture


def test_on_a_terminal_the_weather_and_the_last_line_of_the_log_are_seen() -> None:
    picture = live(START, later(1.0, weather="503: Togai is down", log=("one", "two [/]")))

    assert "the log    says nothing" in picture
    assert "weather    503: Togai is down" in picture
    assert "the log    two [/]" in picture


def test_speed_is_that_of_the_last_second() -> None:
    speed = Speed()

    assert speed.at(0.0, 0) == 0
    assert speed.at(1.0, 100) == 100
    assert speed.at(2.0, 100) == 0
    assert speed.at(2.5, 600) == 500 / 0.5


def test_the_logbook_keeps_warnings_of_every_logger_and_leaves_no_trace() -> None:
    before = list(logging.getLogger().handlers)

    with logbook() as lines:
        logging.getLogger("togai_shipper").warning("event %s undelivered", "e-1")
        logging.getLogger("elsewhere").error("no")
        logging.getLogger("togai_shipper").info("not this")

    assert lines == ["WARNING: event e-1 undelivered", "ERROR: no"]
    assert logging.getLogger().handlers == before
