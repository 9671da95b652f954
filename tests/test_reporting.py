"""What is told, and what is not told twice or from inside itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from virtual import OK, world

from togai_shipper import Event, FlushReport, Shipper
from togai_shipper._engine.verdict import Reply
from togai_shipper._process.threads import start_thread

FORBIDDEN = Reply(403, b'{"message": "forbidden"}')


def unused(**options: Any) -> Shipper:
    """A shipper whose first batch would go in an hour."""
    return Shipper("secret", base_url="http://127.0.0.1:1", flush_interval=3600, **options)


def test_on_error_is_not_called_for_what_goes_wrong_inside_it() -> None:
    told: list[Exception] = []

    def on_error(error: Exception, events: Any) -> None:
        told.append(error)
        shipper.track("", "acme")

    shipper = unused(on_error=on_error)
    shipper.track("", "acme")
    assert (len(told), shipper.stats().refused["invalid"]) == (1, 2)
    shipper.track("", "acme")

    assert (len(told), shipper.stats().refused["invalid"]) == (2, 4)


def test_an_attempt_that_fails_after_the_end_is_not_told_since_nothing_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world()
    w.pipeline.reporter.tell_failing(29.0, "timed out", 0)
    assert caplog.messages == []
    w.pipeline.reporter.tell_failing(29.0, "timed out", 1)
    assert caplog.messages == ["delivery has failed for 29 s (timed out); 1 event waits, it is tried again"]


def test_a_callback_inside_another_leaves_that_as_it_was() -> None:
    told: list[Any] = []

    def on_delivered(events: Any) -> None:
        w.pipeline.reporter.tell_undelivered(ValueError("from the first"))
        w.pipeline.reporter.tell_undelivered(ValueError("from the second"))

    w = world(on_delivered=on_delivered, on_error=lambda error, events: told.append(str(error)))
    w.put(1)
    w.pipeline.flush(1)

    assert told == ["from the first", "from the second"]


SLOW = "no reply yet, the way is slow: %d of 180,000 bytes of the request have gone in %d s, 6,000 a second"


def test_that_delivery_fails_is_told_once_for_each_cause_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world()
    for second in range(10, 400):
        w.clock.now += 1
        w.pipeline.reporter.tell_failing(second, SLOW % (second, second), 37)
        if second > 100:
            w.pipeline.reporter.tell_failing(second, "HTTP 503", 37)
    w.pipeline.reporter.tell_going_on(20.0, 37)  # that reply was as slow as the others
    w.pipeline.reporter.tell_going_on(0.1, 37)
    w.pipeline.reporter.tell_going_on(0.1, 36)

    assert caplog.messages == [
        f"delivery has had no reply for 10 s ({(SLOW % (10, 10)).partition(', ')[2]}); 37 events wait",
        "delivery has failed for 101 s (HTTP 503); 37 events wait, it is tried again",
        "delivery goes on; it had failed for 399 s; 37 wait",
    ]


def test_what_times_out_after_it_was_slow_is_no_other_cause(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    w.pipeline.reporter.tell_failing(12, SLOW % (1, 12), 1)
    w.pipeline.reporter.tell_failing(30, (SLOW % (2, 30)).replace("no reply yet", "no reply: timed out"), 1)

    assert len(caplog.messages) == 1


def test_what_fails_again_within_a_minute_is_told_once_that_is_over(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    for _ in range(7):
        w.pipeline.reporter.tell_failing(10, "HTTP 503", 1)
        w.pipeline.reporter.tell_going_on(0.1, 1)
        w.clock.now += 12

    assert [message.partition(" ")[2][:6] for message in caplog.messages] == ["has fa", "goes o"] * 2


def test_more_causes_than_an_operator_reads_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    for name in "abcdefgh":
        w.pipeline.reporter.tell_failing(10, f"HTTP 503, {name}", 1)

    assert len(caplog.messages) == 5


def test_a_reply_that_is_slow_to_come_is_told_and_delivery_that_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world([Reply(503, b"")] * 8)
    w.put(1)
    w.pipeline.flush(100)

    assert [message[:17] for message in caplog.messages] == ["delivery has fail", "delivery goes on;"]


def test_what_an_attempt_waits_for_is_told_from_the_tenth_second_on() -> None:
    said: list[str | None] = []

    def slow(_: object) -> Reply:
        w.pipeline.gate.note_waiting("no reply yet, the way is slow")
        said.append(w.pipeline.health.last_error())
        w.clock.now += 10
        said.append(w.pipeline.health.last_error())
        w.clock.now += 50
        said.append(w.pipeline.health.last_error())
        return OK

    w = world()
    w.server.answer = slow
    w.put(1)
    w.pipeline.flush(100)
    said.append(w.pipeline.health.last_error())

    slow_text = "no reply yet, the way is slow"
    assert said == [None, slow_text, f"every attempt of the last minute failed: {slow_text}", None]


@contextmanager
def logging_to(handler: logging.Handler) -> Iterator[None]:
    """Our log lines go to ``handler``, too."""
    logger = logging.getLogger("togai_shipper")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class Failing(logging.Handler):
    """Raises, as the handler of a log that cannot be written does if it is not careful."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("no space left on device")


