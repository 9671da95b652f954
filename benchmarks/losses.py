"""What arrives of 1,000 events when something goes wrong: ``python -m benchmarks.losses`` prints the table.

Each contender runs in a process of its own against a server with one fault. It tracks its events, and then
either just ends, or closes the library first, as its documentation says. All of it takes some minutes, since
each contender may try for as long as it likes. ``benchmarks/peers.txt`` has the other libraries.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

import attrs

from .contenders import label, peers
from .dialects import DIALECTS, NOT_FOUND
from .sink import GZIP

EVENTS = 1_000
OWN = ("by_hand", "ours")
PROGRAM = """\
from benchmarks.contenders import {name}
track, finish = {name}.start({url!r}, 4, ".")
for _ in range({events}):
    track()
{end}
"""
Fault: TypeAlias = Callable[
    [bytes, bytes], "int | None"
]  # body, mark of an event -> a status, or None: it is taken


def slow(body: bytes, mark: bytes) -> None:  # noqa: ARG001  whatever it holds
    """Take 0.3 s for each reply."""
    time.sleep(0.3)


def outage(seconds: float) -> Fault:
    """Make a server that answers 503 for so long."""
    until = time.monotonic() + seconds
    return lambda body, mark: 503 if time.monotonic() < until else None  # noqa: ARG005  whatever it holds


def bad_event() -> Fault:
    """Make a server that refuses, by 400, each request which holds the 250th event that ever came."""
    bad = b""

    def fault(body: bytes, mark: bytes) -> int | None:
        nonlocal bad
        bad = bad or body.split(mark)[250][:150]  # its id or time is in it
        return 400 if bad in body else None

    return fault


@attrs.frozen
class Scenario:
    """One thing that goes wrong."""

    title: str
    fault: Callable[[], Fault]
    events: int
    is_closed: bool


SCENARIOS = (
    Scenario("0.3 s a reply, and the program ends", lambda: slow, EVENTS, is_closed=False),
    Scenario("down for 30 s, closed meanwhile", lambda: outage(30.0), EVENTS, is_closed=True),
    Scenario("one bad event of 500", bad_event, 500, is_closed=True),
)


class Server(ThreadingHTTPServer):
    """Counts the events that it takes."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.taken = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        """Take the events, or refuse them."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, GZIP)
        dialect = DIALECTS.get(self.path.encode(), NOT_FOUND)
        status = self.server.fault(body, dialect.mark)
        if status is None:
            count = body.count(dialect.mark)
            with self.server.lock:
                self.server.taken += count
            self.wfile.write(dialect.reply(count))
        else:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def arrived(name: str, scenario: Scenario) -> int:
    """Return how many events of a contender the server has taken when its process is over."""
    with Server(scenario.fault()) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        end = "finish()" if scenario.is_closed else ""
        program = PROGRAM.format(name=name, url=url, events=scenario.events, end=end)
        subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL, check=False)  # noqa: S603  ours
        server.shutdown()
        return server.taken


def main() -> None:
    """Measure all, and print the table."""
    titles = [f"{scenario.title} (of {scenario.events:,})" for scenario in SCENARIOS]
    print("|", " | ".join(["arrived", *titles]), "|")
    print("|---|", "|".join("--:" for _ in titles), "|", sep="")
    for name in (*OWN, *peers()):
        counts = [f"{arrived(name, scenario):,}" for scenario in SCENARIOS]
        print("|", " | ".join([label(name), *counts]), "|", flush=True)


if __name__ == "__main__":
    main()
