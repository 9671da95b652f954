"""The reply that a fault describes.

``ingestion`` itself replies to the faults that wait (``Slow``, ``Hold``), and to the one that depends on the
events (``Partial``).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, TypeAlias

from starlette.responses import Response, StreamingResponse

from . import replies, wire
from .faults import Answer, Cut, Drip, Empty, Hang, Html, Huge, Raw, Refuse, Reset, Throttle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Simple: TypeAlias = Refuse | Throttle | Html | Empty | Answer | Huge | Hang | Reset | Cut | Drip | Raw
Reply: TypeAlias = Response | wire.Unanswered

_BODY = b'{"success":true}\n'  # 17 bytes, of which Cut sends fewer and Huge adds blanks to
_HEADS = {
    202: b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n",
    200: b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
}
_ENDLESS = 1_000_000_000  # bytes that a dripping body announces
_CHUNK = 64 * 1024  # bytes of a huge body at a time; any number would do

_PAGE = """<html>
<head><title>{0}</title></head>
<body><center><h1>{0}</h1></center><hr><center>gateway</center></body>
</html>
"""


def reply_of(  # noqa: C901, PLR0911, PLR0912  a table with a row for each fault
    fault: Simple, success: int = 202
) -> Reply:
    """Return the reply that this fault describes; one that begins well has the status ``success``."""
    head = _HEADS[success]
    match fault:
        case Refuse():
            return replies.error(fault.status, fault.message)
        case Throttle():
            reply = replies.error(fault.status, fault.message)
            if fault.retry_after is not None:
                reply.headers["retry-after"] = _retry_after(fault.retry_after)
            return reply
        case Html():
            return Response(_PAGE.format(fault.status), fault.status, media_type="text/html")
        case Empty():
            return Response(b"", fault.status)
        case Answer():
            return Response(fault.body, fault.status, dict(fault.headers), fault.content_type)
        case Huge():
            length = {"content-length": str(fault.size)}
            return StreamingResponse(_padded(fault.size), fault.status, length, "application/json")
        case Hang():
            return wire.Unanswered()
        case Reset():
            return wire.ConnectionReset()
        case Cut():
            return wire.Bytes(head + b"content-length: %d\r\n\r\n" % len(_BODY) + _BODY[: fault.sent])
        case Drip(part="body"):
            return wire.Dripping(head + b"content-length: %d\r\n\r\n" % _ENDLESS, fault.interval)
        case Drip():
            return wire.Dripping(head + b"x-drip: ", fault.interval)
        case _:
            return wire.Bytes(fault.data)


def _retry_after(when: float | str | datetime) -> str:
    if isinstance(when, datetime):
        return format_datetime(when.astimezone(timezone.utc), usegmt=True)
    return when if isinstance(when, str) else f"{when:g}"


async def _padded(size: int) -> AsyncIterator[bytes]:
    yield _BODY
    for left in range(size - len(_BODY), 0, -_CHUNK):
        await asyncio.sleep(0)  # to a client that has left, sending never waits: others get their turn here
        yield b" " * min(left, _CHUNK)
