"""posthog: an id and a time are stamped; 500 events a call."""

from __future__ import annotations

from posthog import Posthog

from . import ACCOUNT, PROPERTIES, ROOM, SCHEMA, Contender


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  one sender, no disk
    """One that runs."""
    client = Posthog("key", host=url, max_queue_size=ROOM, flush_at=500)
    return lambda: client.capture(SCHEMA, distinct_id=ACCOUNT, properties=PROPERTIES), client.shutdown
