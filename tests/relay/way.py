"""The way to a Redis, which leads to another one later, or is cut for a while."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from servers import RedisServer


class Way:
    """Carries bytes both ways. What is under way while it is cut arrives when it is mended, as over TCP."""

    def __init__(self, server: RedisServer) -> None:
        # Called with what comes through, before it goes on, and whether it goes to Redis.
        self.watch: Callable[[bytes, bool], None] = lambda _chunk, _to_redis: None
        self._target = server.port
        self._is_open = threading.Event()
        self._is_open.set()
        self._sockets: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listening.getsockname()[1]}"

    def lead_to(self, server: RedisServer) -> None:
        """Lead there from now on; connections that are made already stay where they are."""
        self._target = server.port

    def cut(self) -> None:
        self._is_open.clear()

    def mend(self) -> None:
        self._is_open.set()

    def end(self) -> None:
        self._is_open.set()
        for each in (self._listening, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it has ended
            while True:
                ours, _ = self._listening.accept()
                threading.Thread(target=self._lead, args=(ours,), daemon=True).start()

    def _lead(self, ours: socket.socket) -> None:
        self._sockets.append(ours)
        try:
            theirs = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            ours.close()
            return
        self._sockets.append(theirs)
        for source, sink in ((ours, theirs), (theirs, ours)):
            threading.Thread(target=self._carry, args=(source, sink, sink is theirs), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, to_redis: bool) -> None:  # noqa: FBT001  a direction
        with suppress(OSError):
            while chunk := source.recv(1 << 16):
                self.watch(chunk, to_redis)
                self._is_open.wait()
                sink.sendall(chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def way_to(server: RedisServer) -> Iterator[Way]:
    way = Way(server)
    try:
        yield way
    finally:
        way.end()
