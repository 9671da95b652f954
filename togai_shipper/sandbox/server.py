"""A server in a thread, made of uvicorn's HTTP protocol and state, without uvicorn's own server.

That one looks ten times a second whether it should stop, and then waits until open requests have ended. Here
the port listens when ``Server`` is made, and ``stop()`` drops what is open: a test waits for neither.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from .wire import Signals, WireProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 2048  # connections that may wait to be accepted; uvicorn's own default
_KEEP_ALIVE = 75  # seconds that an idle connection is kept open


class _Loop(asyncio.SelectorEventLoop):
    """An event loop with the real time, even if a test has frozen ``time.monotonic``: see the default."""

    def time(self, monotonic: Callable[[], float] = time.monotonic) -> float:
        return monotonic()


class Server:
    """Serves one application on one port from when it is made until ``stop()``."""

    def __init__(self, asgi: Any, host: str, port: int) -> None:
        self._listener = listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._config = Config(asgi, log_config=None, lifespan="off", ws="none", interface="asgi3")
        self._config.timeout_keep_alive = _KEEP_ALIVE
        self._config.server_header = self._config.date_header = self._config.proxy_headers = False
        self._config.load()
        self._state = ServerState()
        self._signals = Signals()
        self._loop = _Loop()
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name=f"sandbox-{self.port}", daemon=True)
        _RUNNING.add(self)
        self._thread.start()

    def release(self) -> None:
        """Release the requests that are held."""
        self._loop.call_soon_threadsafe(self._signals.release)

    def stop(self) -> None:
        """Close the port, drop every connection, and wait until that is done."""
        if self._is_abandoned:  # pragma: no cover  in a forked child alone, unmeasured
            return
        self._loop.call_soon_threadsafe(self._signals.stop)
        self._thread.join()

    # --- in the server's thread ---

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
            _RUNNING.discard(self)

    async def _serve(self) -> None:
        listening = await self._loop.create_server(self._protocol, sock=self._listener, backlog=_BACKLOG)
        await self._signals.stopping.wait()
        # A connection that the loop has accepted by now must get its transport first: asyncio leaves a socket
        # open if its server is closed before that.
        self._loop.remove_reader(self._listener)
        await asyncio.sleep(0)
        listening.close()
        this = asyncio.current_task()
        while self._state.connections or asyncio.all_tasks() != {this}:
            for connection in tuple(self._state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)

    def _protocol(self) -> WireProtocol:
        return WireProtocol(
            config=self._config,
            server_state=self._state,
            app_state={"signals": self._signals},
            _loop=self._loop,
        )

    # --- in a forked child ---

    def abandon(self) -> None:  # pragma: no cover  coverage does not follow a fork; tests see the effect
        """Close the sockets: as long as a child has them open, no client sees that the parent closes one.

        Their file descriptors are made to point to ``/dev/null``, so that the objects which own them cannot
        close another file later.
        """
        self._is_abandoned = True
        nothing = os.open(os.devnull, os.O_RDWR)
        transports = [connection.transport for connection in self._state.connections]
        sockets = [self._listener, *(transport.get_extra_info("socket") for transport in transports)]
        for number in (each.fileno() for each in sockets):
            if number >= 0:
                os.dup2(nothing, number, inheritable=False)
        os.close(nothing)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the port.

    The protocol is named: without it asyncio would leave Nagle's algorithm on, which costs 40 ms a reply.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


_RUNNING: set[Server] = set()


def _abandon_all() -> None:  # pragma: no cover  coverage does not follow a fork; tests see the effect
    for server in list(_RUNNING):
        server.abandon()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_abandon_all)
