"""Every event that is refused or given up is money: an ERROR says so, and what is over is said at WARNING.

``LOSSES`` has each reason for which an event gets no bill, and what the log says of it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest
from virtual import OK, World, world

from togai_shipper import Event, Shipper
from togai_shipper import _default as default
from togai_shipper._engine.health import REFUSING
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import schema_of
from togai_shipper._intake import Intake
from togai_shipper._outcome import Drop, Refusal

HERE = "tests/test_losses.py"
TRACKED = ("checkout", "acme", {"count": 1})
DOWN = Reply(503, b'{"message": "try later"}')


@attrs.define
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def intake(w: World) -> Intake:
    """The way into a world."""
    return Intake(w.pipeline._config, w.pipeline)  # noqa: SLF001  as a shipper opens it


def track(given: Any, *event: Any) -> None:
    """The line of the application's code."""
    given.track(*(event or TRACKED), *([None] * 4 if isinstance(given, Intake) else []))


LINE = f"{HERE}:{track.__code__.co_firstlineno + 2}"


# --- how each is lost -------------------------------------------------------------------------------------


def invalid(_: Path) -> None:
    with unused() as shipper:
        track(shipper, "checkout", "acme", {"count": float("nan")})


def full(_: Path) -> None:
    w = world([DOWN] * 3, max_queue_size=1)
    for _event in range(2):
        track(intake(w))
    w.pipeline.flush(20)
    w.clock.now += REFUSING
    w.put(1)
    w.pipeline.flush(20)


def closed(_: Path) -> None:
    shipper = unused()
    shipper.close(timeout=0)
    track(shipper)


def filtered(_: Path) -> None:
    def redact(event: Event) -> Event:
        raise KeyError(event.id)

    with unused(before_send=redact) as shipper:
        track(shipper)


def misconfigured(_: Path) -> None:
    clock = Clock()
    made: list[Shipper] = []

    def make() -> Shipper:
        if not made:
            made.append(unused())
            raise default.ConfigurationError("api_key: missing")
        return made[0]

    one = default.DefaultShipper(make, clock)
    track(one.shipper())
    clock.now += default.LOOK_AGAIN
    one.shipper().close(timeout=0)


def rejected(_: Path) -> None:
    w = world([Reply(400, b'{"message": "there is no unit Fortnights"}')])
    track(intake(w))
    w.pipeline.flush(1)


def given_up(_: Path) -> None:
    w = world([DOWN])
    track(intake(w))
    w.pipeline.close(0)


def past_window(_: Path) -> None:
    w = world([Reply(None, error="no reply: timed out")])
    track(intake(w))
    w.pipeline.flush(0.1)
    w.clock.now += 40 * 86400 + 1
    w.pipeline.flush(1)


def corrupt(folder: Path) -> None:
    w = world(spool=str(folder), max_queue_size=2)
    for _event in range(4):
        track(intake(w))
        assert w.pipeline.sync(1.0)
    (path,) = folder.glob("*.db")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE event SET body = 'no event' WHERE seq = (SELECT max(seq) FROM event)")
    connection.close()
    w.pipeline.flush(10)
    w.pipeline.close(1)


def wanted(**options: Any) -> Callable[[Path], None]:
    def lose(_: Path) -> None:
        with unused(**options) as shipper:
            track(shipper)

    return lose


def feedback(_: Path) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            track(shipper)

    shipper, logger, handler = unused(), logging.getLogger("togai_shipper"), Handler()
    logger.addHandler(handler)
    try:
        shipper.track("", "acme")
    finally:
        logger.removeHandler(handler)
    assert shipper.stats().refused["feedback"] == 1


def unused(**options: Any) -> Shipper:
    """A shipper whose first batch would go in an hour."""
    return Shipper("secret", base_url="http://127.0.0.1:1", flush_interval=3600, close_timeout=0, **options)


# --- what is said of it -----------------------------------------------------------------------------------


@attrs.frozen
class Loss:
    """How events are lost for a reason, and what the log says.

    Attributes:
        lose: makes it happen, and end, if it does.
        says: what the ERROR has in it; empty: it is no loss, since the application asked for it.
        names: of schema and caller, those that are known where it is told.
        is_over: what the recovery says; empty: a loss that is over with the event itself.

    """

    lose: Callable[[Path], None]
    says: str = ""
    names: str = ""
    is_over: str = ""


