"""How long the pipeline waits between requests, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from server_replies import THROTTLED, UNAVAILABLE
from virtual import world

from togai_shipper import FlushReport
from togai_shipper._engine.verdict import Reply


def test_backoff_doubles_up_to_its_limit_and_never_ends() -> None:
    w = world([UNAVAILABLE] * 12, backoff_initial=1, backoff_max=30, random=lambda: 1.0)
    w.put(1)

    assert w.pipeline.flush(1000)
    times = [sent.at for sent in w.server.sent]
    waits = [round(after - before - 0.01, 6) for before, after in pairwise(times)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]


def test_a_429_is_waited_out_as_the_server_asks_and_then_one_goes_first() -> None:
    w = world([Reply(429, b"{}", retry_after=7.0)])
    w.put(3)

    assert w.pipeline.flush(60)
    first, second = w.server.sent
    assert second.at - first.at >= 7.0


def test_429s_without_retry_after_back_off_up_to_a_minute() -> None:
    w = world([THROTTLED] * 10, random=lambda: 1.0, backoff_initial=1)
    w.put(1)

    assert w.pipeline.flush(1000)
    times = [sent.at for sent in w.server.sent]
    waits = [round(after - before - 0.01, 6) for before, after in pairwise(times)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_the_rate_limit_holds_over_any_second() -> None:
    w = world(batch_size=1, rate_limit=10, single_ingest_limit=0)
    w.put(40)
    w.server.latency = 0.001

    assert w.pipeline.flush(60)
    times = [sent.at for sent in w.server.sent]
    assert all(sum(start <= at < start + 1 for at in times) <= 15 for start in times)
    assert times[-1] - times[0] == pytest.approx((40 - 5) / 10, abs=0.05)


def test_a_request_whose_turn_does_not_come_in_time_is_not_sent_and_its_event_waits() -> None:
    w = world(batch_size=1, rate_limit=0.01)
    w.put(6)

    assert w.pipeline.flush(2) == FlushReport(delivered=5, pending=1)
    assert w.pipeline.flush(200) == FlushReport(delivered=1)
