"""What the web servers serve: it tracks in requests, and at import if told to, and notes every id."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from togai_shipper import Shipper
from togai_shipper.contrib.prometheus import ShipperCollector

shipper = Shipper()
never, _held_open = os.pipe()


def track(count: int) -> dict[str, Any]:
    tracked = {"pid": os.getpid(), "ids": [shipper.track("api_call", "acme") for _ in range(count)]}
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps(tracked) + "\n")
    return tracked


def sleepers() -> list[tuple[str, str]]:
    """What the system says of each other thread: its state, and how often it has gone to sleep."""
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    texts = [Path(f"/proc/self/task/{each.native_id}/status").read_text() for each in others]
    lines = [dict(line.split(":\t", 1) for line in text.splitlines()) for text in texts]
    return [(each["State"], each["voluntary_ctxt_switches"]) for each in lines]


def wait_until_all_sleep() -> None:
    """Return when every other thread has slept on. One that waits to run Python asks for it each 5 ms."""
    while True:
        before = sleepers()
        time.sleep(0.05)  # the time over which the system is asked; no thread of ours is waited for by it
        if before == sleepers() and all(state.startswith("S") for state, _ in before):
            return


if os.environ.get("METRICS"):
    REGISTRY.register(ShipperCollector(shipper))
if os.environ.get("AT_IMPORT") in ("track", "flush"):
    track(1)
if os.environ.get("AT_IMPORT") == "flush":
    shipper.flush()
    wait_until_all_sleep()  # uWSGI forks as it stands: in the child nobody would end what one of them began


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """``/`` answers at once, ``/slow`` after two seconds, ``/stuck`` never, and holds up gevent's hub."""
    tracked = track(3)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(2)  # the slow request itself, in which a test stops the server; nobody waits by it
    if environ["PATH_INFO"] == "/stuck":
        os.read(never, 1)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(tracked).encode()]
