"""What no HTTP server does on purpose: reset a connection, cut a reply, send bytes slowly or garbage.

This needs the bare transport, which ASGI hides. So the protocol class here puts the transport into the
``state`` of each request's scope, and is uvicorn's in all else. Each class below is an ASGI application, used
instead of a response. It ends when the connection has ended: if it ended before, uvicorn would send a 500 of
its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_SILENT = logging.Logger("sandbox")  # noqa: LOG001  registered nowhere: no level, handler or parent to inherit
_SILENT.addHandler(logging.NullHandler())


@attrs.define(eq=False)
class Signals:
    """Events that requests wait for; set in the event loop's thread only."""

    stopping: asyncio.Event = attrs.field(factory=asyncio.Event)
    released: asyncio.Event = attrs.field(factory=asyncio.Event)

    def release(self) -> None:
        """Release every request that is held now, and none that comes later."""
        self.released.set()
        self.released = asyncio.Event()

    def stop(self) -> None:
        """Release every request, and let none of them send a reply."""
        self.stopping.set()
        self.released.set()

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until the sandbox stops."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


class WireProtocol(H11Protocol):
    """Uvicorn's protocol, with the transport in ``scope["state"]``, and without a log."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = self.access_logger = _SILENT
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Give each request the transport that it came on."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


async def gone(receive: Receive, within: float | None = None) -> bool:
    """Wait until the client has left, at most ``within`` seconds; return whether it has.

    Once the body has been read, nothing else can be received.
    """
    try:
        await asyncio.wait_for(receive(), within)
    except asyncio.TimeoutError:
        return False
    return True


@attrs.frozen
class Unanswered:
    """No reply, until the client leaves."""

    status_code: ClassVar[None] = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's
        """Do it to the connection, and wait for its end."""
        self.act(scope["state"]["transport"])
        await gone(receive)

    def act(self, transport: asyncio.Transport) -> None:
        """Do something to the connection; here, nothing."""


@attrs.frozen
class ConnectionReset(Unanswered):
    """A reset (RST); a linger time of zero turns off the orderly end (FIN)."""

    def act(self, transport: asyncio.Transport) -> None:
        """Reset the connection."""
        bare = transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


@attrs.frozen
class Bytes(Unanswered):
    """These bytes, then an orderly end."""

    data: bytes

    def act(self, transport: asyncio.Transport) -> None:
        """Write the bytes, and close the connection once they are written."""
        transport.write(self.data)
        transport.close()


@attrs.frozen
class Dripping(Unanswered):
    """These bytes, then one byte every ``interval`` seconds."""

    data: bytes
    interval: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's
        """Send byte by byte until the client has left."""
        transport: asyncio.Transport = scope["state"]["transport"]
        transport.write(self.data)
        while not await gone(receive, self.interval):
            transport.write(b"x")
