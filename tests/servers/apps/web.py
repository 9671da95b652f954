"""What the web servers serve: it tracks in requests, and at import if told to, and notes every id."""

from __future__ import annotations

import json
import os
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


if os.environ.get("METRICS"):
    REGISTRY.register(ShipperCollector(shipper))
if os.environ.get("AT_IMPORT") in ("track", "flush"):
    track(1)
if os.environ.get("AT_IMPORT") == "flush":
    shipper.flush()
    while not shipper._pipeline.flushers.bell.waiting:  # noqa: SLF001  uWSGI forks as it stands
        time.sleep(0.001)  # between looks at a condition for which nothing rings: its thread rests


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """``/`` answers at once, ``/slow`` after two seconds, ``/stuck`` never, and holds up gevent's hub."""
    tracked = track(3)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(2)  # the slow request itself, in which a test stops the server; nobody waits by it
    if environ["PATH_INFO"] == "/stuck":
        os.read(never, 1)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(tracked).encode()]
