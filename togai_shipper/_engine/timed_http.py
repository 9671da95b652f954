"""How urllib3 carries an exchange: by its deadline, and on a connection that is fit for it.

``requests`` bounds each wait for a byte; a reply that drips is never late for it. Here the whole exchange has
one deadline: connecting, sending and reading. A kept connection is used again only where the exchange before
ended in one whole reply, and nothing came after it; a connection is closed unless somebody says otherwise.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
from collections import deque
from contextlib import suppress
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar

from togai_shipper._process.crowd import crowd

from .exchange import CHUNK, Exchange, current_exchange
from .guarded_head import GuardedHead
from .whole_reply import CHUNKED, Head, NotWhole, read_body, read_head

MAX_AGE = 300.0  # seconds; then the name is looked up again
# Seconds of silence before the system probes a connection, and between two probes; how many may be lost.
_PROBES = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, TimeoutError)
_CHOOSES_CONNECTIONS = ("get_connection", "get_connection_with_tls_context")


def _waiting(sock: Any) -> bytes | None:
    """What can be read at once: ``None`` for nothing, no bytes at the end. After bytes it is of no use.

    It does read, since what waits under TLS may be a matter of TLS alone.
    """
    try:
        sock.settimeout(0.0)
        return bytes(sock.recv(CHUNK))
    except _NOTHING_YET:
        return None
    except OSError:
        return b""


class _TimedReader(io.RawIOBase):
    """A socket's bytes, each wait for which ends at the exchange's deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb", buffering=0)  # keeps the socket open as http.client expects
        self._is_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._is_ended:
            return None
        if current := current_exchange():
            # Not by the stream, which is of no use any more after a wait that was too long.
            with crowd().away():
                received = current.patiently(self._sock, lambda: self._sock.recv_into(buffer))
            current.progress.note(received=received)
            return received
        return self._stream.readinto(buffer)

    def leftover(self, buffered: io.BufferedReader) -> bytes | None:
        """End the reading. What there is after it: ``None`` for nothing, no bytes at the connection's end."""
        self._is_ended = True
        kept, waiting = buffered.peek(1), _waiting(self._sock)
        return kept + (waiting or b"") if kept else waiting

    def close(self) -> None:
        self._stream.close()
        super().close()


class WholeResponse(http.client.HTTPResponse):
    """A reply that is read as a whole, by one deadline, however slowly its head or its body drips."""

    head: Head | None = None  # of a reply to us

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._incoming = _TimedReader(sock)
        self.fp = io.BufferedReader(self._incoming)

    def begin(self, **limits: Any) -> None:
        """Read the head; ``http.client`` is told of it, for whoever else looks at this reply."""
        if current_exchange() is None:
            super().begin(**limits)
            return
        head = read_head(self.fp)
        length = head.length
        self.head = head
        self.version, self.status, self.reason = head.version, head.status, head.reason
        self.code = head.status
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.fields:
            self.headers[name] = value
        self.chunked, self.chunk_left = length == CHUNKED, None
        self.length = length if length >= 0 else None
        self.will_close = False  # we close the connection ourselves, after the body

    def read_whole(self, limit: int) -> tuple[bytes, bytes | None]:
        """The body, of at most ``limit`` bytes; and what came after it, as ``leftover`` says it."""
        assert self.head is not None  # noqa: S101  a reply to us has begun
        body = read_body(self.fp, self.head.length, limit)
        leftover = self._incoming.leftover(self.fp)
        self.close()
        return body, leftover


