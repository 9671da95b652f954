"""What a viewer of the demo sees while it runs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import attrs

from togai_shipper.cli.demo.progress import DemoLines, DemoPicture, DemoProgress
from togai_shipper.cli.display import display_on
from togai_shipper.cli.screen import Screen

START = DemoProgress(seconds=0.0, total=1_000, tracked=0, delivered=0, requests=0, retries=0, faults="none")


def shown(screen: Screen, progresses: Sequence[DemoProgress]) -> None:
    with display_on(screen, DemoPicture().draw, DemoLines(screen).print, stays=True) as show:
        for progress in progresses:
            show(progress)


def plain(*progresses: DemoProgress) -> list[str]:
    page = io.StringIO()
    shown(Screen(file=page), progresses)
    return page.getvalue().splitlines()


def live(*progresses: DemoProgress) -> str:
    page = io.StringIO()
    shown(Screen(file=page, force_terminal=True, width=80, color_system=None, _environ={}), progresses)
    return page.getvalue()


def later(seconds: float, **changes: Any) -> DemoProgress:
    return attrs.evolve(START, seconds=seconds, **changes)


def test_without_a_terminal_it_is_a_line_a_second_and_a_last_one() -> None:
    lines = plain(
        START,
        later(0.5),
        later(1.0, tracked=1_000),
        later(1.8),
        later(1.9, tracked=1_000, delivered=999, is_last=True),
        later(2.0, tracked=1_000, delivered=999, is_last=True),
    )

    assert lines == [
        "  0.0 s  tracked 0  delivered 0  of 1,000  retries 0  faults: none",
        "  1.0 s  tracked 1,000  delivered 0  of 1,000  retries 0  faults: none",
        "  1.9 s  tracked 1,000  delivered 999  of 1,000  retries 0  faults: none",
    ]


def test_without_a_terminal_a_change_of_faults_is_a_line_at_once() -> None:
    lines = plain(START, later(0.1, faults="503"), later(0.2, faults="503"), later(0.3))

    assert [line.rpartition("faults: ")[2] for line in lines] == ["none", "503", "none"]


def test_without_a_terminal_each_line_of_the_log_comes_once() -> None:
    lines = plain(START, later(0.1, log=("one [/]",)), later(0.2, log=("one [/]", "two")))

    assert lines[1:3] == ["log: one [/]", "log: two"]


def test_without_a_terminal_there_are_no_control_characters() -> None:
    assert all(line.isprintable() for line in plain(START, later(5.0, faults="503", log=("a line",))))


def test_on_a_terminal_both_counts_and_their_speed_are_seen() -> None:
    picture = live(START, later(1.0, tracked=900, delivered=400, requests=7, retries=2))

    assert "900 / 1,000     900/s" in picture
    assert "400 / 1,000     400/s" in picture
    assert "7, 2 of them retries" in picture


def test_on_a_terminal_the_faults_and_the_last_line_of_the_log_are_seen() -> None:
    picture = live(START, later(1.0, faults="503: Togai is down", log=("one", "two [/]")))

    assert "the log    nothing" in picture
    assert "faults     503: Togai is down" in picture
    assert "the log    two [/]" in picture
