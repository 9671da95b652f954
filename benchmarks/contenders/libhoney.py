"""libhoney: a time is stamped, no id; 500 events a call (it sends 501), by 10 senders, compressed.

It sends a UDP packet to statsd for each event.
"""

from __future__ import annotations

from libhoney.client import Client
from libhoney.transmission import Transmission

from . import ACCOUNT, PROPERTIES, ROOM, SCHEMA, Contender


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  10 senders, no disk
    """One that runs."""
    transmission = Transmission(
        max_batch_size=500,
        max_pending=ROOM,
        max_responses=ROOM,  # close() waits for room
    )
    client = Client("key", "usage", api_host=url, transmission_impl=transmission)
    data = {"name": SCHEMA, "account": ACCOUNT, **PROPERTIES}
    return lambda: client.new_event(data).send(), client.close