CALL = f"; schema checkout; tracked at {LINE}"
LOSSES = {
    "invalid": Loss(invalid, "must be finite (float)", CALL),
    "full": Loss(full, "the buffer is full, 1 event waits", CALL, "the buffer has room again"),
    "closed": Loss(closed, "track() after close()", CALL),
    "filtered": Loss(filtered, "raised KeyError; the event is not sent", CALL),
    "misconfigured": Loss(misconfigured, "api_key: missing", "", "the options are right now"),
    "rejected": Loss(rejected, "there is no unit Fortnights", "; schema checkout"),
    "dropped closed": Loss(given_up, "closed with 1 event undelivered and given up"),
    "dropped past dedupe window": Loss(past_window, "past dedupe window", "; schema checkout"),
    "dropped corrupt": Loss(corrupt, "1 event is damaged on disk"),
    # Asked for: ``enabled=False``, ``before_send`` returns None, or a log record of our own would go round.
    "disabled": Loss(wanted(enabled=False)),
    "filtered, as asked": Loss(wanted(before_send=lambda event: None)),
    "feedback": Loss(feedback),
}


def test_every_reason_is_here() -> None:
    reasons = {*get_args(Refusal), *(f"dropped {reason}" for reason in get_args(Drop)), "rejected"}

    assert reasons == {reason for reason in LOSSES if reason != "filtered, as asked"}


@pytest.mark.parametrize("reason", LOSSES)
def test_a_loss_is_an_error_that_names_the_call_and_what_is_over_a_warning(
    reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loss = LOSSES[reason]
    loss.lose(tmp_path / "spool")

    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    errors = [text for level, text in said if level == "ERROR" and loss.says and loss.says in text]
    assert len(errors) == bool(loss.says), said
    assert all(text.endswith(loss.names) and "more like this" not in text for text in errors)
    over = [text for level, text in said if level == "WARNING" and loss.is_over and loss.is_over in text]
    assert len(over) == bool(loss.is_over), said
    if not loss.says:
        assert LINE not in caplog.text


def test_a_full_buffer_that_another_line_of_code_finds_is_told_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world(max_queue_size=1)
    for _ in range(3):
        track(intake(w))
        intake(w).track("storage", "acme", {"count": 1}, None, None, None, None)

    told = [message.partition("; schema ")[2].partition(";")[0] for message in caplog.messages]
    assert told == ["storage", "checkout"]


def test_room_is_told_once_and_not_before_a_minute_without_a_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world(max_queue_size=1)
    for _ in range(3):
        track(intake(w))
    w.pipeline.flush(5)
    assert "room again" not in caplog.text
    w.clock.now += REFUSING
    w.put(1)
    w.pipeline.flush(5)
    w.put(1)
    w.pipeline.flush(5)

    (line,) = [message for message in caplog.messages if "room again" in message]
    assert line == (
        "the buffer has room again, and has refused no event for 60 s; 2 events were refused before, and lost"
    )


def test_a_buffer_that_is_full_still_is_not_said_to_have_room_though_nobody_tracks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world([DOWN] * 100, max_queue_size=1)
    for _ in range(2):
        track(intake(w))
    w.pipeline.flush(3 * REFUSING)
    assert "room again" not in caplog.text
    assert w.pipeline.health.room_in() is None

    w.server.replies.clear()
    w.pipeline.flush(60)
    assert "room again" in caplog.text


def test_room_is_told_when_a_minute_is_over_by_a_flusher_that_waits_for_something_else() -> None:
    w = world(max_queue_size=2)
    w.server.answer = lambda sent: Reply(500) if "choking" in sent.ids else OK
    told: list[float] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "room again" in record.getMessage():
                told.append(w.clock.now - refused_at)

    logger, handler = logging.getLogger("togai_shipper"), Handler()
    logger.addHandler(handler)
    try:
        w.put_one("choking")
        w.put(1)
        track(intake(w))
        refused_at = w.clock.now
        w.pipeline.flush(200)
    finally:
        logger.removeHandler(handler)

    assert told == [pytest.approx(REFUSING, abs=0.01)]


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (b'{"schemaName":"a\\"b\\u00e9","id":"x"', 'a"b\u00e9'),
        (b'{"schemaName":"\xc3\xa9","id":"x"', "\u00e9"),
        (b'{"schemaName":"' + b"x" * 101 + b'","id":"x"', ""),
        (b'{"schemaName":"\\x","id":"x"', ""),
        (b'{"schemaName":"\xff","id":"x"', ""),
        (b"no event", ""),
        (b"", ""),
    ],
)
def test_the_schema_of_an_event_is_read_from_its_bytes(event: bytes, name: str) -> None:
    assert schema_of(event) == name
