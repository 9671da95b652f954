"""segment-analytics-python: an id and a time are stamped; 500 events a call, which it ends at 475 KB."""

from __future__ import annotations

from segment.analytics.client import Client

from . import ACCOUNT, PROPERTIES, ROOM, SCHEMA, Contender


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  one sender, no disk
    """One that runs."""
    client = Client("key", host=url, max_queue_size=ROOM, upload_size=500)
    return lambda: client.track(ACCOUNT, SCHEMA, PROPERTIES), client.shutdown
