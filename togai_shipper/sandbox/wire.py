"""What no HTTP server does on purpose: resets, cut replies, dripping bytes, garbage.

These need the bare transport, which ASGI hides. So the one thing that the protocol class here adds to
uvicorn's is to put the transport into the ``state`` of each request's scope. Each non-answer is an ASGI
application in a response's place. It ends when the connection has ended: where it ended before, uvicorn would
answer with a 500 of its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_SILENT = logging.Logger("sandbox")  # noqa: LOG001  registered nowhere: no level, handler or parent to inherit
_SILENT.addHandler(logging.NullHandler())


@attrs.define(eq=False)
class Signals:
    """What reaches the requests that wait; set in the event loop's thread alone."""

    stopping: asyncio.Event = attrs.field(factory=asyncio.Event)
    released: asyncio.Event = attrs.field(factory=asyncio.Event)

    def release(self) -> None:
        """Let go every request that is held now, and none that comes later."""
        self.released.set()
        self.released = asyncio.Event()

    def stop(self) -> None:
        """Let go every request, and let none of them go on."""
        self.stopping.set()
        self.released.set()


class WireProtocol(H11Protocol):
    """Uvicorn's, with the transport in ``scope["state"]``, and with no log."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = self.access_logger = _SILENT
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Let each request know the transport it came on."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


async def gone(receive: Receive, within: float | None = None) -> bool:
    """Wait until the client has left, at most ``within`` seconds; whether it has.

    Once the body was read, that is all there is to receive.
    """
    try:
        await asyncio.wait_for(receive(), within)
    except asyncio.TimeoutError:
        return False
    return True


@attrs.frozen
class Unanswered:
    """No answer, until the client leaves."""

    status_code: ClassVar[None] = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's
        """Act, and wait for the end."""
        self.act(scope["state"]["transport"])
        await gone(receive)

    def act(self, transport: asyncio.Transport) -> None:
        """What is done to the connection first: here, nothing."""


@attrs.frozen
class ConnectionReset(Unanswered):
    """RST: an orderly end (FIN) is what a zero linger time turns off."""

    def act(self, transport: asyncio.Transport) -> None:
        """Reset."""
        bare = transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


@attrs.frozen
class Bytes(Unanswered):
    """These bytes, then an orderly end."""

    data: bytes

    def act(self, transport: asyncio.Transport) -> None:
        """Write, and close once it is written."""
        transport.write(self.data)
        transport.close()


@attrs.frozen
class Dripping(Unanswered):
    """These bytes, then one byte every ``interval`` seconds."""

    data: bytes
    interval: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's
        """Drip until the end."""
        transport: asyncio.Transport = scope["state"]["transport"]
        transport.write(self.data)
        while not await gone(receive, self.interval):
            transport.write(b"x")
