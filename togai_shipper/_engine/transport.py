"""One request, one ``Reply``: the only file that knows requests.

Whatever the network does comes back as a value. A reply's time is bounded as a whole, also where it drips; of
its body no more is read than could be Togai's.
"""

from __future__ import annotations

import http.client
import io
import queue
import re
import socket
import threading
import time
import zlib
from collections import deque
from functools import cache
from typing import Any

import attrs
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from togai_shipper._config import ApiKey, Config, SessionFactory, check_key, is_loopback
from togai_shipper._version import __version__
from togai_shipper.exceptions import ConfigurationError

from .verdict import Reply, date_of, printable, retry_after

MIN_READ = 1024 * 1024  # bytes of a reply that are read at least; else twice the request
MAX_WHY = 200  # characters of an error's text that we keep
_CHUNK = 64 * 1024
_LENGTH = re.compile("[0-9]{1,18}")
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class NoSession(Exception):  # noqa: N818  a state of the world; never leaves the library
    """The caller's ``session_factory`` gave no session."""


class KeyUnavailable(Exception):  # noqa: N818  a state of the world; never leaves the library
    """The caller's callable gave no key that can be used."""


@attrs.define(eq=False)
class Source:
    """A key as it was handed over, and what it came to, once asked."""

    given: ApiKey
    known: str | None = None


class Key:
    """The key in use: fixed, or asked for and kept until Togai refuses it."""

    def __init__(self, given: ApiKey) -> None:
        self.source = Source(given)  # another object after each ``replace``

    def current(self) -> str:
        """The key; asks the caller's callable if none is known. Raises ``KeyUnavailable``."""
        while True:
            source = self.source
            try:
                key = source.known or _ask(source.given)
            except KeyUnavailable:
                if self.source is source:
                    raise
            else:
                source.known = key
                if self.source is source:  # else it was replaced while we asked, which may take seconds
                    return key

    def renewed(self, refused: str) -> str | None:
        """Another key than ``refused``, if there is one now."""
        source = self.source
        if source.known == refused:
            source.known = None
        key = self.current()
        return None if key == refused else key

    def replace(self, given: ApiKey) -> None:
        """Use another key, or another callable, from now on."""
        self.source = Source(given)


def _ask(given: ApiKey) -> str:
    try:
        return check_key(given() if callable(given) else given)
    except ConfigurationError as error:
        raise KeyUnavailable(str(error)) from error
    except Exception as error:  # whatever the caller's callable raises
        raise KeyUnavailable(f"the api_key callable raised {type(error).__name__}") from error


class _Bearer(AuthBase):
    """The key on one request. As ``auth`` it wins over ``~/.netrc``, which a session's header does not."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


# --- what a session has to do for us, whoever made it ----------------------------------------------------

# When the reply that a thread waits for has to be whole, in monotonic seconds. By identity, not thread-local:
# a thread may be a greenlet, since gevent may have put its own in place after this was imported.
_deadlines: dict[int, float] = {}


def _bound(sock: Any) -> None:
    """Let the next wait for ``sock`` end at the reply's deadline."""
    deadline = _deadlines.get(threading.get_ident())
    if deadline is not None:  # else it is no request of ours: somebody shares the session
        left = deadline - time.monotonic()
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
        for start in range(0, len(data), _CHUNK):
            _bound(self.sock)
            super().send(memoryview(data)[start : start + _CHUNK])  # type: ignore[misc]  # likewise


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


def _tame(session: requests.Session) -> requests.Session:
    """Timed replies, and no retries but ours."""
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


# --- the transport ---------------------------------------------------------------------------------------


class Transport:
    """One flusher's connection to Togai. Used by one thread."""

    def __init__(
        self, base_url: str, timeout: tuple[float, float], factory: SessionFactory | None = None
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._factory = factory
        self._session: requests.Session | None = None

    def open(self) -> requests.Session:
        """The session; made, if there is none yet. Raises ``NoSession``."""
        if self._session is None:
            try:
                self._session = _tame(self._made())
            except Exception as error:  # whatever the caller's callable raises
                text = f"session_factory raised {type(error).__name__}: {error}"
                raise NoSession(printable(text[:MAX_WHY])) from error
        return self._session

    def send(self, path: str, body: bytes, key: str, time_left: float) -> Reply:
        """``POST`` to ``path``; the reply, or why there is none, in at most ``time_left`` seconds."""
        session = self.open()
        if time_left <= 0:
            return Reply(None, error="no reply: there was no time", sent=False)
        connect, total = (min(limit, time_left) for limit in self._timeout)
        me = threading.get_ident()
        _deadlines[me] = time.monotonic() + total
        try:
            with session.post(
                self._base_url + path,
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": f"togai-shipper/{__version__}",
                },
                auth=_Bearer(key),
                timeout=(connect, total),
                allow_redirects=False,
                stream=True,
            ) as response:
                return self._read(response, max(MIN_READ, 2 * len(body)))
        except Exception as error:  # the network's, a garbled reply's, or of the session's own making
            return Reply(None, error=_why(error), sent=not _never_sent(error))
        finally:
            _deadlines.pop(me, None)

    def _read(self, response: requests.Response, limit: int) -> Reply:
        body = bytearray()
        response.raw.enforce_content_length = (
            False  # we look ourselves, whatever urllib3's version makes of it
        )
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > limit:
                return Reply(None, error=f"HTTP {response.status_code} with more than {limit} bytes")
        expected = response.headers.get("Content-Length", "")
        if _LENGTH.fullmatch(expected) and len(body) < int(expected):
            return Reply(
                None, error=f"HTTP {response.status_code}, cut after {len(body)} of {expected} bytes"
            )
        return Reply(
            response.status_code,
            _unpacked(bytes(body), limit) if response.headers.get("Content-Encoding") else bytes(body),
            retry_after(response.headers.get("Retry-After"), time.time()),
            date=date_of(response.headers.get("Date")),
        )

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()

    def _made(self) -> requests.Session:
        if self._factory is None:
            session = requests.Session()
            session.trust_env = not is_loopback(self._base_url)  # an http_proxy does not lead to loopback
            return session
        session = self._factory()
        if not isinstance(session, requests.Session):
            raise TypeError(f"{type(session).__name__} is not a requests.Session")
        return session


def connected(config: Config) -> Transport:
    """A transport for one more flusher; no connection is made before the first request."""
    return Transport(config.base_url, config.timeout, config.session_factory)


def _unpacked(body: bytes, limit: int) -> bytes:
    """A compressed body that nobody asked for; garbage if it is none of the usual kinds."""
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, limit)
    except zlib.error:
        return b""


def _never_sent(error: BaseException) -> bool:
    """Whether no byte of the request can have reached the server: the connection was never made."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _why(error: BaseException) -> str:
    """A connection error's innermost cause in a few words; requests' own text repeats the URL and more."""
    cause = error
    for _ in range(8):  # chains are short; one that bites its tail must not hold up a flusher for ever
        parts = (getattr(cause, "reason", None), *cause.args)
        cause = next((part for part in parts if isinstance(part, BaseException)), cause)
    text = str(cause).rsplit(": ", 1)[-1] or type(cause).__name__
    if not isinstance(error, (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)):
        text = f"{type(error).__name__}: {text}"  # none of the network's: it says little without its kind
    return f"no reply: {printable(text[:MAX_WHY])}"