def test_a_log_handler_that_raises_does_not_reach_who_tracks() -> None:
    shipper = unused()
    with logging_to(Failing()):
        assert shipper.track("", "acme") is None
        assert shipper.metered("", "acme")(lambda: 7)() == 7

    assert shipper.stats().refused["invalid"] == 2


def test_callbacks_that_close_leaves_to_the_flushers_are_made_though_none_is_left() -> None:
    told: list[Any] = []
    w = world(on_delivered=told.extend)
    ids = w.put(3)
    with w.pipeline.callbacks.deferring():  # as while close() sends beside a flusher, which then ends
        w.pipeline.flush(1)
    assert told == []
    w.pipeline.close(1)

    assert [event.id for event in told] == ids


def test_a_log_handler_is_still_recognised_after_it_made_us_log_once_more() -> None:
    shipper = unused()
    shipper.track("api_call", "acme")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shipper.close(0)  # logs, inside the line that is being logged, that an event was given up
            shipper.track("log_line", "acme")

    with logging_to(Handler()):
        shipper.track("", "acme")

    stats = shipper.stats()
    assert (stats.refused["feedback"], stats.refused["closed"]) == (2, 0)


def test_garbage_that_is_collected_while_we_log_tracks_the_applications_own_events() -> None:
    shipper = unused()

    class Garbage:
        def __del__(self) -> None:
            shipper.track("died", "acme")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            Garbage()

    with logging_to(Handler()):
        shipper.track("", "acme")

    assert (shipper.pending, shipper.stats().refused["feedback"]) == (1, 0)
    shipper.close(0)


def test_a_reply_that_comes_after_its_event_was_given_up_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.extend(events), on_delivered=told.extend)

    def given_up_meanwhile(sent: Any) -> Reply:
        w.pipeline.give_up()
        return OK

    w.server.answer = given_up_meanwhile
    ids = w.put(1)

    assert w.pipeline.flush(5) == FlushReport(dropped=1)
    assert [event.id for event in told] == ids
    assert (w.pipeline.health.stats().delivered, w.pipeline.health.stats().dropped) == (0, {"closed": 1})
    assert "a flusher failed" not in caplog.text


def test_the_end_of_a_park_is_logged_once_and_by_the_probe_that_was_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "togai_shipper")
    w = world([FORBIDDEN, FORBIDDEN])
    w.put(5)
    w.pipeline.flush(1)
    w.until_probe()
    w.pipeline.flush(1)
    assert "takes events again" not in caplog.text
    w.until_probe()
    w.pipeline.flush(1)

    assert caplog.text.count("Togai takes events again; 4 wait") == 1


def test_a_line_that_opens_and_is_parked_again_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append(error))
    w.server.answer = lambda sent: OK if sent.path == "/ingest" else FORBIDDEN
    w.put(100)
    w.pipeline.flush(59)
    assert (caplog.text.count("delivery is parked"), len(told)) == (1, 1)
    while w.pipeline.pending:
        w.clock.now += 5
        w.pipeline.flush(1)

    assert caplog.text.count("delivery is parked") == len(told) > 1
    assert w.clock.now - 1000 > 60 * (len(told) - 1)
    assert w.pipeline.health.stats().delivered == 100


def test_an_event_id_forges_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    w = world([Reply(400, b'{"message": "bad"}')])
    w.put_one("x\n2026-11-24 ERROR forged")
    w.pipeline.flush(1)

    assert [record.getMessage() for record in caplog.records] == [
        "event x 2026-11-24 ERROR forged undelivered: bad (HTTP 400); schema api_call"
    ]


def test_closing_on_a_parked_line_gives_the_reason_of_the_park(caplog: pytest.LogCaptureFixture) -> None:
    w = world([FORBIDDEN, Reply(400, b'{"message": "bad"}')])
    w.put(700)
    w.pipeline.flush(1)
    assert w.pipeline.health.stats().last_error == "parked: forbidden (HTTP 403)"
    w.pipeline.close(5)

    assert "last error: parked: forbidden (HTTP 403)" in caplog.text


