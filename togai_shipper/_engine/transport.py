"""One request, one ``Reply``. Nothing else in the package makes a request.

Whatever the network does comes back as a value. A reply's time is bounded as a whole, also where it drips; of
its body no more is read than could be Togai's.
"""

from __future__ import annotations

import re
import time
import zlib

import requests
import urllib3
from requests.auth import AuthBase

from togai_shipper._config import Config, SessionFactory
from togai_shipper._option_values import is_loopback
from togai_shipper._version import __version__

from .timed_http import CHUNK, deadline, tame
from .verdict import Reply, date_of, printable, retry_after

MIN_READ = 1024 * 1024  # bytes of a reply that are read at least; else twice the request
MAX_WHY = 200  # characters of an error's text that we keep
_LENGTH = re.compile("[0-9]{1,18}")
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class NoSession(Exception):  # noqa: N818  a state of the world; never leaves the library
    """The caller's ``session_factory`` gave no session."""


class _Bearer(AuthBase):
    """The key on one request. As ``auth`` it wins over ``~/.netrc``, which a session's header does not."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


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
                self._session = tame(self._made())
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
        try:
            with (
                deadline(total),
                session.post(
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
                ) as response,
            ):
                return self._read(response, max(MIN_READ, 2 * len(body)))
        except Exception as error:  # the network's, a garbled reply's, or of the session's own making
            return Reply(None, error=_why(error), sent=not _never_sent(error))

    def _read(self, response: requests.Response, limit: int) -> Reply:
        body = bytearray()
        response.raw.enforce_content_length = (
            False  # we look ourselves, whatever urllib3's version makes of it
        )
        while chunk := response.raw.read(CHUNK, decode_content=False):
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
