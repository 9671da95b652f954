"""A program that tracks, notes what was accepted and what it was told, and ends in the way it is asked to."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from togai_shipper import Event, Shipper

logging.basicConfig()
how, notes = sys.argv[1], Path(sys.argv[2]).open("a", buffering=1)  # noqa: SIM115  open to the very end


def on_error(error: Exception, events: tuple[Event, ...]) -> None:
    """Note what was given up."""
    notes.write("".join(f"dropped {event.id}\n" for event in events))


shipper = Shipper(on_error=on_error, flush_interval=60, handle_sigterm=how == "sigterm, handled")


def track(count: int) -> None:
    """Note what was accepted."""
    for _ in range(count):
        event_id = shipper.track("api_call", "acme", {"count": 1})
        if event_id:
            notes.write(f"accepted {event_id}\n")


def track_for_ever() -> None:
    """As a daemon thread does that nobody stops."""
    while True:
        track(1)


def outlive_main() -> None:
    """Track once more after the main thread has ended."""
    threading.main_thread().join()
    track(5)


track(700)
notes.write(f"ending {time.monotonic()}\n")
match how:
    case "end of main":
        pass
    case "sys.exit":
        sys.exit(3)
    case "exception":
        raise LookupError("as programs do")
    case "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(60)
    case "sigterm, handled" | "sigterm, not handled":
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(60)
    case "os._exit":
        os._exit(4)
    case "daemon threads":
        for _ in range(4):
            threading.Thread(target=track_for_ever, daemon=True).start()
    case "a thread outlives main":
        threading.Thread(target=outlive_main).start()
