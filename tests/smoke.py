"""Show that the bare wheel, with no extras, imports and delivers to a server of the standard library.

The server has no time for the first request, which has to be sent again.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import togai_shipper

ids: list[str] = []
told: list[str] = []
busy: list[bool] = []  # of each request, whether the server had no time


class Told(logging.Handler):
    """Keeps what the library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        told.append(record.getMessage())


class Togai(BaseHTTPRequestHandler):
    """Takes everything, but for the first request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        busy.append(not busy)
        if not busy[-1]:
            ids.extend(event["id"] for event in content.get("events", [content.get("event")]))
        self.send_response(503 if busy[-1] else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


logging.getLogger("togai_shipper").addHandler(Told())
with ThreadingHTTPServer(("127.0.0.1", 0), Togai) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with togai_shipper.Shipper("secret", base_url=f"http://127.0.0.1:{server.server_port}") as shipper:
        tracked = [shipper.track("api_call", "acme", {"n": n}) for n in range(1203)]
    server.shutdown()

assert told == []
assert sorted(ids) == sorted(event_id for event_id in tracked if event_id)
assert importlib.metadata.version("togai-shipper") == togai_shipper.__version__
versions = [
    f"{name} {importlib.metadata.version(name)}" for name in ("requests", "urllib3", "tenacity", "attrs")
]
print("delivered", len(ids), "with", *versions)  # noqa: T201  it is a script
