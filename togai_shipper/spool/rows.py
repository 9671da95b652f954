"""What the spool keeps of an event, and how damage to it is noticed. Pure."""

from __future__ import annotations

import zlib
from typing import Any, Final

import attrs

from togai_shipper._engine.dedupe_window import DEDUPE_WINDOW
from togai_shipper._event import is_encoded

PAST_WINDOW: Final = "past dedupe window"
ASKED_FOR = 2  # in the column ``known``: as 1, and an operator has asked for it
ROW_BYTES = 40  # about what a row takes on disk beside its body
CORRUPT: Final = (
    "corrupt"  # damaged on disk, or no event: what is left of it can be looked at, and is never sent
)


@attrs.frozen
class Row:
    """One pending event on disk.

    Attributes:
        seq: the event's place in its file.
        accepted_ms: when it was accepted, in milliseconds, by the clock of its file. Who adopts the event
            writes the time that is as long ago by the clock of his own.
        known: whether Togai may know its id already: an earlier process may have sent it, or the caller chose
            the id.
        body: the event, encoded.
        is_asked_for: an operator has asked for it to be sent, however old it is.

    """

    seq: int
    accepted_ms: int
    known: bool
    body: bytes
    is_asked_for: bool = False


@attrs.frozen
class DeadLetter:
    """An event that was not delivered and will not be, until somebody replays it.

    Attributes:
        id: the event's id.
        accepted_ms: as in ``Row``.
        body: the event, encoded.
        reason: ``rejected``, ``past dedupe window`` or ``corrupt``.
        status: Togai's HTTP status, if there was a reply.
        message: what Togai said, or why the event was given up.
        attempts: how many requests were made with it.
        dead_ms: when it became a dead letter, by the wall clock, in milliseconds.

    """

    id: str
    accepted_ms: int
    body: bytes
    reason: str
    status: int | None
    message: str
    attempts: int
    dead_ms: int


def is_old(accepted_ms: int, now_ms: int) -> bool:
    """Tell whether Togai may have forgotten the id of an event that was accepted then."""
    return now_ms - accepted_ms > DEDUPE_WINDOW * 1000


def is_past_window(letter: DeadLetter, now_ms: int) -> bool:
    """Tell whether Togai may have forgotten the letter's id: a replay might then be billed a second time."""
    return letter.reason == PAST_WINDOW or is_old(letter.accepted_ms, now_ms)


def checksum(accepted_ms: int, known: bool, body: bytes) -> int:  # noqa: FBT001  a row's columns
    """Return the checksum of a row. SQLite's own pages have none, and a flipped bit may change a bill.

    It equals ``crc32(body, checksum(accepted_ms, known, b""))``, which is quicker for many rows alike.
    """
    return zlib.crc32(body, zlib.crc32(b"%d,%d" % (accepted_ms, known)))


def is_sound(accepted_ms: Any, known: Any, body: Any, crc: Any) -> bool:
    """Tell whether a row is as it was written, and its body an event: nothing else may be sent.

    A checksum keeps no secret: whoever may write into the directory can make one that is right.
    """
    return is_whole(accepted_ms, known, body, crc) and is_encoded(body)


def is_whole(accepted_ms: Any, known: Any, body: Any, crc: Any) -> bool:
    """Tell whether the columns of a row are as they were written."""
    return (
        isinstance(accepted_ms, int)
        and isinstance(body, bytes)
        and checksum(accepted_ms, bool(known), body) == crc
    )
