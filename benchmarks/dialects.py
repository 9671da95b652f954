"""What a service answers, and what stands once in each of its events, by the path of the request."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .contenders import SCHEMA


@attrs.frozen
class Dialect:
    """How one service speaks."""

    reply: Callable[[int], bytes]  # the whole of it, to so many events
    mark: bytes = SCHEMA.encode()


def _http(status: str, body: bytes, content: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {content}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


def _always(status: str, body: bytes, content: str = "application/json") -> Callable[[int], bytes]:
    reply = _http(status, body, content)
    return lambda _: reply


def _amplitude(events: int) -> bytes:
    return _http("200 OK", b'{"code":200,"events_ingested":%d,"payload_size_bytes":1}' % events)


def _honeycomb(events: int) -> bytes:
    return _http("200 OK", b"[%s]" % b",".join([b'{"status":202}'] * events))


NOT_FOUND = Dialect(_always("404 Not Found", b"{}"))
TOGAI = Dialect(_always("202 Accepted", b'{"success":true}'))
DIALECTS = {
    b"/ingestBatch": TOGAI,
    b"/ingest": TOGAI,
    b"/v1/batch": Dialect(_always("200 OK", b'{"success":true}')),  # segment
    b"/batch/": Dialect(_always("200 OK", b'{"status":"Ok"}')),  # posthog
    b"/com.snowplowanalytics.snowplow/tp2": Dialect(_always("200 OK", b"ok", "text/plain"), b'"eid"'),
    b"/batch": Dialect(_amplitude),
    b"/v1/logs": Dialect(_always("200 OK", b"", "application/x-protobuf")),  # opentelemetry
    b"/1/batch/usage": Dialect(_honeycomb),
    b"/api/1/envelope/": Dialect(_always("200 OK", b"{}")),  # sentry
}
