"""Threads: when one is started, and what happens when one cannot be, or ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from insides import pipeline_of
from virtual import world

from togai_shipper import FlushReport, Shipper
from togai_shipper._config import Config
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.transport import Transport
from togai_shipper._engine.verdict import Accepted
from togai_shipper._event import encode
from togai_shipper._pipeline import Pipeline
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


class Refusing:
    """A system that starts no thread."""

    def __init__(self) -> None:
        self.attempts = 0

    def __call__(self, *_: Any) -> None:
        self.attempts += 1
        raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_started_is_tried_again_once_a_second_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = Refusing()
    w = world(thread=system)
    w.put(50)
    assert system.attempts == 1
    w.clock.now += 1
    w.put(50)

    assert system.attempts == 2
    assert "can't start new thread" in str(w.pipeline.health.complaint())
    assert caplog.text.count("no flusher thread can be started") == 1
    assert w.pipeline.flush(10) == FlushReport(delivered=100)


def test_it_is_told_once_that_threads_can_be_started_again(caplog: pytest.LogCaptureFixture) -> None:
    refusals = [RuntimeError("can't start new thread")]

    def start(*_: Any) -> None:
        if refusals:
            raise refusals.pop()

    w = world(thread=start)
    for _ in range(3):
        w.put(50)
        w.clock.now += 1

    failed, mended = caplog.messages
    assert failed.startswith("no flusher thread can be started: can't start new thread; tried again")
    assert mended == "threads can be started again"


def test_close_sends_on_its_own_thread_where_no_other_can_be_started() -> None:
    w = world(thread=Refusing())
    w.put(700)

    assert w.pipeline.close(10) == FlushReport(delivered=700)


def alive(shipper: Shipper) -> int:
    """Flusher threads of a shipper."""
    return pipeline_of(shipper).flushers.alive


def test_one_flusher_is_started_at_first_and_another_only_for_a_whole_batch_while_all_are_busy(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(batch_size=10, max_in_flight=3, flush_interval=0.01)
    shipper.track("api_call", "acme")
    assert shipper.flush(10)
    assert alive(shipper) == 1
    togai.on_request = lambda received: faults.Hold()
    for _ in range(60):
        shipper.track("api_call", "acme")

    assert togai.wait(lambda: len(togai.requests) == 4)
    assert alive(shipper) == 3
    togai.on_request = None
    togai.release()
    assert shipper.close(10)


def test_a_backlog_is_sent_by_all_flushers_once_the_first_reply_is_there(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(batch_size=10, max_in_flight=4)
    togai.on_request = lambda received: faults.Hold()
    for _ in range(100):
        shipper.track("api_call", "acme")
    assert togai.wait(lambda: len(togai.requests) == 1)
    togai.release()

    assert togai.wait(lambda: len(togai.requests) == 5)  # the first one, and then four at once
    togai.on_request = None
    togai.release()
    assert shipper.close(10)


class Ending(requests.Session):
    """A session whose first request ends the flusher that makes it."""

    kind: type[BaseException] = SystemExit
    left = 1

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]  # the same, passed on
        if type(self).left:
            type(self).left -= 1
            raise self.kind
        return super().post(*args, **kwargs)


@pytest.mark.parametrize("kind", [SystemExit, MemoryError])
def test_a_flusher_that_is_ended_is_replaced_and_its_batch_delivered(
    togai: FakeTogai, ship: Ship, kind: type[BaseException]
) -> None:
    Ending.kind, Ending.left = kind, 1
    shipper = ship(session_factory=Ending)
    ids = [shipper.track("api_call", "acme") for _ in range(40)]
    while Ending.left:
        shipper.flush(0.1)
    ids.append(shipper.track("api_call", "acme"))

    assert shipper.flush(10)
    assert togai.ledger.lost([event_id for event_id in ids if event_id]) == set()
    assert togai.ledger.billed_twice == set()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (OSError("no certificate"), "session_factory raised OSError: no certificate"),
        (None, "session_factory raised TypeError: NoneType is not a requests.Session"),
    ],
)
def test_a_session_factory_that_gives_no_session_is_told_and_asked_again(
    togai: FakeTogai, ship: Ship, made: Any, why: str
) -> None:
    failures = iter([made])
    said: list[Any] = []

    def factory() -> requests.Session:
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure
            return failure  # type: ignore[no-any-return]  # the point
        said.append(shipper.stats().last_error)
        return requests.Session()

    shipper = ship(session_factory=factory)
    shipper.track("api_call", "acme")

    assert shipper.flush(10)
    assert said == [why]
    assert shipper.stats().last_error is None


def test_close_gives_up_in_time_where_no_session_can_be_made() -> None:
    told: list[Any] = []
    config = Config.load(
        {},
        api_key="secret",
        base_url="http://127.0.0.1:1",
        session_factory=lambda: 1 / 0,
        on_error=lambda error, events: told.append((error.maybe_delivered, len(events))),
    )
    pipeline = Pipeline(config, Runtime(start_thread=Refusing()))
    pipeline.put(encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", "one"))

    assert pipeline.close(0.5) == FlushReport(dropped=1)
    assert told == [(False, 1)]


@pytest.mark.parametrize("call", ["close", "flush"])
def test_who_sends_on_its_callers_thread_ends_in_time_where_carrying_fails_again_and_again(call: str) -> None:
    attempts = []

    def connect(_: Config) -> Transport:
        attempts.append(None)
        if len(attempts) > 100:
            raise KeyboardInterrupt("it would never end")
        raise MemoryError("each time")

    config = Config.load({}, api_key="secret", base_url="http://127.0.0.1:1")
    pipeline = Pipeline(config, Runtime(start_thread=Refusing()), connect)
    pipeline.put(encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", "one"))

    assert not getattr(pipeline, call)(0.2)
    assert len(attempts) < 10


class Busy:
    """A callback that keeps the flusher which first calls it until it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        if not self.entered.is_set():
            self.entered.set()
            self.let_go.wait(60)


