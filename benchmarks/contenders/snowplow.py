"""snowplow-tracker: an id and a time are stamped; 500 events a call, on a session that keeps its connection.

It logs each call unless told not to.
"""

from __future__ import annotations

import logging

import requests
from snowplow_tracker.emitters import AsyncEmitter
from snowplow_tracker.events.self_describing import SelfDescribing
from snowplow_tracker.self_describing_json import SelfDescribingJson
from snowplow_tracker.subject import Subject
from snowplow_tracker.tracker import Tracker

from . import ACCOUNT, PROPERTIES, ROOM, SCHEMA, Contender

IGLU = f"iglu:com.example/{SCHEMA}/jsonschema/1-0-0"


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  one sender, no disk
    """One that runs."""
    logging.getLogger("snowplow_tracker.emitters").setLevel(logging.WARNING)
    emitter = AsyncEmitter(url, batch_size=500, buffer_capacity=ROOM, session=requests.Session())
    tracker = Tracker("usage", emitter, subject=Subject().set_user_id(ACCOUNT), app_id="api")

    def track() -> object:
        return tracker.track(SelfDescribing(SelfDescribingJson(IGLU, PROPERTIES)))

    return track, emitter.sync_flush
