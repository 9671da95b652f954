"""What ``togai-shipper sandbox`` prints of its requests, and how much of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from togai_shipper.cli.sandbox.feed import MOST_EVENTS, MOST_REQUESTS, Feed
from togai_shipper.cli.screen import Screen
from togai_shipper.testing import Answered, EventOutcome

BILLED, LOST = EventOutcome("billed"), EventOutcome("not billed", "no account 'x'")


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


def answered(number: int, outcomes: Sequence[EventOutcome] = (BILLED,), **changes: Any) -> Answered:
    events: list[dict[str, Any]] = [{"id": f"e-{index}"} for index in range(len(outcomes))]
    facts: dict[str, Any] = {"at": float(number), "method": "POST", "path": "/ingestBatch", "headers": {}}
    facts |= {"events": events, "outcomes": tuple(outcomes), "ids": (), "size": 10, "status": 202}
    return Answered(number=number, ended=1.0, **(facts | changes))


def test_a_request_is_printed_once_when_it_is_over(page: io.StringIO) -> None:
    feed = Feed(Screen(file=page))
    first, second = answered(0), answered(1)

    feed.show([attrs.evolve(first, ended=None), second])
    feed.show([first, second])
    feed.show([second])

    assert len(page.getvalue().splitlines()) == 2


def test_after_a_clear_the_numbers_begin_anew_and_all_is_printed(page: io.StringIO) -> None:
    feed = Feed(Screen(file=page))

    feed.show([answered(0)])
    feed.show([answered(0, at=9.0)])

    assert len(page.getvalue().splitlines()) == 2


def test_a_look_prints_so_many_requests_and_says_how_many_more_there_were(page: io.StringIO) -> None:
    Feed(Screen(file=page)).show([answered(number) for number in range(MOST_REQUESTS + 3)])

    lines = page.getvalue().splitlines()
    assert len(lines) == MOST_REQUESTS + 1
    assert lines[-1] == "…    3 requests more"


def test_verbose_it_prints_each_event_and_those_that_are_lost_first(page: io.StringIO) -> None:
    Feed(Screen(file=page), verbose=True).show([answered(0, [BILLED, LOST])])

    _, first, second = page.getvalue().splitlines()
    assert first.split() == ["not", "billed", "e-1", "no", "account", "'x'", "null", "for", "null"]
    assert second.split()[:2] == ["billed", "e-0"]


def test_a_look_prints_so_many_events_and_says_how_many_more_there_were(page: io.StringIO) -> None:
    batch = [BILLED] * 500

    Feed(Screen(file=page), verbose=True).show([answered(0, [*batch, LOST]), answered(1, batch)])

    lines = page.getvalue().splitlines()
    assert len(lines) == 2 + MOST_EVENTS + 2
    assert "not billed" in lines[1]
    assert lines[MOST_EVENTS + 1] == f"     … {501 - MOST_EVENTS} events more"
    assert lines[-1] == "     … 500 events more"


def test_what_strangers_write_does_not_reach_the_terminal_as_it_is(page: io.StringIO) -> None:
    hostile = answered(0, [EventOutcome("refused", "\x1b[2J")], status=400)

    Feed(Screen(file=page), verbose=True).show([hostile])

    assert "\x1b" not in page.getvalue()
