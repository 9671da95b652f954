"""The id by which an event is counted once: random, chosen, or derived from an idempotency key."""

from __future__ import annotations

import json
import os
import re
import uuid
from contextlib import suppress
from typing import Any

from togai_shipper.exceptions import InvalidEvent

from .fields import MAX_ID, checked_account_id, checked_schema_name, checked_text, kind_of

#: The namespace of ids made from an ``idempotency_key``. Frozen for ever: another one would bill twice.
IDEMPOTENCY_NAMESPACE = uuid.UUID("9eb775de-57c7-4dc1-b6c0-5d7a8c180f59")

# The first one in a body is the event's: quotes inside strings are escaped.
_KEY = b'"id":"'
_ID = re.compile(rb'"id":("[^"\\]*(?:\\.[^"\\]*)*")')


class ChosenId(bytes):
    """Holds an encoded event whose id the caller chose: a duplicate of it was sent by the caller, earlier."""

    __slots__ = ()


def fresh_id() -> str:
    """Return a random id, unique across threads, forks and copied machines, since the kernel makes it."""
    return os.urandom(16).hex()


def derived_id(schema_name: str, account_id: str, key: Any) -> str:
    """Return the id of an ``idempotency_key``: for the same three texts the same one, for ever."""
    if not isinstance(key, str):
        raise InvalidEvent("idempotency_key", f"must be a str, not {kind_of(key)}")
    name = json.dumps([schema_name, account_id, key], ensure_ascii=True, separators=(",", ":"))
    return str(uuid.uuid5(IDEMPOTENCY_NAMESPACE, name))


def chosen_id(schema_name: Any, account_id: Any, event_id: Any, idempotency_key: Any) -> str:
    """Return the id that the caller chose, by itself or by a key of its business."""
    if idempotency_key is None:
        return checked_text("event_id", event_id, 1, MAX_ID)
    if event_id is not None:
        raise InvalidEvent("event_id", "and idempotency_key exclude each other: give one of them")
    if idempotency_key == "":  # a missing order number: it would bill all orders of an account once
        raise InvalidEvent("idempotency_key", "must not be empty (str)")
    return derived_id(checked_schema_name(schema_name), checked_account_id(account_id), idempotency_key)


def id_of(body: bytes) -> str:
    """Read the id of an encoded event, without the rest of it; empty where the bytes have none."""
    start = body.find(_KEY) + len(_KEY)  # as it nearly always stands: found in a third of the time
    if start >= len(_KEY) and (id_alone := body[start : body.find(b'"', start)]).isalnum():
        return id_alone.decode()
    found = _ID.search(body)
    if found and (plain := found[1][1:-1]).replace(b"-", b"").isalnum():
        return plain.decode()
    with suppress(ValueError, TypeError, LookupError, RecursionError):  # the bytes are no event
        if found and "\\" not in (plain := found[1][1:-1].decode()) and plain.isprintable():
            return plain
        event_id = json.loads(found[1]) if found else json.loads(body)["id"]
        if isinstance(event_id, str):
            return event_id
    return ""