def test_a_callback_that_takes_its_time_holds_up_nobody_but_the_flusher_that_called_it(
    togai: FakeTogai, ship: Ship
) -> None:
    busy = Busy()
    shipper = ship(on_delivered=busy)
    shipper.track("api_call", "acme")
    assert busy.entered.wait(10)
    for _ in range(10):
        shipper.track("api_call", "acme")

    assert shipper.flush(10) == FlushReport(delivered=10)
    busy.let_go.set()
    assert shipper.close(10)
    assert togai.ledger.metered == 11


def test_what_waits_when_a_callback_begins_goes_with_another_flusher(togai: FakeTogai, ship: Ship) -> None:
    busy = Busy()
    shipper = ship(on_delivered=busy, batch_size=10, flush_interval=3600)
    for _ in range(15):
        shipper.track("api_call", "acme")
    assert busy.entered.wait(10)

    assert shipper.flush(10) == FlushReport(delivered=5)
    busy.let_go.set()


def test_close_sends_itself_what_waits_while_every_flusher_is_in_a_callback(
    togai: FakeTogai, ship: Ship
) -> None:
    busy = Busy()
    told: list[Any] = []

    def on_delivered(events: Any) -> None:
        told.append((threading.get_ident() == mine, len(events)))
        busy()

    mine = threading.get_ident()
    shipper = ship(on_delivered=on_delivered, max_in_flight=1)
    shipper.track("api_call", "acme")
    assert busy.entered.wait(10)
    for _ in range(10):
        shipper.track("api_call", "acme")
    togai.on_request = lambda received: busy.let_go.set()

    assert shipper.close(30) == FlushReport(delivered=10)
    assert told == [(False, 1), (False, 10)]


