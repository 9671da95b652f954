"""sentry-sdk, as a metric an event, compressed: a time is stamped, no id.

Its events and logs go in smaller batches (1 and 100). Of metrics it sends 1000 a call, and drops what comes
while 10,000 wait; neither can be set, but room behind them can.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import sentry_sdk
from sentry_sdk import metrics

from . import ACCOUNT, PROPERTIES, ROOM, SCHEMA, Contender, Value

BATCH = 1_000


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  one sender, no disk
    """One that runs."""
    sentry_sdk.init(f"http://key@{urlsplit(url).netloc}/1", transport_queue_size=ROOM // BATCH)
    client = sentry_sdk.get_client()
    attributes: dict[str, Value] = {"account": ACCOUNT, **PROPERTIES}
    return lambda: metrics.count(SCHEMA, 1, attributes=attributes), lambda: client.close(timeout=600)
