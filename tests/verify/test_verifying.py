"""Delivered events are looked up on a thread of its own, and what Togai does not bill is told.

What that thread does is done here on the test's own, in virtual time.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from virtual import VirtualBell, world

from togai_shipper import Finding
from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.look_ups import ACCOUNT_NOT_FOUND, DUPLICATE, IN_PROGRESS, METERED, NOT_METERED
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.transport import NoSession
from togai_shipper._engine.verdict import Park, Reply
from togai_shipper._engine.verifying import Verifying
from togai_shipper._event import ChosenId, encode, fresh_id
from togai_shipper._outcome import Delivered, Rejected, Relayed
from togai_shipper.exceptions import EventRejected

SCHEMA = "INGESTION_FAILED_SCHEMA_NOT_DEFINED"
DAY = 86_400.0


class World:
    """Look-ups beside a pipeline that sends nothing: what is delivered is said by the test."""

    def __init__(self, **options: Any) -> None:
        self.told: list[Finding] = []
        self.statuses: dict[str, list[str]] = {}  # by schema: of the records of each event
        self.answer: Callable[[str], Reply] = self.records
        self.threads = 0
        self.at_rest, self.goes_on = threading.Semaphore(0), threading.Semaphore(0)
        self.until = 0.0
        self.asked: list[tuple[float, str, str]] = []  # when, with which key, after which schema
        self.closed = 0
        self.events: dict[str, Any] = {}
        idle = world(**{"on_unbilled": self.told.append, **options})
        self.clock = idle.clock
        self.pipeline = pipeline = idle.pipeline
        config = Config.load({}, **{"api_key": "secret", "base_url": "http://127.0.0.1:1", **options})
        self.verifying = Verifying(
            config,
            Runtime(
                clock=self.clock,
                wall=lambda: 1_790_000_000.0,
                random=lambda: 0.5,
                bell=lambda: StoppingBell(self),
                start_thread=self._start,
            ),
            pipeline.lock,
            pipeline.shutdown,
            pipeline.gate,
            pipeline.key,
            self,  # type: ignore[arg-type]  # as far as it is asked
            pipeline.flushers,
            pipeline.reporter,
        )
        pipeline.key.current()  # who delivers has asked for it

    # --- Togai ---

    def connect(self) -> Any:
        return self

    def close(self) -> None:
        self.closed += 1

    def look_up(self, key: Any, time_left: float, may_begin: Callable[[], bool], event_id: str) -> Reply:
        assert time_left == 10
        if not may_begin():
            return Reply(None, error="given up", sent=False)
        self.asked.append((self.clock.now, key.reveal(), self.events[event_id]["schemaName"]))
        self.clock.now += 0.1
        return self.answer(event_id)

    def records(self, event_id: str) -> Reply:
        event = self.events[event_id]
        records = [
            {"eventPayload": event, "ingestionStatus": {"status": status, "statusDescription": "so it is"}}
            for status in self.statuses.get(event["schemaName"], [METERED])
        ]
        return Reply(200, json.dumps({"events": records}).encode())

    # --- the application ---

    def deliver(
        self, *schemas: str, account: str = "acme", made: type[bytes] = bytes, attempts: int = 1
    ) -> None:
        """An event of each schema is delivered, all in one batch."""
        bodies = []
        for schema in schemas:
            event_id = fresh_id()
            bodies.append(made(encode(schema, account, {"n": 1}, {}, "2026-09-21T14:13:20.000Z", event_id)))
            self.events[event_id] = json.loads(bodies[-1])
        batch = Batch(bodies, 0, 0.0, attempts=attempts, maybe_read=attempts > 1)
        self.verifying.note_settled([Delivered(bodies)], batch)

    def run(self, seconds: float = 1200.0) -> None:
        """Let that much time pass for the thread that looks up, if there is one."""
        until = self.clock.now + seconds
        if self.threads:
            assert self.at_rest.acquire(timeout=10)
            self.until = until
            self.goes_on.release()
            assert self.at_rest.acquire(timeout=10)
            self.at_rest.release()
        self.clock.now = max(self.clock.now, until)

    def _start(self, function: Callable[..., None], arguments: tuple[object, ...]) -> None:
        def run() -> None:
            function(*arguments)
            self.threads -= 1
            self.at_rest.release()

        self.threads += 1
        threading.Thread(target=run, daemon=True).start()

    @property
    def looked_up(self) -> Any:
        with self.pipeline.lock:
            return self.verifying.figures()["looked_up"]

    @property
    def unbilled(self) -> Any:
        with self.pipeline.lock:
            return self.verifying.figures()["unbilled"]


class StoppingBell(VirtualBell):
    """Stops the thread that would wait for longer than the test lets it, until the test goes on."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock)
        self._world = world

    def wait(self, rings: Any, timeout: float | None) -> None:
        world = self._world
        if timeout is None or world.clock.now + timeout > world.until:
            world.at_rest.release()
            world.goes_on.acquire()  # for good, where the test has ended: else it would fail in the next one
        elif self.rings is rings:
            world.clock.now += timeout


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """What is logged, with its level."""
    caplog.set_level(logging.INFO, "togai_shipper")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


