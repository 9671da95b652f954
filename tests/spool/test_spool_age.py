"""Events older than Togai's memory of ids: dead letters, if the server's clock says so, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spooled import DAY, die, letters, stats
from virtual import OK, WALL, World

from togai_shipper._engine.verdict import Reply
from togai_shipper._outcome import FlushReport


def dated(w: World, seconds: float = 0.0) -> None:
    """The server says what time it is: that of our wall clock, and some more."""
    w.server.answer = lambda sent: Reply(202, OK.body, date=WALL + w.clock.now + seconds)


def later(w: World) -> None:
    """Some minutes, in which the writer looks around as often as it does."""
    for _ in range(5):
        w.clock.now += 100
        w.pipeline.flush(0.0)


def left_for(worlds: Any, days: float) -> tuple[list[str], Any]:
    first = worlds()
    ids = first.put(2)
    first.pipeline.sync(1.0)
    die(first)
    second = worlds()
    second.clock.now += days * DAY
    return ids, second


def test_an_event_past_the_window_is_a_dead_letter_if_the_server_says_so_too(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids, w = left_for(worlds, 41)
    dated(w)

    w.pipeline.flush(0.0)
    assert (stats(w).recovered, stats(w).pending) == (0, 0)  # nobody has said what time it is
    w.put(1)
    w.pipeline.flush(10)
    later(w)

    assert {letter.id for letter in letters(folder)} == set(ids)
    assert {letter.reason for letter in letters(folder)} == {"past dedupe window"}
    assert stats(w).dropped == {"past dedupe window": 2}
    assert len(w.server.metered) == 1
    assert "2 events of" in caplog.text


def test_a_clock_that_has_jumped_throws_no_revenue_away(worlds: Any) -> None:
    ids, w = left_for(worlds, 41)
    dated(w, -40 * DAY)

    w.put(1)
    w.pipeline.flush(10)
    later(w)
    assert w.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(ids) < set(w.server.metered)


def test_an_event_within_the_window_is_sent(worlds: Any) -> None:
    ids, w = left_for(worlds, 39)
    dated(w)

    w.pipeline.flush(0.0)
    assert stats(w).oldest_pending_age == DAY  # no more of it is believed before the server has said a word
    assert w.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(w.server.metered) == set(ids)