def test_a_callback_does_not_wait_for_the_room_that_only_its_own_thread_can_make() -> None:
    said: list[Any] = []

    def fill(events: Any) -> None:
        if not said:
            began = w.clock.now
            w.put(1)
            said.append((w.pipeline.put_waiting(b"{}", 3.0), w.clock.now - began))

    w = world(max_queue_size=1, on_delivered=fill)
    w.put(1)
    w.pipeline.flush(1)

    assert said == [("full", 0.0)]


def test_what_close_gave_up_is_told_though_another_thread_is_inside_on_error_just_now() -> None:
    told: list[int] = []
    entered, let_go = threading.Event(), threading.Event()

    def on_error(_: Exception, events: tuple[Event, ...]) -> None:
        if not events:
            entered.set()
            let_go.wait(60)
        told.append(len(events))

    w = world(on_error=on_error)
    w.put(3)
    tell = w.pipeline.reporter.tell_undelivered
    other = threading.Thread(target=tell, args=(ValueError("of who tracks while it closes"),))
    other.start()
    assert entered.wait(60)
    w.pipeline.close(0)
    given_up = list(told)
    let_go.set()
    other.join(60)

    assert given_up == [3]


def test_calls_are_deferred_until_the_last_of_those_who_defer_them_on_a_thread_has_left() -> None:
    told: list[int] = []
    w = world(on_error=lambda error, events: told.append(1))
    callbacks = w.pipeline.callbacks
    with callbacks.deferring():
        with callbacks.deferring():
            callbacks.undelivered(ValueError("first"))
        callbacks.undelivered(ValueError("second"))
        assert not callbacks.make_deferred()
        assert told == []

    assert callbacks.make_deferred()
    assert told == [1, 1]


def test_a_close_without_time_tells_what_failed_before_and_not_that_there_was_no_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world()
    replies = iter([Reply(503, b"<html>"), Reply(None, error="no reply: timed out")])
    w.server.answer = lambda sent: next(replies, Reply(None, error="no reply: there was no time"))
    w.put(5)
    w.pipeline.close(2)

    assert (
        "5 events undelivered and given up; last error: HTTP 503, a page that is not Togai's" in caplog.text
    )


def test_a_close_tells_what_kept_events_from_going_though_others_got_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world(rate_limit=1)
    w.server.answer = lambda sent: OK if len(sent.ids) < 20 else Reply(413, b"<html>")
    w.put(100)
    w.pipeline.close(7)

    assert "given up; last error: HTTP 413, a page that is not Togai's" in caplog.text


def test_requests_that_become_shorter_are_told_with_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    w.server.answer = lambda sent: OK if len(sent.ids) < 80 else Reply(413, b"<html>")
    w.put(100)
    w.pipeline.close(50)

    assert "was refused as too large (HTTP 413, a page that is not Togai's)" in caplog.text


def bill_wrongly(shipper: Shipper) -> None:
    shipper.track("checkout", "acme", {"count": float("nan")})


def bill_wrongly_too(shipper: Shipper) -> None:
    shipper.track("checkout", "acme", {"count": float("nan")})


def line_in(function: Callable[..., object]) -> str:
    """The first line of a function's body, as the log names it."""
    return f"tests/test_reporting.py:{function.__code__.co_firstlineno + 1}"


def test_a_refused_event_is_logged_with_its_schema_and_the_line_that_tracked_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bill_wrongly(unused())

    (record,) = caplog.records
    assert record.getMessage().startswith("an event was refused (invalid): attributes[")
    assert record.getMessage().endswith(f"; schema checkout; tracked at {line_in(bill_wrongly)}")
    said = {name: value for name, value in vars(record).items() if name.startswith("togai_")}
    assert said == {
        "togai_kind": "refused invalid",
        "togai_reason": "invalid",
        "togai_field": "attributes",
        "togai_schema": "checkout",
        "togai_caller": line_in(bill_wrongly),
    }


def test_a_line_of_code_that_is_refused_again_and_again_does_not_hide_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shipper = unused()
    for _ in range(3):
        bill_wrongly(shipper)
        bill_wrongly_too(shipper)

    told = [message.rpartition(" at ")[2] for message in caplog.messages]
    assert told == [line_in(bill_wrongly), line_in(bill_wrongly_too)]


def test_an_event_that_nobody_in_sight_has_tracked_is_refused_without_a_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = threading.Event()
    shipper = unused(on_error=lambda error, events: told.set())
    start_thread(shipper.track, ("checkout", "acme", {"count": float("nan")}))

    assert told.wait(10)
    assert caplog.messages[0].endswith("; schema checkout")
