"""A dead letter of the relay: what ``{name}:dead`` holds under an event's id, as JSON. Pure.

    {"v": 1, "reason": "rejected", "status": 400, "message": "...", "attempts": 1,
     "accepted_ms": ..., "dead_ms": ..., "body": "..."}

The body is a text with the encoded event, since a replayed event goes out byte for byte as it came in. What
is there may come from anybody who can write to that Redis: what is no letter of ours is read as a corrupt
one, which is shown, never sent, and can be purged.
"""

from __future__ import annotations

import json
from typing import Any

from togai_shipper._event import id_of, is_encoded
from togai_shipper.spool.rows import CORRUPT, DeadLetter

FORMAT = 1  # what this version writes, and the newest that it reads
_MOST = 2**63  # what a number stays below
_KINDS = {"v": int, "reason": str, "message": str, "attempts": int, "accepted_ms": int, "dead_ms": int}


def encode(letter: DeadLetter) -> bytes:
    """Return the JSON of a letter; the hash has its id as the field's name."""
    return json.dumps(
        {
            "v": FORMAT,
            "reason": letter.reason,
            "status": letter.status,
            "message": letter.message,
            "attempts": letter.attempts,
            "accepted_ms": letter.accepted_ms,
            "dead_ms": letter.dead_ms,
            "body": letter.body.decode("utf-8", "surrogateescape"),
        },
        separators=(",", ":"),
    ).encode()


def read(event_id: str, text: bytes) -> DeadLetter:
    """Return the letter that stands under this id; a corrupt one where it is none of ours."""
    try:
        said = json.loads(text)
        _check(event_id, said)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _NotOurs) else "it is no JSON"
        return DeadLetter(event_id, 0, text, CORRUPT, None, f"no letter of ours: {why}", 0, 0)
    return DeadLetter(
        id=event_id,
        accepted_ms=said["accepted_ms"],
        body=said["body"].encode(),
        reason=said["reason"],
        status=said["status"],
        message=said["message"],
        attempts=said["attempts"],
        dead_ms=said["dead_ms"],
    )


class _NotOurs(ValueError):  # noqa: N818  a finding; never leaves this module
    """What is there is no letter of ours."""


def _check(event_id: str, said: Any) -> None:
    if not isinstance(said, dict) or said.keys() != {*_KINDS, "status", "body"}:
        raise _NotOurs("it has other fields")
    for name, kind in _KINDS.items():
        if type(said[name]) is not kind or (kind is int and not 0 <= said[name] < _MOST):
            raise _NotOurs(f"its field {name} is wrong")
    if said["v"] > FORMAT:
        raise _NotOurs(f"it has format {said['v']}, of a newer version")
    if said["status"] is not None and type(said["status"]) is not int:
        raise _NotOurs("its field status is wrong")
    _check_body(event_id, said["body"])


def _check_body(event_id: str, text: Any) -> None:
    try:
        body = text.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise _NotOurs("its body is no text") from error
    if not is_encoded(body):
        raise _NotOurs("its body is no event")
    if id_of(body) != event_id:
        raise _NotOurs("its event has another id")