def test_a_callback_that_never_returns_does_not_keep_close_from_its_end(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    busy = Busy()

    def hang(events: Any) -> None:
        busy.entered.set()
        busy.let_go.wait(60)

    shipper = ship(on_delivered=hang, max_in_flight=1)
    shipper.track("api_call", "acme")
    assert busy.entered.wait(10)
    for _ in range(10):
        shipper.track("api_call", "acme")

    assert shipper.close(1) == FlushReport(delivered=10)
    assert "1 call of on_delivered not made, with 10 events: an earlier one has not returned" in caplog.text
    busy.let_go.set()


def test_close_makes_the_calls_that_a_flusher_cannot_make_since_its_request_hangs(
    togai: FakeTogai, ship: Ship
) -> None:
    told: list[tuple[str, int]] = []
    shipper = ship(
        on_delivered=lambda events: told.append(("delivered", len(events))),
        on_error=lambda error, events: told.append((type(error).__name__, len(events))),
    )
    stuck = shipper.track("api_call", "acme")
    togai.poison(lambda event: event["accountId"] == "bad")
    togai.on_request = lambda received: faults.Hold() if stuck in received.ids else None
    assert togai.wait(lambda: len(togai.requests) == 1)
    for _ in range(40):
        shipper.track("api_call", "acme")
    shipper.track("api_call", "bad")

    assert shipper.close(2) == FlushReport(delivered=40, rejected=1, dropped=1)
    assert told.index(("EventRejected", 1)) < told.index(("EventDropped", 1))
    assert sum(count for kind, count in told if kind == "delivered") == 40
    togai.release()


def test_on_error_is_not_called_from_inside_itself_by_who_makes_the_calls_that_were_left(
    togai: FakeTogai, ship: Ship
) -> None:
    busy = Busy()
    told: list[str] = []

    def on_error(error: Exception, events: Any) -> None:
        told.append(type(error).__name__)
        shipper.track("api_call", "acme")  # refused: it is closing

    shipper = ship(on_delivered=lambda events: busy(), on_error=on_error, max_in_flight=1)
    shipper.track("api_call", "acme")
    assert busy.entered.wait(10)
    togai.poison(lambda event: event["accountId"] == "bad")
    shipper.track("api_call", "bad")
    togai.on_request = lambda received: busy.let_go.set()

    assert shipper.close(30) == FlushReport(rejected=1)
    assert told == ["EventRejected"]


def test_a_callback_that_the_end_of_close_makes_may_close_once_more(togai: FakeTogai, ship: Ship) -> None:
    over = threading.Event()
    reports: list[FlushReport] = []

    def on_error(error: Exception, events: Any) -> None:
        reports.append(shipper.close(60))
        if events:
            over.set()

    togai.set_api_key("another")
    shipper = ship(on_error=on_error)
    shipper.track("api_call", "acme")

    assert over.wait(20)
    assert reports == [FlushReport(pending=1), FlushReport(dropped=1)]


def test_a_shorter_close_ends_a_longer_one_that_hangs_in_a_request_of_its_own(
    togai: FakeTogai, ship: Ship
) -> None:
    told: list[int] = []
    shipper = ship(on_error=lambda error, events: told.append(len(events)))
    togai.on_request = lambda received: faults.Hold()
    shipper.track("api_call", "acme")
    assert togai.wait(lambda: len(togai.requests) == 1)
    for _ in range(200):
        shipper.track("api_call", "acme")
    longer = threading.Thread(target=shipper.close, args=(60,))
    longer.start()
    assert togai.wait(lambda: len(togai.requests) > 1)

    pipeline_of(shipper).hasten(1)  # as the end of the process does
    assert shipper.close() == FlushReport(dropped=201)
    assert sum(told) == 201
    togai.release()
    longer.join()


def test_a_request_that_hangs_does_not_keep_a_flush_from_sending_what_came_after_it(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship()
    shipper.track("api_call", "acme")
    assert shipper.flush(10)
    togai.on_request = lambda received: faults.Hold() if "stuck" in received.ids else None
    shipper.track("api_call", "acme", event_id="stuck")
    assert togai.wait(lambda: len(togai.requests) == 2)
    for _ in range(10):
        shipper.track("api_call", "acme")

    assert shipper.flush(0.5) == FlushReport(delivered=10, pending=1)
    togai.release()
    assert shipper.close(10)
    assert togai.ledger.metered == 12


@pytest.mark.parametrize("waiting", [3, 300])
def test_close_joins_in_where_the_only_flusher_waits_for_a_reply_that_does_not_come(
    togai: FakeTogai, ship: Ship, waiting: int
) -> None:
    shipper = ship()
    togai.on_request = lambda received: faults.Hold() if "stuck" in received.ids else None
    shipper.track("api_call", "acme", event_id="stuck")
    assert togai.wait(lambda: len(togai.requests) == 1)
    for _ in range(waiting):
        shipper.track("api_call", "acme")

    assert shipper.close(2.5) == FlushReport(delivered=waiting, dropped=1)
    assert togai.ledger.metered == waiting


def test_what_is_on_the_wire_when_it_is_given_up_is_told_as_perhaps_delivered(
    togai: FakeTogai, ship: Ship
) -> None:
    told: list[Any] = []
    shipper = ship(
        on_error=lambda error, events: told.append((error.maybe_delivered, error.attempts, len(events)))
    )
    togai.on_request = lambda received: faults.Hang(ingest="all")
    for _ in range(3):
        shipper.track("api_call", "acme")
    assert togai.wait(lambda: len(togai.requests) > 0)

    assert shipper.close(0.5) == FlushReport(dropped=3)
    assert told == [(True, 1, 3)]


def test_another_flusher_is_called_for_events_that_wait_beyond_their_time_and_none_before() -> None:
    started: list[Any] = []
    w = world(thread=lambda *_: started.append(1), flush_interval=5)
    w.pipeline.gate.on_verdict(Accepted())
    w.put(1)
    assert len(started) == 1
    w.clock.now += 5
    assert w.take()
    w.put(1)
    w.clock.now += 4
    w.put(1)
    w.pipeline.carrying.on_failing("HTTP 504")  # as before each backoff
    assert len(started) == 1
    w.clock.now += 2
    w.put(1)
    assert len(started) == 2
    assert w.take()
    w.put(1)
    w.clock.now += 6
    w.pipeline.carrying.on_failing("HTTP 504")

    assert len(started) == 3


def test_no_flusher_is_started_for_what_can_no_longer_be_sent() -> None:
    started: list[Any] = []
    w = world(thread=lambda *_: started.append(1), flush_interval=5)
    w.pipeline.gate.on_verdict(Accepted())
    w.put(1)
    assert w.take()
    w.put(1)
    w.pipeline.begin_closing(3.0)
    w.clock.now += 3
    w.pipeline.flushers.ensure()

    assert len(started) == 1


def test_a_flush_behind_a_first_request_that_hangs_calls_another_flusher_after_five_seconds() -> None:
    started: list[Any] = []
    w = world(thread=lambda *_: started.append(w.clock.now), batch_size=1)
    w.put(1)
    assert w.take()
    assert w.pipeline.gate.enter("/ingestBatch", lambda: 2000.0)
    w.put(1)
    w.pipeline.flush(9)

    assert started == [1000.0, 1005.0]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_flusher_ended_in_a_callback_is_told_of_and_replaced_though_nothing_more_is_tracked(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    endings = iter([kind])

    def end(events: Any) -> None:
        for ending in endings:
            raise ending

    shipper = ship(on_delivered=end, batch_size=10)
    for _ in range(15):
        shipper.track("api_call", "acme")

    assert togai.wait(lambda: togai.ledger.metered == 15)
    shipper.close(10)  # the other has sent the last of them perhaps before this one was told of
    assert f"a flusher was ended by {kind.__name__}, no event is lost" in caplog.text


def test_a_shipper_that_is_collected_leaves_no_thread_behind(togai: FakeTogai) -> None:
    shipper = Shipper("secret", base_url=togai.url)
    shipper.track("api_call", "acme")
    assert shipper.flush(10)
    pipeline = pipeline_of(shipper)  # what it leaves behind
    del shipper

    until = time.monotonic() + 10
    while pipeline.flushers.alive and time.monotonic() < until:
        pipeline.line.progress.wait(pipeline.line.progress.rings, 0.05)
    assert (pipeline.flushers.alive, pipeline.health.state) == (0, "closed")


def test_close_leaves_no_thread_behind(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(batch_size=5)
    for _ in range(100):
        shipper.track("api_call", "acme")
    shipper.close(10)

    assert alive(shipper) == 0


def test_a_thread_that_is_not_ours_to_name_does_all_that_a_flusher_does(togai: FakeTogai) -> None:
    threads: list[threading.Thread] = []

    def start(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
        threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        threads[-1].start()

    config = Config.load({}, api_key="secret", base_url=togai.url, flush_interval=0.01)
    pipeline = Pipeline(config, Runtime(start_thread=start))
    pipeline.put(encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", "one"))
    assert togai.wait(lambda: togai.ledger.metered == 1)
    pipeline.begin_closing(10)  # with nobody who waits for it: the last flusher to end finishes
    for thread in threads:
        thread.join(10)

    assert pipeline.health.state == "closed"


def test_the_default_shipper_may_be_configured_before_its_first_use() -> None:
    program = (
        "import togai_shipper as t; t.configure(enabled=False); assert t.track('a', 'b'); assert t.close()"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