class _TimedConnection(GuardedHead):
    """A connection that carries exchanges, from connecting on: mixed into one of urllib3's."""

    sock: Any
    host: str
    port: int
    timeout: float | None
    _opened_at: float | None = None
    _is_opening = False
    _is_next_first = False  # nothing of the request was handed over yet

    def connect(self) -> None:
        current = current_exchange()
        if current is not None:
            # urllib3 gives each address all of it. None: the session asks for something else, without a time.
            timeout = current.left() if self.timeout is None else self.timeout
            self.timeout = timeout / _addresses(self.host, self.port)
        self._is_opening = True  # what is sent meanwhile is said to a proxy, and no part of the request
        try:
            with crowd().away():
                super().connect()  # type: ignore[misc]  # the connection's, which this is mixed into
        finally:
            self._is_opening = False
        self._opened_at = current.clock() if current is not None else None

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc]  # likewise
        _probe(sock)
        return sock

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._is_next_first = True
        super().putrequest(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        current = current_exchange()
        if current is None or self._is_opening:
            if current is not None:
                current.bound(self.sock)
            super().send(data)  # type: ignore[misc]  # likewise
            return
        if self._is_next_first and _waiting(self.sock) is not None:
            raise NotWhole("the connection ended, or the server spoke, before it was asked")
        if self._is_next_first:
            current.begin_request()
        self._is_next_first = False
        current.hand_over(self.sock, self.with_key(data))

    def is_fit(self, kept_at: float, current: Exchange) -> bool:
        """Whether it may carry another request, after it was idle since ``kept_at``; urllib3 sees its end."""
        now = current.clock()
        return (
            self.sock is not None
            and self._opened_at is not None
            and now - self._opened_at < MAX_AGE
            and now - kept_at < current.max_idle
        )


def _probe(sock: Any) -> None:
    """Let the system find out, while nothing is sent, that nobody is there any more."""
    known = [(getattr(socket, name), value) for name, value in _PROBES if hasattr(socket, name)]
    with suppress(OSError, AttributeError):  # some systems have not all of them; some proxies' sockets none
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in known:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _addresses(host: str, port: int) -> int:
    """How many a host has: they are tried one after the other, and all may swallow what is sent there."""
    try:
        return len(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)) or 1
    except OSError:  # no such host, as the connection is about to find out itself
        return 1


class _Connections:
    """A pool's idle connections, those that are fit for use, without the lock that ``queue.LifoQueue`` has.

    urllib3 empties every pool at exit, a forked child's inherited ones too: where another thread of its
    parent's held that lock at the fork, the child would wait for ever. Nor can Ctrl-C leave it locked.
    ``deque`` needs none; and nobody waits here, for a session of ours has one thread.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._most = maxsize
        # Each with the time since which it is idle; none where it carried a request of the application's.
        self._idle: deque[tuple[Any, float | None]] = deque()

    def put(self, connection: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002  as urllib3 calls it
        if 0 < self._most <= len(self._idle):
            raise queue.Full
        current = current_exchange()
        if connection is not None and current is not None and not current.whole:
            connection.close()
        self._idle.append((connection, None if current is None else current.clock()))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002, FBT001, FBT002  likewise
        try:
            connection, kept_at = self._idle.pop()
        except IndexError:
            raise queue.Empty from None
        current = current_exchange()
        if connection is None or current is None:
            return connection
        if kept_at is None or not connection.is_fit(kept_at, current):
            connection.close()  # urllib3 opens it anew
        return connection

    def qsize(self) -> int:
        return len(self._idle)

    def __del__(self) -> None:
        # urllib3 empties a pool at exit, before our own end comes, which sends by it once more.
        while self._idle:
            connection, _ = self._idle.pop()
            if connection is not None:
                connection.close()


@cache
def _timed(pool: Any) -> Any:
    """A pool like ``pool``, whose connections carry exchanges."""
    connection = type(
        "TimedConnection", (_TimedConnection, pool.ConnectionCls), {"response_class": WholeResponse}
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
    """Give a session, whoever made it, timed exchanges, no retries but ours, and no cookies."""
    # What a gateway sets would be sent with each request after it, until there is no request that it takes.
    session.cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=()))
    # Even when told not to follow a redirect, requests reads all of its body to see where it leads.
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign,assignment]  # on this one alone
    for adapter in set(session.adapters.values()):
        if isinstance(adapter, HTTPAdapter):
            adapter.max_retries = urllib3.Retry(0, read=False)
            _time(adapter.poolmanager)
            _time_proxies(adapter)
    return session


def is_timed(session: requests.Session, url: str) -> bool:
    """Whether a request to ``url`` can go by no other connections than ours, so that we know what is sent."""
    adapter: Any = session.get_adapter(url)
    return (
        isinstance(adapter, HTTPAdapter)
        and all(hasattr(pool, "is_timed") for pool in adapter.poolmanager.pool_classes_by_scheme.values())
        and all(
            getattr(type(adapter), name, None) is getattr(HTTPAdapter, name, None)
            for name in _CHOOSES_CONNECTIONS
        )
    )


def _time_proxies(adapter: HTTPAdapter) -> None:
    made = adapter.proxy_manager_for  # makes a manager for each proxy at its first use
    adapter.proxy_manager_for = lambda *args, **kwargs: _time(made(*args, **kwargs))  # type: ignore[method-assign]  # on this one alone
