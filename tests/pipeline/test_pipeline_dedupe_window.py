"""What has waited longer than the server remembers ids, in virtual time."""

from __future__ import annotations

from typing import Any

from server_replies import LOST, REFUSED
from virtual import world

from togai_shipper import FlushReport
from togai_shipper._engine.verdict import Reply


def test_what_may_have_arrived_is_not_sent_again_after_forty_days() -> None:
    told: list[Any] = []
    w = world([LOST], on_error=lambda error, events: told.append((error, len(events))))
    w.put(2)
    w.pipeline.flush(0.1)
    w.clock.now += 40 * 86400 + 1
    sent = len(w.server.sent)
    report = w.pipeline.flush(1)

    assert report == FlushReport(dropped=2)
    assert len(w.server.sent) == sent
    assert w.pipeline.health.stats().dropped == {"past dedupe window": 2}
    assert told[0][0].maybe_delivered


def test_what_was_never_sent_has_no_such_limit() -> None:
    w = world([REFUSED])
    w.put(2)
    w.pipeline.flush(0.1)
    w.clock.now += 41 * 86400

    assert w.pipeline.flush(1) == FlushReport(delivered=2)


def test_a_probe_that_has_grown_too_old_to_be_sent_leaves_the_line_to_the_next_one() -> None:
    w = world([Reply(503), Reply(401)])
    w.put(3)
    w.pipeline.flush(5)
    w.clock.now += 41 * 86_400

    w.pipeline.set_api_key("right")
    w.pipeline.flush(100)
    w.put(1)
    w.pipeline.flush(100)

    stats = w.pipeline.health.stats()
    assert (stats.delivered, stats.dropped, stats.pending) == (1, {"past dedupe window": 3}, 0)


def test_what_may_have_arrived_is_not_sent_again_where_its_process_was_frozen_before_the_next_attempt() -> (
    None
):
    def frozen() -> float:
        w.clock.now += 46 * 86_400
        return 0.5

    w = world([LOST], random=frozen)
    w.put(2)
    w.pipeline.flush(50 * 86_400)

    assert len(w.server.sent) == 1
    assert w.pipeline.health.stats().dropped == {"past dedupe window": 2}


def test_with_nothing_pending_attempts_that_failed_long_ago_are_no_complaint() -> None:
    w = world([LOST] * 3)
    w.put(1)
    w.pipeline.flush(0.1)
    w.clock.now += 40 * 86400 + 1
    w.pipeline.flush(1)

    assert w.pipeline.pending == 0
    assert w.pipeline.health.complaint() is None


def test_what_grows_too_old_between_its_turn_and_its_request_is_not_sent() -> None:
    w = world([LOST])
    w.put(1)
    w.pipeline.flush(0.001)

    def freeze() -> None:
        w.clock.now += 41 * 86_400.0

    w.server.open = freeze  # type: ignore[method-assign]  # a session takes its time
    assert w.pipeline.flush(90 * 86_400.0) == FlushReport(dropped=1)
    assert len(w.server.sent) == 1
