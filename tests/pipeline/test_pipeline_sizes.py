"""How long requests may be, in virtual time: gateways that refuse long ones, and links too slow for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from server_replies import BOOM
from virtual import OK, Sent, World, world

from togai_shipper import FlushReport, PayloadTooLarge
from togai_shipper._engine.byte_cap import MAX_INTERVAL
from togai_shipper._engine.verdict import Park, Reply

PAGE = Reply(413, b"<html>413 Request Entity Too Large</html>")
SAID = Reply(413, b'{"message": "too large"}')
EMPTY = Reply(413)
OTHER_JSON = Reply(413, b'["too large"]')
PAGES = pytest.mark.parametrize("page", [PAGE, EMPTY, OTHER_JSON], ids=["page", "empty", "no object"])
NO_REPLY = Reply(None, error="no reply: timed out")


def up_to(most: int, otherwise: Reply = PAGE) -> Callable[[Sent], Reply]:
    """Let requests through of so many bytes."""
    return lambda sent: OK if sent.size <= most else otherwise


def slow(w: World, rate: float, timeout: float = 30.0) -> Callable[[Sent], Reply]:
    """Let so many bytes a second through; what is not whole within ``timeout`` seconds is cut."""

    def answer(sent: Sent) -> Reply:
        seconds = sent.size / rate
        w.clock.now += min(seconds, timeout)
        return OK if seconds <= timeout else NO_REPLY

    return answer


def refused(w: World, most: int) -> list[Sent]:
    return [sent for sent in w.server.sent if sent.size > most]


# --- a gateway refuses long requests ----------------------------------------------------------------------


@pytest.mark.parametrize("most", [2_000, 8 * 1024, 40_000])
@pytest.mark.parametrize("otherwise", [PAGE, SAID, EMPTY, OTHER_JSON], ids=["page", "json", "empty", "array"])
def test_whoever_says_that_a_batch_is_too_large_shorter_ones_follow_and_all_is_delivered(
    most: int, otherwise: Reply
) -> None:
    w = world(rate_limit=None)
    w.server.answer = up_to(most, otherwise)
    w.put(3000, size=200)

    assert w.pipeline.flush(600) == FlushReport(delivered=3000)
    assert w.pipeline.health.complaint() is None
    assert len(refused(w, most)) < 12 + len(w.server.sent) / 10


@PAGES
def test_a_limit_that_appears_and_is_lifted_again_is_found_within_few_requests(page: Reply) -> None:
    w = world(rate_limit=None)
    for most in (900_000, 20_000, 900_000):
        w.server.answer = up_to(most, page)
        w.put(5000, size=200)
        assert w.pipeline.flush(600)

    del w.server.sent[:]
    w.put(2500, size=200)
    assert w.pipeline.flush(600)
    assert w.server.paths == [("/ingestBatch", 500)] * 5


def test_while_a_limit_stays_longer_requests_are_tried_but_rarely() -> None:
    w = world(rate_limit=None)
    w.server.answer = up_to(20_000)
    for _ in range(10):
        w.put(5000, size=200)
        assert w.pipeline.flush(600)

    late = w.server.sent[len(w.server.sent) // 2 :]
    in_vain = [sent for sent in late if sent.size > 20_000]
    assert 1 <= len(in_vain) <= 2 + len(late) / MAX_INTERVAL


@PAGES
@pytest.mark.parametrize("place", [0, 250, 499])
def test_one_event_that_a_gateway_refuses_by_itself_waits_aside_and_holds_up_no_other(
    page: Reply, place: int
) -> None:
    w = world(rate_limit=None)
    w.server.answer = up_to(4_000, page)
    w.put(place)
    (huge,) = w.put(1, size=10_000)
    w.put(999 - place)

    assert w.pipeline.flush(30) == FlushReport(delivered=999, pending=1)
    assert huge not in w.server.metered
    complaint = str(w.pipeline.health.complaint())
    assert complaint.startswith("1 event is set aside: a gateway or proxy refuses it, a request of 10,")
    assert complaint.endswith("bytes (HTTP 413)")

    w.server.answer = lambda sent: OK
    assert w.pipeline.flush(70) == FlushReport(delivered=1)
    assert w.pipeline.health.complaint() is None


def test_an_event_set_aside_by_a_gateway_is_tried_less_and_less_often() -> None:
    w = world()
    w.server.answer = up_to(4_000)
    w.put(1, size=10_000)
    w.pipeline.flush(24 * 3600)

    waits = [round(b.at - a.at) for a, b in zip(w.server.sent, w.server.sent[1:], strict=False)]
    assert waits[:6] == [60] * 5 + [120]
    assert max(waits) <= 3600


def test_once_one_that_was_set_aside_gets_through_the_others_are_tried_at_once() -> None:
    w = world()
    w.server.answer = up_to(4_000)
    w.put(3, size=10_000)
    w.pipeline.flush(10)
    w.clock.now += 50
    w.server.answer = lambda sent: OK

    assert w.pipeline.flush(11).pending == 0


@PAGES
def test_twenty_single_events_in_a_row_that_a_gateway_refuses_park_the_line(
    page: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append((error, events)))
    w.server.answer = up_to(1_024, page)
    w.put(600, size=1_000)
    w.pipeline.flush(100)

    stats = w.pipeline.health.stats()
    assert (stats.rejected, stats.pending, stats.state) == (0, 600, "parked")
    assert len(w.server.sent) < 70
    assert "20 events in a row refused by a gateway or proxy before Togai" in caplog.text
    assert "client_max_body_size" in str(w.pipeline.health.complaint())
    [(error, events)] = told
    assert (error.status, events) == (413, ())

    tried = len(w.server.sent)
    w.until_probe()
    w.pipeline.flush(1)
    assert [len(sent.ids) for sent in w.server.sent[tried:]] == [1]

    w.server.answer = lambda sent: OK
    w.until_probe()
    assert w.pipeline.flush(30) == FlushReport(delivered=600)
    assert (w.pipeline.health.state, w.pipeline.health.complaint()) == ("open", None)


def test_a_single_event_that_togai_finds_too_large_is_rejected_as_that() -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append(error))
    w.server.answer = up_to(4_000, SAID)
    w.put(300)
    w.put(1, size=10_000)

    assert w.pipeline.flush(30) == FlushReport(delivered=300, rejected=1)
    assert type(told[0]) is PayloadTooLarge


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_page_that_refuses_one_event_holds_up_no_other(status: int) -> None:
    """As a firewall may, that dislikes a word."""
    w = world(rate_limit=None)
    (bad,) = w.put(1)
    w.put(199)
    w.server.answer = lambda sent: Reply(status, b"<html>") if bad in sent.ids else OK

    assert w.pipeline.flush(600) == FlushReport(delivered=199, pending=1)
    assert f"(HTTP {status})" in str(w.pipeline.health.complaint())
    w.server.answer = lambda sent: OK
    assert w.pipeline.flush(3600) == FlushReport(delivered=1)


@pytest.mark.parametrize("status", [400, 409, 422])
def test_pages_that_refuse_everything_park_the_line_and_lose_nothing(status: int) -> None:
    w = world()
    w.put(1000)
    w.server.answer = lambda sent: Reply(status, b"<html>")
    w.pipeline.flush(8 * 3600)

    stats = w.pipeline.health.stats()
    assert (stats.rejected, stats.pending, stats.state) == (0, 1000, "parked")
    tried = len(w.server.sent)
    w.server.answer = lambda sent: OK
    w.until_probe()
    assert w.pipeline.flush(60) == FlushReport(delivered=1000)
    assert len(w.server.sent) - tried < 60


@PAGES
def test_a_limit_that_is_met_while_closing_costs_nothing(page: Reply) -> None:
    w = world()
    w.server.answer = up_to(20_000, page)
    w.put(3000)

    assert w.pipeline.close(10) == FlushReport(delivered=3000)


def test_closing_gives_up_what_a_gateway_refuses_and_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    w.server.answer = up_to(4_000)
    w.put(500)
    w.put(2, size=10_000)

    assert w.pipeline.close(10) == FlushReport(delivered=500, dropped=2)
    assert "closed with 2 events undelivered and given up" in caplog.text


@pytest.mark.parametrize("otherwise", [PAGE, SAID], ids=["page", "json"])
def test_batches_of_two_by_count_are_divided_and_go_on(otherwise: Reply) -> None:
    w = world(batch_size=2)
    w.server.answer = lambda sent: otherwise if len(sent.ids) > 1 else OK
    w.put(50)

    assert w.pipeline.flush(60) == FlushReport(delivered=50)


def test_what_is_learnt_of_a_gateway_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    w = world(rate_limit=None)
    w.server.answer = up_to(20_000)
    for _ in range(5):
        w.put(5000, size=200)
        assert w.pipeline.flush(600)
        w.clock.now += 100

    (line,) = (record.getMessage() for record in caplog.records if "bytes was refused" in record.getMessage())
    assert "as too large (HTTP 413, a page that is not Togai's); they have at most" in line


# --- a link too slow for long requests --------------------------------------------------------------------


def test_a_batch_that_is_too_long_for_the_link_goes_in_shorter_ones(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    w.server.answer = slow(w, rate=1_000)
    w.put(2000, size=200)

    assert w.pipeline.flush(1500).delivered >= 1500
    assert len([sent for sent in w.server.sent if sent.size > 30_000]) < len(w.server.sent) / 3
    assert caplog.text.count("bytes had no reply in time, a shorter one had") == 1


def test_after_an_hour_of_silence_batches_are_whole_again_within_ten_requests() -> None:
    w = world()
    w.put(20_000, size=200)
    over_at = w.clock.now + 3600

    def answer(sent: Sent) -> Reply:
        if w.clock.now >= over_at:
            return OK
        w.clock.now += 30
        return NO_REPLY

    w.server.answer = answer
    w.pipeline.flush(3600)
    tried = len(w.server.sent)
    assert w.pipeline.flush(600) == FlushReport(delivered=20_000)

    sizes = [len(sent.ids) for sent in w.server.sent[tried:]]
    assert set(sizes[10:-1]) <= {500}
    assert len(sizes) <= 20_000 / 500 + 10


@pytest.mark.parametrize("minutes", range(20, 40))
def test_whenever_silence_ends_batches_are_whole_again_within_ten_requests(minutes: int) -> None:
    w = world()
    w.put(10_000, size=200)
    over_at = w.clock.now + 60 * minutes

    def answer(sent: Sent) -> Reply:
        if w.clock.now >= over_at:
            return OK
        w.clock.now += 30
        return NO_REPLY

    w.server.answer = answer
    while w.pipeline.pending:
        w.pipeline.flush(600)

    sizes = [len(sent.ids) for sent in w.server.sent if sent.at >= over_at]
    assert set(sizes[10:-1]) <= {500}


def test_an_outage_in_which_connections_are_reset_asks_no_more_often_than_any_other() -> None:
    w = world()
    w.put(1000)
    w.server.answer = lambda sent: NO_REPLY
    w.pipeline.flush(3600)

    assert len(w.server.sent) < 3600 / 15 * 1.2


def test_a_link_that_recovers_carries_whole_batches_again() -> None:
    w = world()
    w.server.answer = slow(w, rate=1_000)
    w.put(1000, size=200)
    w.pipeline.flush(900)
    w.server.answer = lambda sent: OK
    w.put(20_000, size=200)
    assert w.pipeline.flush(600)

    assert [len(sent.ids) for sent in w.server.sent[-10:-1]] == [500] * 9


def test_what_was_cut_shorter_keeps_that_it_may_have_been_read() -> None:
    w = world([NO_REPLY, NO_REPLY])
    w.put(8, size=1_000)
    duplicate = Reply(409, b'{"message": "Duplicate Id"}')
    w.server.answer = lambda sent: duplicate

    assert w.pipeline.flush(60) == FlushReport(delivered=8)
    assert w.pipeline.health.stats().duplicates == 8


def test_silence_and_500s_in_turns_lose_nothing() -> None:
    w = world([NO_REPLY, BOOM, NO_REPLY, PAGE, NO_REPLY, BOOM] * 20)
    ids = w.put(700)

    assert w.pipeline.flush(3600) == FlushReport(delivered=700)
    assert set(ids) == set(w.server.metered)


def test_a_slow_link_at_close_gets_what_it_can_carry() -> None:
    w = world(timeout=(3, 3))
    w.server.answer = slow(w, rate=20_000, timeout=3)
    w.put(300, size=200)
    assert w.pipeline.flush(60)
    w.put(300, size=200)

    assert w.pipeline.close(10).delivered >= 200


def test_what_is_cut_off_while_shorter_requests_get_through_costs_no_long_waits() -> None:
    """As a gateway may that resets the connection before its 413 is read."""
    w = world(rate_limit=None)
    w.server.answer = up_to(20_000, NO_REPLY)
    w.put(10_000, size=200)
    began = w.clock.now

    assert w.pipeline.flush(600)
    waited = w.clock.now - began - len(w.server.sent) * w.server.latency
    assert waited < 0.5 * len(refused(w, 20_000))


def test_a_parked_line_is_probed_by_what_is_set_aside_if_there_is_nothing_else() -> None:
    w = world()
    w.server.answer = up_to(50)
    w.put(1, size=200)
    w.pipeline.flush(1)
    with w.pipeline.lock:
        assert w.pipeline.buffer.set_aside[0] == 1
        w.pipeline.gate.park(Park(403, "no", on_key=False))
    w.server.answer = lambda sent: OK
    w.until_probe()

    assert w.pipeline.flush(60).delivered == 1
    assert w.pipeline.health.stats().state == "open"