Lines = Callable[[], list[tuple[str, str]]]


# --- what is found -----------------------------------------------------------------------------------------


def test_a_mistyped_schema_is_told_by_log_figures_and_callback_within_ten_minutes(lines: Lines) -> None:
    w = World()
    w.statuses["api_cal"] = [SCHEMA]
    w.deliver("api_cal")
    w.run(600)

    assert (w.looked_up, w.unbilled) == ({SCHEMA: 1}, {SCHEMA: 1})
    [finding] = w.told
    assert finding == Finding(
        next(iter(w.events)),
        "api_cal",
        "acme",
        "2026-09-21T14:13:20.000Z",
        SCHEMA,
        "so it is",
        finding.remedy,
    )
    text = (
        f"event {finding.event_id} of schema api_cal was delivered, and Togai does not bill it: {SCHEMA}"
        " (so it is); no event schema has this name: correct it in the code, or define it in Togai; then"
        " have Togai process the events again (POST /events/correction?action=REDO with account_id and"
        " event_id)"
    )
    assert lines() == [("ERROR", text)]


def test_what_is_metered_is_counted_and_nothing_else(lines: Lines) -> None:
    w = World()
    w.deliver("api_call")
    w.run()

    assert (w.looked_up, w.unbilled, w.told, lines()) == ({METERED: 1}, {}, [], [])


@pytest.mark.parametrize(
    ("status", "helps"),
    [
        (NOT_METERED, "price plan"),
        ("INGESTION_COMPLETED_NO_MATCHING_METERS", "make a usage meter"),
        (ACCOUNT_NOT_FOUND, "within 24 hours"),
    ],
)
def test_what_may_be_meant_or_mends_itself_is_a_warning_and_calls_nobody(
    lines: Lines, status: str, helps: str
) -> None:
    w = World()
    w.statuses["api_call"] = [status]
    w.deliver("api_call")
    w.run()

    assert (w.looked_up, w.unbilled, w.told) == ({status: 1}, {}, [])
    [(level, text)] = lines()
    assert level == "WARNING"
    assert helps in text


def test_each_failure_of_a_schema_is_logged_once_and_counted_and_called_back_each_time(lines: Lines) -> None:
    w = World()
    w.statuses = {"a": [SCHEMA], "b": ["INGESTION_FAILED_UNITS_INVALID"]}
    for _ in range(3):
        w.deliver("a", "b")
        w.run(2 * DAY)

    assert sum(w.unbilled.values()) == len(w.told) == 6
    assert [level for level, _ in lines()] == ["ERROR", "ERROR"]


def test_each_account_that_is_missing_is_told_once(lines: Lines) -> None:
    w = World()
    w.statuses["a"] = [ACCOUNT_NOT_FOUND]
    for account in ("one", "two", "two", "one"):
        w.deliver("a", account=account)
        w.run()

    assert w.looked_up == {ACCOUNT_NOT_FOUND: 4}
    assert [level for level, _ in lines()] == ["WARNING", "WARNING"]


@pytest.mark.parametrize(
    ("made", "attempts", "status", "level"),
    [
        (bytes, 1, "duplicate_alone", ["WARNING"]),
        (bytes, 2, "duplicate_alone", ["WARNING"]),
        (ChosenId, 1, "duplicate_alone", ["WARNING"]),
        (ChosenId, 2, "duplicate", []),
    ],
)
def test_repetitions_alone_are_told_after_six_hours_unless_another_may_have_sent_the_original(
    lines: Lines, made: type[bytes], attempts: int, status: str, level: list[str]
) -> None:
    w = World()
    w.statuses["a"] = [DUPLICATE, DUPLICATE]
    w.deliver("a", made=made, attempts=attempts)
    w.run(6 * 3600)
    assert w.looked_up == {}
    w.run(3600)

    assert w.looked_up == {status: 1}
    assert w.unbilled == ({status: 1} if level else {})
    assert [finding.status for finding in w.told] == ([status] if level else [])
    assert [each for each, _ in lines()] == level


@pytest.mark.parametrize(
    ("statuses", "counted"), [([], "unseen"), ([IN_PROGRESS], IN_PROGRESS), (["REVERTED"], "REVERTED")]
)
def test_what_has_no_last_word_is_only_counted(lines: Lines, statuses: list[str], counted: str) -> None:
    w = World()
    w.statuses["a"] = statuses
    w.deliver("a")
    w.run(DAY)

    assert (w.looked_up, w.unbilled, lines()) == ({counted: 1}, {}, [])


def test_only_what_is_delivered_is_looked_up() -> None:
    w = World()
    body = encode("a", "acme", {"n": 1}, {}, "2026-09-21T14:13:20.000Z", fresh_id())
    error = EventRejected(400, "no", 1)
    w.verifying.note_settled([Relayed([body]), Rejected([body], error), Delivered([])], Batch([body], 0, 0.0))
    w.run()

    assert w.threads == 0


