"""amplitude-analytics: an id and a time are stamped; 500 events a call of its batch API, by 16 senders.

It has no bound for its queue. A line in the log for each event is switched off.
"""

from __future__ import annotations

from amplitude import Amplitude, BaseEvent, Config
from amplitude.constants import EventLogLevel

from . import ACCOUNT, PROPERTIES, SCHEMA, Contender


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  16 senders, no disk
    """One that runs."""
    client = Amplitude(
        "key",
        Config(
            flush_queue_size=500,
            use_batch=True,
            server_url=f"{url}/batch",
            min_id_length=len(ACCOUNT),
            event_log_level=EventLogLevel.NONE,
        ),
    )

    def track() -> object:
        return client.track(BaseEvent(SCHEMA, user_id=ACCOUNT, event_properties=PROPERTIES))

    return track, client.shutdown
