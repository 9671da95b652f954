"""A shipper on the sandbox, with its own threads: what is not billed is told, all else goes on as it was."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from insides import pipeline_of

import togai_shipper
from togai_shipper import Finding, Shipper
from togai_shipper._config import Config
from togai_shipper._engine.bell import Bell
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.transport import Transport, connected
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode, fresh_id
from togai_shipper._pipeline import Pipeline
from togai_shipper.testing import FakeTogai, RecordedEvents, faults

KEY = "secret-key-of-a-test"
SCHEMA = "INGESTION_FAILED_SCHEMA_NOT_DEFINED"
HASTE = 20.0  # times as fast as the world's
HOURS = 20_000.0  # the same, where hours are to pass


class HurriedBell(Bell):
    """Whoever waits for it waits a part of the time."""

    def __init__(self, haste: float) -> None:
        super().__init__()
        self._haste = haste

    def wait(self, rings: Any, timeout: float | None) -> None:
        super().wait(rings, None if timeout is None else timeout / self._haste)


class Told:
    """An ``on_unbilled`` that can be waited for."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._came = threading.Event()

    def __call__(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._came.set()

    def wait(self) -> Finding:
        assert self._came.wait(30)
        self._came.clear()
        return self.findings[-1]


class Hanging(Transport):
    """Delivers, and hangs in look-ups."""

    entered, let_go = threading.Event(), threading.Event()

    def look_up(self, *args: Any, **named: Any) -> Reply:
        self.entered.set()
        self.let_go.wait(60)
        return Reply(None, error="timed out")


@pytest.fixture
def fake() -> Iterator[FakeTogai]:
    with FakeTogai(KEY, rate_limit=None, schemas=["api_call"]) as togai:
        yield togai


def hurried(togai: FakeTogai, connect: Any = connected, haste: float = HASTE, **options: Any) -> Pipeline:
    """A pipeline that looks up once a second, by a clock that is fast."""
    runtime = Runtime(clock=lambda: time.monotonic() * haste, bell=lambda: HurriedBell(haste))
    given = {"api_key": KEY, "base_url": togai.url, "flush_interval": 0.1, "verify": 60, **options}
    return Pipeline(Config.load({}, **given), runtime, connect)


def put(pipeline: Pipeline, schema: str) -> str:
    event_id = fresh_id()
    event = encode(schema, "acme", {"n": 1}, {}, "2026-09-21T14:13:20.000Z", event_id)
    assert pipeline.put(event) is None
    return event_id


def test_a_mistyped_schema_is_told_while_all_else_is_as_it_was(
    fake: FakeTogai, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    pipeline = hurried(fake, on_unbilled=told)
    event_id = put(pipeline, "api_cal")
    finding = told.wait()

    assert (finding.event_id, finding.schema_name, finding.status) == (event_id, "api_cal", SCHEMA)
    stats = pipeline.health.stats()
    assert (stats.looked_up, stats.unbilled) == ({SCHEMA: 1}, {SCHEMA: 1})
    assert (stats.delivered, stats.pending, stats.requests, stats.replies) == (1, 0, 1, {202: 1})
    assert pipeline.health.complaint() is None
    assert [request.path for request in fake.requests] == ["/ingestBatch", f"/events/{event_id}"]
    assert [record.levelname for record in caplog.records if record.name == "togai_shipper"] == ["ERROR"]
    assert KEY not in caplog.text
    assert pipeline.close(10)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.01)  # between looks at a condition for which nothing rings


@pytest.mark.parametrize(
    ("status", "is_unbilled"),
    [
        ("INGESTION_FAILED_UNITS_INVALID", True),
        ("INGESTION_FAILED_ENRICHMENT_FAILED", True),
        ("INGESTION_FAILED_ACCOUNT_NOT_FOUND", False),
        ("INGESTION_COMPLETED_EVENT_NOT_METERED", False),
        ("INGESTION_COMPLETED_EVENT_METERED", False),
        ("UNKNOWN", False),
    ],
)
def test_each_status_of_togais_is_counted_as_it_comes(
    fake: FakeTogai,
    status: str,
    is_unbilled: bool,  # noqa: FBT001  a case
) -> None:
    fake.ends_in = lambda event: status
    pipeline = hurried(fake)
    put(pipeline, "api_call")
    until(lambda: pipeline.health.stats().looked_up)

    stats = pipeline.health.stats()
    assert (stats.looked_up, stats.unbilled) == ({status: 1}, {status: 1} if is_unbilled else {})
    pipeline.close(10)


@pytest.mark.parametrize("reply", [200, 404, 400])
def test_an_event_that_togai_never_shows_is_counted_as_unseen_and_nobody_is_called(
    fake: FakeTogai, caplog: pytest.LogCaptureFixture, reply: int
) -> None:
    fake.unknown_event, fake.events_lag = reply, 10**9
    told = Told()
    pipeline = hurried(fake, haste=HOURS, on_unbilled=told)
    put(pipeline, "api_cal")
    until(lambda: pipeline.health.stats().looked_up)

    assert pipeline.health.stats().looked_up == {"unseen": 1}
    assert len([each for each in fake.requests if each.path.startswith("/events/")]) == 5
    assert (told.findings, pipeline.health.stats().unbilled) == ([], {})
    assert [record for record in caplog.records if record.name == "togai_shipper"] == []
    pipeline.close(10)


def test_look_ups_that_fail_hang_and_lie_are_made_again(fake: FakeTogai) -> None:
    told = Told()
    fake.script_lookups(
        faults.Html(503), faults.Reset(), faults.Hang(), faults.Cut(), faults.Refuse(429), faults.Refuse(500)
    )
    pipeline = hurried(fake, haste=2_000.0, timeout=(1, 0.2), on_unbilled=told)
    event_id = put(pipeline, "api_cal")

    assert told.wait().event_id == event_id
    stats = pipeline.health.stats()
    assert (stats.requests, stats.looked_up) == (1, {SCHEMA: 1})
    pipeline.close(10)


def test_a_key_without_the_right_to_look_up_ends_it_with_one_line(
    fake: FakeTogai, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "togai_shipper")
    fake.may_look_up = False
    pipeline = hurried(fake)
    put(pipeline, "api_call")
    until(lambda: not pipeline.verifying.is_on)
    put(pipeline, "another")
    assert pipeline.close(10).delivered == 1

    lines = [record.getMessage() for record in caplog.records if record.name == "togai_shipper"]
    assert lines == [
        "delivered events are not looked up by this process: Togai answers look-ups with HTTP 403"
    ]


def test_close_does_not_wait_for_a_look_up_that_hangs(fake: FakeTogai) -> None:
    Hanging.entered.clear()

    def connect(config: Config) -> Transport:
        return Hanging(config.base_url, config.timeout)

    pipeline = hurried(fake, connect)
    put(pipeline, "api_call")
    assert Hanging.entered.wait(30)
    put(pipeline, "api_call")

    assert pipeline.close(10).delivered == 1
    assert pipeline.shutdown.is_done
    Hanging.let_go.set()


def test_nothing_of_a_shipper_is_left_once_it_is_closed_though_a_look_up_was_to_come(fake: FakeTogai) -> None:
    pipeline = Pipeline(Config.load({}, api_key=KEY, base_url=fake.url), Runtime())
    put(pipeline, "api_call")
    assert pipeline.flush(10)
    verifying = pipeline.verifying
    until(partial(getattr, verifying._bell, "waiting"))  # noqa: SLF001  that is the scenario
    assert pipeline.close(10)
    left = weakref.ref(verifying)
    del pipeline, verifying

    until(lambda: gc.collect() >= 0 and left() is None)


def test_a_callback_may_close_the_shipper(fake: FakeTogai) -> None:
    told = Told()
    closed = threading.Event()

    def on_unbilled(finding: Finding) -> None:
        told(finding)
        pipeline.close(10)
        closed.set()

    pipeline = hurried(fake, on_unbilled=on_unbilled)
    put(pipeline, "api_cal")

    assert closed.wait(30)
    pipeline.close(10)
    assert pipeline.shutdown.is_done


def test_what_a_log_handler_tracks_of_our_own_look_ups_is_no_event(fake: FakeTogai) -> None:
    told = Told()
    pipeline = hurried(fake, on_unbilled=told)
    was_feedback = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "/events/" in record.getMessage():
                was_feedback.append(pipeline.is_feedback())

    handler, library = Handler(), logging.getLogger("urllib3")
    before = library.level
    library.addHandler(handler)
    library.setLevel(logging.DEBUG)
    try:
        put(pipeline, "api_cal")
        told.wait()
    finally:
        library.removeHandler(handler)
        library.setLevel(before)
    assert was_feedback
    assert all(was_feedback)
    pipeline.close(10)


def test_a_shipper_looks_up_by_default_and_none_that_hands_over_to_a_relay() -> None:
    assert Config.load({}, api_key=KEY).verify == 0.1
    assert Config.load({"TOGAI_VERIFY": "2.5"}, api_key=KEY).verify == 2.5
    assert Config.load({"TOGAI_RELAY": "redis://localhost", "TOGAI_VERIFY": "60"}).verify == 0


def test_what_is_recorded_in_a_test_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGAI_VERIFY", "60")
    with RecordedEvents() as recorded:
        recorded.shipper.track("api_cal", "acme")
        assert len(recorded) == 1

        assert pipeline_of(recorded.shipper).verifying.is_on is False


@pytest.mark.parametrize("value", [-1, 61, float("nan"), "often", True, None])
def test_how_many_look_ups_there_are_is_checked(value: Any) -> None:
    with pytest.raises(
        togai_shipper.ConfigurationError, match=r"^verify: must be look-ups a minute, 0 to 60"
    ):
        Shipper(KEY, verify=value)