# --- when there are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"verify": 0}, {"enabled": False}])
def test_look_ups_can_be_off(options: dict[str, Any]) -> None:
    w = World(**options)
    w.deliver("a")
    w.run()

    assert (w.threads, w.asked) == (0, [])


def test_a_401_ends_look_ups_until_events_are_delivered_with_another_key(lines: Lines) -> None:
    w = World()
    w.answer = lambda _: Reply(401, b'{"message": "no"}')
    w.deliver("a")
    w.run()
    for _ in range(3):
        w.deliver("a", "b")
        w.run(DAY)
    assert len(w.asked) == 1

    w.answer = w.records
    w.pipeline.set_api_key("another")
    w.run(DAY)
    assert len(w.asked) == 1
    w.pipeline.key.current()  # as it is delivered with
    w.deliver("a")
    w.run(DAY)
    assert {key for _, key, _ in w.asked[1:]} == {"another"}
    assert w.looked_up[METERED] == len(w.asked) - 1 == 2
    assert [level for level, _ in lines()] == ["WARNING"]


def test_while_the_line_is_parked_nothing_is_looked_up_and_later_not_at_once() -> None:
    w = World()
    w.deliver("a")
    with w.pipeline.lock:
        w.pipeline.gate.park(Park(401, "no", on_key=True))
    w.run(DAY)
    assert (w.asked, w.closed) == ([], 0)

    opened = w.clock.now
    with w.pipeline.lock:
        w.pipeline.gate.parking.open()
    w.run(DAY)
    assert w.asked[0][0] - opened > 200
    assert w.looked_up == {METERED: 1}


def test_where_the_line_is_parked_while_a_connection_is_made_nothing_is_asked() -> None:
    w = World()
    w.deliver("a")
    opened = w.look_up

    def parked(key: Any, time_left: float, may_begin: Callable[[], bool], event_id: str) -> Reply:
        with w.pipeline.lock:
            w.pipeline.gate.park(Park(503, "no", on_key=False))
        return opened(key, time_left, may_begin, event_id)

    w.look_up = parked  # type: ignore[method-assign]  # the scenario
    w.run(3600)

    assert w.asked == []


@pytest.mark.parametrize("reply", [Reply(403, b"{}"), Reply(405, b"{}"), Reply(200, b"<html>"), Reply(302)])
def test_who_gets_no_answer_asks_no_more_and_says_so_in_one_line(lines: Lines, reply: Reply) -> None:
    w = World()
    w.answer = lambda _: reply
    for _ in range(3):
        w.deliver("a", "b")
        w.run(DAY)

    assert len(w.asked) == 1
    [(level, text)] = lines()
    assert level == "INFO"
    assert text.startswith(
        f"delivered events are not looked up by this process: Togai answers look-ups with HTTP {reply.status}"
    )


def test_nothing_is_counted_while_togai_gives_no_word() -> None:
    w = World()
    w.answer = lambda _: Reply(None, error="timed out")
    w.deliver("a")
    w.run(DAY)
    assert len(w.asked) == 144
    assert w.looked_up == {}

    w.answer = w.records
    w.run()
    assert w.looked_up == {METERED: 1}


def test_a_session_factory_that_fails_is_asked_again_later() -> None:
    w = World()
    failures = [NoSession("session_factory raised OSError"), NoSession("again")]

    def answer(event_id: str) -> Reply:
        if failures:
            raise failures.pop()
        return w.records(event_id)

    w.answer = answer
    w.deliver("a")
    w.run(3600)

    assert (len(w.asked), w.looked_up) == (3, {METERED: 1})
    assert w.closed == 3


def test_a_thread_that_is_ended_is_replaced_and_its_sample_kept(lines: Lines) -> None:
    w = World()
    failures: list[BaseException] = [SystemExit(), MemoryError()]

    def answer(event_id: str) -> Reply:
        if failures:
            raise failures.pop()
        return w.records(event_id)

    w.answer = answer
    w.deliver("a")
    for _ in range(3):
        w.run(900)

    assert w.looked_up == {METERED: 1}
    assert [text for _, text in lines()] == [
        "the thread that looks events up was ended by MemoryError; delivery goes on",
        "the thread that looks events up was ended by SystemExit; delivery goes on",
    ]


def test_a_callback_that_raises_stays_without_effect(lines: Lines) -> None:
    w = World(on_unbilled=lambda finding: 1 / 0)
    w.statuses = {"a": [SCHEMA], "b": [SCHEMA]}
    w.deliver("a", "b")
    w.run()

    assert w.unbilled == {SCHEMA: 2}
    assert [text for level, text in lines() if "raised" in text] == [
        "on_unbilled raised; nothing is lost"
    ] * 2


def test_the_thread_ends_when_the_shipper_closes() -> None:
    w = World()
    w.deliver("a")
    w.run(10)
    assert w.threads == 1
    with w.pipeline.lock:
        w.pipeline.shutdown.begin(w.clock.now, 1.0, is_probing=False)
    w.verifying.end()
    w.run(1)
    assert w.threads == 0

    w.deliver("b")
    assert (w.threads, w.asked) == (0, [])
