"""The library over real HTTP, judged by the server's own ledger."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from togai_shipper import EventDropped, EventRejected, PayloadTooLarge, Shipper, Unauthorized
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


def track(shipper: Shipper, count: int, **dimensions: str) -> list[str]:
    ids = [shipper.track("api_call", "acme", {"count": n}, dimensions) for n in range(count)]
    assert all(ids)
    return ids  # type: ignore[return-value]  # asserted


def everything_that_can_go_wrong(seed: int) -> Callable[[Any], faults.Fault | None]:
    """A fault for every third request, each kind in its turn."""
    rng = random.Random(seed)
    ingest = itertools.cycle(("none", "half", "all"))
    kinds: list[Callable[[], faults.Fault]] = [
        lambda: faults.Partial("A", bad=(3, 7)),
        lambda: faults.Partial("B", bad=(0,)),
        lambda: faults.Partial("C", bad=(1,)),
        lambda: faults.Partial("details", bad=(2,)),
        lambda: faults.Refuse(500, ingest=next(ingest)),
        lambda: faults.Refuse(503, ingest=next(ingest)),
        lambda: faults.Refuse(408, ingest=next(ingest)),
        lambda: faults.Html(502, ingest=next(ingest)),
        lambda: faults.Html(400, ingest=next(ingest)),
        faults.Throttle,
        lambda: faults.Throttle(0),
        lambda: faults.Throttle(0, status=503),
        lambda: faults.Reset(ingest=next(ingest)),
        lambda: faults.Cut(ingest=next(ingest)),
        lambda: faults.Empty(200, ingest=next(ingest)),
        lambda: faults.Answer(200, b"<html>log in</html>", "text/html", ingest=next(ingest)),
        lambda: faults.Answer(206, ingest=next(ingest)),
        lambda: faults.Raw(b"HTTP/1.1 103 Early\r\n\r\n", ingest=next(ingest)),
        lambda: faults.Raw(b"\x16\x03garbage", ingest=next(ingest)),
        lambda: faults.Raw(ingest=next(ingest)),
        lambda: faults.Huge(3_000_000, ingest=next(ingest)),
        lambda: faults.Drip(0.005, ingest=next(ingest)),
        lambda: faults.Drip(0.005, "headers", ingest=next(ingest)),
        lambda: faults.Hang(ingest=next(ingest)),
        lambda: faults.Refuse(422),
        lambda: faults.Refuse(413),
    ]
    turns = itertools.cycle(rng.sample(kinds, len(kinds)))

    def fault(received: Any) -> faults.Fault | None:
        if received.number % 3 or len(received.events) < 20:
            return None
        return next(turns)()

    return fault


def test_every_event_of_eight_threads_is_metered_once_while_a_third_of_all_replies_fail(
    togai: FakeTogai, ship: Ship
) -> None:
    togai.on_request = everything_that_can_go_wrong(seed=7)
    shipper = ship(timeout=(1, 0.5), batch_size=100)
    ids: list[str] = []

    def work() -> None:
        ids.extend(track(shipper, 2000))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = shipper.close(timeout=90)

    stats = shipper.stats()
    assert len(set(ids)) == 16_000
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.billed_twice == set()
    assert togai.ledger.metered == 16_000
    assert (stats.accepted, stats.delivered, stats.rejected, stats.dropped, stats.pending) == (
        16_000,
        16_000,
        0,
        {},
        0,
    )
    assert report


def test_one_poison_event_of_500_is_rejected_with_the_servers_message_and_the_others_are_delivered(
    togai: FakeTogai, ship: Ship
) -> None:
    told: list[Any] = []
    shipper = ship(on_error=lambda error, events: told.append((error, events)), flush_interval=60)
    ids = track(shipper, 321)
    poison = shipper.track("api_call", "acme", {"count": 1}, {"region": "nowhere"})
    ids += track(shipper, 178)
    togai.poison(poison, message="unknown region")

    report = shipper.flush(30)
    shipper.close()  # the callbacks, too, have been called

    assert not report
    assert (report.delivered, report.rejected, report.pending) == (499, 1, 0)
    assert togai.ledger.lost(ids) == set()
    assert len(togai.requests) <= 25
    [(error, (event,))] = told
    assert isinstance(error, EventRejected)
    assert (error.status, error.message, event.id) == (400, "unknown region", poison)


@pytest.mark.parametrize("shape", ["A", "B", "C", "details"])
def test_a_207_of_any_shape_rejects_the_events_that_are_bad_and_nobody_else(
    togai: FakeTogai, ship: Ship, shape: Any
) -> None:
    told: list[Any] = []
    shipper = ship(
        on_error=lambda error, events: told.extend(event.id for event in events), flush_interval=60
    )
    ids = track(shipper, 50)
    bad = {ids[7]} if shape == "B" else {ids[7], ids[30]}

    def refuse_the_bad(received: Any) -> faults.Fault | None:
        if received.path == "/ingestBatch":
            return faults.Partial(shape, bad=lambda event: event["id"] in bad)
        return faults.Refuse(400, "no such meter") if set(received.ids) & bad else None

    togai.on_request = refuse_the_bad
    report = shipper.flush(30)
    shipper.close()

    assert (report.delivered, report.rejected) == (50 - len(bad), len(bad))
    assert set(told) == bad
    assert togai.ledger.lost(ids) == bad


def test_a_refused_key_parks_delivery_and_a_right_one_delivers_everything(
    togai: FakeTogai, ship: Ship
) -> None:
    parked = threading.Event()
    told: list[Any] = []

    def on_error(error: Exception, events: Any) -> None:
        told.append((error, events))
        parked.set()

    shipper = ship(api_key="wrong", on_error=on_error)
    ids = track(shipper, 1200)
    assert parked.wait(10)

    assert not shipper.flush(30)  # returns at once: nothing will move
    assert len(togai.requests) == 1
    assert not shipper.healthy
    assert shipper.stats().state == "parked"
    assert shipper.pending == 1200
    [(error, events)] = told
    assert isinstance(error, Unauthorized)
    assert (error.status, events) == (401, ())

    shipper.set_api_key("secret")
    assert shipper.flush(30)
    assert togai.ledger.lost(ids) == set()
    assert shipper.healthy
    assert shipper.stats().state == "open"


def test_a_key_that_is_renewed_by_a_callable_is_tried_once_more_at_once(togai: FakeTogai, ship: Ship) -> None:
    keys = iter(["expired", "secret"])
    shipper = ship(api_key=lambda: next(keys))
    track(shipper, 3)

    assert shipper.flush(30)
    assert [request.status for request in togai.requests] == [401, 202]


def test_a_server_that_refuses_everything_parks_delivery_after_20_and_the_rest_is_kept(
    togai: FakeTogai, ship: Ship
) -> None:
    parked = threading.Event()
    shipper = ship(on_error=lambda error, events: events or parked.set())
    togai.poison(lambda event: True, message="account suspended")
    ids = track(shipper, 1500)
    assert parked.wait(20)
    shipper.flush(0.1)

    stats = shipper.stats()
    assert (stats.rejected, stats.pending, stats.state) == (20, 1480, "parked")
    assert "account suspended" in str(stats.last_error)

    togai.cure()
    shipper.set_api_key("secret")  # as a person does who has mended it: no wait for the next probe
    report = shipper.flush(30)

    assert (report.delivered, report.pending) == (1480, 0)
    assert len(togai.ledger.lost(ids)) == 20


def test_an_event_on_which_the_server_always_fails_stays_pending_and_holds_up_no_other(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = ship(flush_interval=0.005)
    togai.poison("poison", status=500, message="boom")
    ids = track(shipper, 777)
    shipper.track("api_call", "acme", event_id="poison")
    ids += track(shipper, 1222)

    assert any(shipper.flush(0.2).pending == 1 and not shipper.healthy for _ in range(300))
    assert togai.ledger.lost(ids) == set()
    assert shipper.stats().delivered == 1999
    assert "set aside" in str(shipper.stats().last_error)
    assert "event poison is set aside" in caplog.text


def test_no_flusher_sends_during_a_retry_after(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(max_in_flight=4, batch_size=50)
    track(shipper, 50)
    assert shipper.flush(10)
    togai.script(None, faults.Throttle(2))
    ids = track(shipper, 1000)
    assert shipper.flush(30)

    throttled = next(request for request in togai.requests if request.status == 429)
    later = [request.at - throttled.at for request in togai.requests if request.at > throttled.at]
    assert [wait for wait in later if 0.3 < wait < 2] == []  # at first, what was sent before the 429 was read
    assert max(later) >= 2
    assert togai.ledger.lost(ids) == set()


def test_501_events_at_close_are_one_batch_and_one_straggler(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    togai.script(faults.Slow(0.2))  # so that close() finds one batch on its way, and one event left
    track(shipper, 501)

    assert shipper.close()
    assert [(request.path, len(request.ids)) for request in togai.requests] == [
        ("/ingestBatch", 500),
        ("/ingest", 1),
    ]


def test_2750_events_at_close_are_batches_alone(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    track(shipper, 2750)

    assert shipper.close()
    assert {request.path for request in togai.requests} == {"/ingestBatch"}
    assert max(len(request.ids) for request in togai.requests) <= 500
    assert sum(len(request.ids) for request in togai.requests) == 2750


def test_a_batch_that_keeps_failing_while_closing_is_tried_as_a_batch_to_the_end(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60, single_ingest_limit=0)
    ids = track(shipper, 12)
    togai.on_request = lambda received: faults.Refuse(503)

    assert shipper.close(timeout=1.5).dropped == 12
    assert {(request.path, request.ids) for request in togai.requests} == {("/ingestBatch", tuple(ids))}
    assert shipper.stats().dropped == {"closed": 12}


def test_stragglers_end_with_the_first_that_finds_the_line_dead(togai: FakeTogai, ship: Ship) -> None:
    told: list[Any] = []
    shipper = ship(flush_interval=60, on_error=lambda error, events: told.append((error, events)))
    ids = track(shipper, 5)
    togai.on_request = lambda received: faults.Reset()

    report = shipper.close(timeout=1)

    assert (report.dropped, report.pending) == (5, 0)
    assert {request.ids for request in togai.requests} == {
        (ids[0],)
    }  # tried until a third of the time was left
    assert {event.id for _, events in told for event in events} == set(ids)
    assert all(isinstance(error, EventDropped) for error, _ in told)
    assert shipper.stats().dropped == {"closed": 5}


def test_a_batch_that_is_too_large_is_halved_and_later_ones_are_smaller(togai: FakeTogai, ship: Ship) -> None:
    togai.max_body_bytes = 80_000
    shipper = ship(flush_interval=60)
    ids = track(shipper, 2000, note="x" * 150)

    assert shipper.flush(30)
    assert togai.ledger.lost(ids) == set()
    refused = [request for request in togai.requests if request.status == 422]
    assert len(refused) < len(togai.requests) / 2


def test_one_event_that_is_too_large_for_the_server_is_rejected_alone(togai: FakeTogai, ship: Ship) -> None:
    told: list[Any] = []
    togai.max_body_bytes = 70_000
    shipper = ship(flush_interval=60, on_error=lambda error, events: told.append((error, events)))
    ids = track(shipper, 20)
    large = shipper.track("api_call", "acme", {}, {f"d{n}": "x" * 200 for n in range(400)})

    report = shipper.flush(30)
    shipper.close()

    assert (report.delivered, report.rejected) == (20, 1)
    [(error, (event,))] = told
    assert isinstance(error, PayloadTooLarge)
    assert event.id == large
    assert togai.ledger.lost(ids) == set()


def test_a_duplicate_of_a_request_whose_reply_was_lost_is_delivered(togai: FakeTogai, ship: Ship) -> None:
    togai.duplicate_reply = 409
    togai.script(faults.Reset(ingest="half"))
    shipper = ship(flush_interval=60)
    ids = track(shipper, 40)

    assert shipper.flush(30)
    assert shipper.stats().duplicates == 20
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.billed_twice == set()


def test_an_idempotency_key_bills_once_however_often_the_job_runs(togai: FakeTogai, ship: Ship) -> None:
    togai.duplicate_reply = 409
    for _ in range(2):
        with ship() as shipper:
            event_id = shipper.track("job", "acme", {"count": 1}, idempotency_key="order-7/line-1")

    assert togai.ledger.get(event_id).metered == 1
    assert shipper.stats().duplicates == 1


def test_a_fresh_id_that_the_server_calls_a_duplicate_is_a_clash_and_rejected(
    togai: FakeTogai, ship: Ship
) -> None:
    told: list[Any] = []
    togai.script(faults.Refuse(409, "duplicate event id"))
    shipper = ship(flush_interval=60, on_error=lambda error, events: told.append(str(error)))
    track(shipper, 1)

    assert shipper.flush(30).rejected == 1
    shipper.close()
    assert "id clash" in told[0]


@pytest.mark.parametrize("status", [302, 403, 404, 405, 418])
def test_a_line_that_is_refused_is_parked_and_probed_by_one_event(
    togai: FakeTogai, ship: Ship, status: int
) -> None:
    parked = threading.Event()
    shipper = ship(on_error=lambda error, events: parked.set(), flush_interval=60)
    togai.on_request = lambda received: faults.Answer(status, headers={"Location": "http://127.0.0.1:1/"})
    ids = track(shipper, 700)
    assert parked.wait(10)
    assert shipper.stats().state == "parked"

    togai.on_request = None
    shipper.set_api_key("secret")
    assert shipper.flush(30)
    first, probe, *_ = togai.requests
    assert (len(first.ids), probe.path, len(probe.ids)) == (500, "/ingest", 1)
    assert togai.ledger.lost(ids) == set()


def test_a_lost_connection_and_a_server_that_is_not_there_are_waited_out(ship: Ship) -> None:
    with FakeTogai(api_key="secret") as first:
        port = int(first.url.rsplit(":", 1)[1])
    shipper = ship(base_url=f"http://127.0.0.1:{port}")
    ids = track(shipper, 700)
    assert not shipper.flush(0.2)
    assert shipper.stats().retries > 0

    with FakeTogai(api_key="secret", port=port) as again:
        assert shipper.flush(30)
        assert again.ledger.lost(ids) == set()
        assert shipper.close()


def test_close_sends_a_backlog_on_all_its_threads_though_only_one_was_at_work(
    togai: FakeTogai, ship: Ship
) -> None:
    """An application that tracks a burst and ends before the first reply, when one request goes alone."""
    togai.on_request = lambda received: faults.Hold()
    shipper = ship(flush_interval=60, batch_size=10, max_in_flight=4)
    for _ in range(100):
        shipper.track("api_call", "acme")
    assert togai.wait(lambda: len(togai.requests) == 1)

    with ThreadPoolExecutor(1) as executor:
        closing = executor.submit(shipper.close, 60)
        assert togai.wait(lambda: shipper.stats().state == "closing")
        togai.release()
        assert togai.wait(lambda: len(togai.requests) >= 1 + 4)
        togai.on_request = None
        togai.release()
        assert closing.result(60)
    assert togai.ledger.metered == 100
