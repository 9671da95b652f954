"""What is kept of an event, and how damage to it shows. Pure."""

from __future__ import annotations

import zlib
from typing import Any

import attrs

from togai_shipper._engine.settlement import DEDUPE_WINDOW

PAST_WINDOW = "past dedupe window"
ROW_BYTES = 40  # about what a row takes on disk beside its body
CORRUPT = "corrupt"  # damaged on disk: what is left of such an event is kept to be looked at, never sent


@attrs.frozen
class Row:
    """One pending event on disk.

    Attributes:
        seq: its place in its file.
        accepted_ms: wall clock at which it came to disk first, in milliseconds; kept when it is adopted.
        known: Togai may know its id already: an earlier process may have sent it, or the caller chose it.
        body: the event, encoded.

    """

    seq: int
    accepted_ms: int
    known: bool
    body: bytes


@attrs.frozen
class DeadLetter:
    """An event that was not delivered and will not be, until somebody replays it.

    Attributes:
        id: the event's.
        accepted_ms: as in ``Row``.
        body: the event, encoded.
        reason: ``rejected``, ``past dedupe window`` or ``corrupt``.
        status: Togai's HTTP status, if there was a reply.
        message: what Togai said, or why it is here.
        attempts: requests made with it.
        dead_ms: wall clock at which it was buried, in milliseconds.

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
    """Whether Togai may have forgotten the id of an event that was accepted then."""
    return now_ms - accepted_ms > DEDUPE_WINDOW * 1000


def is_past_window(letter: DeadLetter, now_ms: int) -> bool:
    """Whether Togai may have forgotten the id: if it has the event already, it would bill it again."""
    return letter.reason == PAST_WINDOW or is_old(letter.accepted_ms, now_ms)


def checksum(accepted_ms: int, known: bool, body: bytes) -> int:  # noqa: FBT001  a row's columns
    """What guards a row: SQLite's own pages carry none, and a flipped bit may be somebody's bill.

    It can be taken further from that of an empty body, ``crc32(body, checksum(accepted_ms, known, b""))``.
    """
    return zlib.crc32(body, zlib.crc32(b"%d,%d" % (accepted_ms, known)))


def is_whole(accepted_ms: Any, known: Any, body: Any, crc: Any) -> bool:
    """Whether the columns of a row are as they were written."""
    return (
        isinstance(accepted_ms, int)
        and isinstance(body, bytes)
        and checksum(accepted_ms, bool(known), body) == crc
    )
