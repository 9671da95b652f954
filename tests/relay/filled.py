"""Relays with something in them, in a real Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from togai_shipper import Event
from togai_shipper._event import id_of
from togai_shipper.relay.entries import fields_of
from togai_shipper.relay.link import Link

ROOM = 1024**3


def hand_over(
    link: Link, base_url: str, count: int, size: int = 12, *, account: str = "acme", ago: float = 0.0
) -> list[str]:
    """Add so many entries, as producers do; return the ids of their events."""
    ids: list[str] = []
    for _ in range(count):
        events = [Event("api_call", account).encode() for _ in range(size)]
        add(link, base_url, events, ago=ago)
        ids += map(id_of, events)
    return ids


def add(link: Link, base_url: str, events: Sequence[bytes], *, ago: float = 0.0) -> str:
    fields = fields_of(events, os.urandom(16), int((time.time() - ago) * 1000))
    return link.add(fields, base_url, ROOM).id
