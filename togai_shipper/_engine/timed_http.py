"""Deadlines inside urllib3: a session that gives up a request, or a reply, that is not whole in time.

``requests`` bounds each wait for a byte; a reply that drips is never late for it. Here the whole exchange has
one deadline: connecting, sending and reading.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

CHUNK = 64 * 1024  # bytes read or sent at once

# When the reply that a thread waits for has to be whole, in monotonic seconds. By identity, not thread-local:
# a thread may be a greenlet, since gevent may have put its own in place after this was imported.
_deadlines: dict[int, float] = {}


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Around an exchange on this thread: it has so many seconds as a whole."""
    me = threading.get_ident()
    _deadlines[me] = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadlines.pop(me, None)


def _bound(sock: Any) -> None:
    """Let the next wait for ``sock`` end at the reply's deadline."""
    over_at = _deadlines.get(threading.get_ident())
    if over_at is not None:  # else it is no request of ours: somebody shares the session
        left = over_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("not whole by its deadline")
        sock.settimeout(left)


class _TimedReader(io.RawIOBase):
    """A socket's bytes, each wait for which ends at the reply's deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb", buffering=0)  # keeps the socket open as http.client expects

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        _bound(self._sock)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """A reply with one deadline, however slowly its head or its body drips."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock))


class _TimedSends:
    """A connection that gives up a request which the other side takes too slowly, from connecting on."""

    sock: Any
    host: str
    port: int
    timeout: float

    def connect(self) -> None:
        if threading.get_ident() in _deadlines:
            self.timeout /= _addresses(self.host, self.port)  # urllib3 gives each of them all of it
        super().connect()  # type: ignore[misc]  # the connection's, which this is mixed into

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), CHUNK):
            _bound(self.sock)
            super().send(memoryview(data)[start : start + CHUNK])  # type: ignore[misc]  # likewise


def _addresses(host: str, port: int) -> int:
    """How many a host has: they are tried one after the other, and all may swallow what is sent there."""
    try:
        return len(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)) or 1
    except OSError:  # no such host, as the connection is about to find out itself
        return 1


class _Connections:
    """A pool's idle connections, without the lock that ``queue.LifoQueue`` has.

    urllib3 empties every pool at exit, a forked child's inherited ones too: where another thread of its
    parent's held that lock at the fork, the child would wait for ever. Nor can Ctrl-C leave it locked.
    ``deque`` needs none; and nobody waits here, for a session of ours has one thread.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._most = maxsize
        self._idle: deque[Any] = deque()

    def put(self, connection: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002  as urllib3 calls it
        if 0 < self._most <= len(self._idle):
            raise queue.Full
        self._idle.append(connection)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002, FBT001, FBT002  likewise
        try:
            return self._idle.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        return len(self._idle)


@cache
def _timed(pool: Any) -> Any:
    """A pool like ``pool``, whose connections send and read against the deadline."""
    connection = type(
        "TimedConnection", (_TimedSends, pool.ConnectionCls), {"response_class": _TimedResponse}
    )
    return type(
        "TimedPool", (pool,), {"ConnectionCls": connection, "QueueCls": _Connections, "is_timed": True}
    )


def _time(manager: Any) -> Any:
    """Make a urllib3 pool manager open timed connections from now on."""
    manager.pool_classes_by_scheme = {
        scheme: pool if hasattr(pool, "is_timed") else _timed(pool)
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def tame(session: requests.Session) -> requests.Session:
    """Give a session, whoever made it, timed exchanges and no retries but ours."""
    # Even when told not to follow a redirect, requests reads all of its body to see where it leads.
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign,assignment]  # on this one alone
    for adapter in set(session.adapters.values()):
        if isinstance(adapter, HTTPAdapter):
            adapter.max_retries = urllib3.Retry(0, read=False)
            _time(adapter.poolmanager)
            _time_proxies(adapter)
    return session


def _time_proxies(adapter: HTTPAdapter) -> None:
    made = adapter.proxy_manager_for  # makes a manager for each proxy at its first use
    adapter.proxy_manager_for = lambda *args, **kwargs: _time(made(*args, **kwargs))  # type: ignore[method-assign]  # on this one alone
