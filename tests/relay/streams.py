"""What lies in a relay's stream, as a drainer would find it."""

from __future__ import annotations

import json

from togai_shipper.relay.entries import Entry, read
from togai_shipper.relay.link import Link


def entries(url: str, name: str = "togai") -> list[Entry]:
    link = Link(url, name)
    try:
        found: list[Entry] = []
        while part := link.read(found[-1].id if found else "0", 1000):
            found += [read(*each) for each in part]
        return found
    finally:
        link.close()


def ids(url: str, name: str = "togai") -> list[str]:
    """The ids of all events, in their order; some may be there twice."""
    return [json.loads(event)["id"] for entry in entries(url, name) for event in entry.events]
