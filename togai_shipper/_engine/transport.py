"""One request, one ``Reply``. Nothing else in the package makes a request.

Whatever the network does comes back as a value. A reply's time is bounded as a whole, also where it drips; of
its body no more is read than could be Togai's.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import attrs
import requests
from requests.auth import AuthBase

from togai_shipper._config import Config, SessionFactory
from togai_shipper._option_values import is_loopback
from togai_shipper._printable import printable
from togai_shipper._process.crowd import crowd
from togai_shipper._process.signals import as_application
from togai_shipper._secret import HiddenText, Secret, hidden
from togai_shipper._version import __version__

from .batching import Batch
from .blanking import blanked, passwords_of
from .certificates import bundle_of, missing, trusted
from .exchange import CHUNK, MAX_IDLE, Exchange, exchange
from .guarded_head import InTheClear
from .no_reply import MAX_WHY, why
from .timed_http import WholeResponse, is_timed, tame
from .verdict import Reply, date_of, is_togais_word, judge, retry_after
from .whole_reply import TO_THE_END, Head, NotWhole

MIN_READ = 1024 * 1024  # bytes of a reply that are read at least; else twice the request
# A connection that was idle for more than this share of the time that is left is not used: if it swallows the
# request, there must be time for another.
IDLE_SHARE = 0.1
LOOK_UP = "/events?pageSize=1"
BARE = "HTTP 202, perhaps cut after 0 bytes"
PACKED = "compressed in a way that nobody asked for"
_NAMES_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LENGTH = re.compile("[0-9]{1,18}")
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class NoSession(Exception):  # noqa: N818  a state of the world; never leaves the library
    """The caller's ``session_factory`` gave no session."""


class _Bearer(AuthBase):
    """The key on one request. As ``auth`` it wins over ``~/.netrc``, which a session's header does not."""

    def __init__(self, key: Secret[str], *, is_anywhere: bool) -> None:
        self._key = key
        self._is_anywhere = is_anywhere

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = request.url or ""
        if not self._is_anywhere and urlsplit(url).scheme == "http" and not is_loopback(url):
            raise InTheClear(urlsplit(url).hostname)
        request.headers.pop("Cookie", None)  # also where the session sends by connections of its own
        request.headers["Authorization"] = HiddenText(f"Bearer {self._key.reveal()}")
        return request


@attrs.frozen
class Request:
    """One request to Togai.

    Attributes:
        time_left: seconds in which it has to be over.
        may_begin: is asked before the first byte is sent, or could be; where it says no, none is.

    """

    method: Literal["get", "post"]
    path: str
    body: bytes
    key: Secret[str]
    time_left: float
    may_begin: Callable[[], bool]


class Transport:
    """One flusher's connection to Togai. Used by one thread."""

    def __init__(
        self,
        base_url: str,
        timeout: tuple[float, float],
        factory: SessionFactory | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        allow_insecure: bool = False,
    ) -> None:
        self._base_url = base_url
        self._proxies = _no_proxies(base_url) if is_loopback(base_url) else None
        self._allow_insecure = allow_insecure
        self._timeout = timeout
        self._factory = factory
        self._clock = clock
        self._session: requests.Session | None = None
        self._was_bare = False  # the last reply was a 202 that ended where its head did

    def open(self) -> requests.Session:
        """The session; made, if there is none yet. Raises ``NoSession``."""
        if self._session is None:
            try:
                self._session = tame(self._made())
            except Exception as error:  # whatever the caller's callable raises
                text = f"session_factory raised {type(error).__name__}: {error}"
                raise NoSession(printable(blanked(text, self._passwords())[:MAX_WHY])) from error
        return self._session

    def send(
        self,
        batch: Batch,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Send a batch, as ``post`` does."""
        return self.post(batch.path, batch.body(), key, time_left, may_begin)

    def post(
        self,
        path: str,
        body: bytes,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """``POST`` to ``path``; the reply, or why there is none, in at most ``time_left`` seconds.

        ``may_begin`` is asked before the first byte is sent, or could be; where it says no, none is.
        """
        return self._request(Request("post", path, body, key, time_left, may_begin))

    def look_up(
        self,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
        event_id: str | None = None,
    ) -> Reply:
        """Look up an event by its id, else one, whichever: Togai bills nothing for it."""
        path = LOOK_UP if event_id is None else f"/events/{quote(event_id, safe='')}"
        return self.get(path, key, time_left, may_begin)

    def get(
        self, path: str, key: Secret[str], time_left: float, may_begin: Callable[[], bool] = lambda: True
    ) -> Reply:
        """``GET`` what is at ``path``, as ``post`` posts."""
        with as_application():
            self.open()
        return self._request(Request("get", path, b"", key, time_left, may_begin))

    def _request(self, request: Request) -> Reply:
        asked_at = self._clock()
        with crowd().at_work(request.time_left):
            left = request.time_left - (self._clock() - asked_at)
            return self._request_in_turn(attrs.evolve(request, time_left=left))

    def _request_in_turn(self, request: Request) -> Reply:
        session = self.open()
        if request.time_left <= 0:
            return Reply(None, error="no reply: there was no time", sent=False)
        is_tls = self._base_url.startswith("https:")
        verify = self._trusted(session) if is_tls else session.verify
        if is_tls and (problem := missing(verify, session.cert)):
            return Reply(None, error=problem, sent=False)
        if not self._is_timed(session) and not request.may_begin():
            return Reply(None, error="no reply: given up before it was sent", sent=False)

        @cache
        def secrets() -> list[Secret[str]]:
            return [request.key, *self._passwords()]

        def blank(text: str) -> str:  # called for each message of a reply, which may have thousands
            return blanked(text, secrets())

        connect, total = (min(limit, request.time_left) for limit in self._timeout)
        idle = min(MAX_IDLE, request.time_left * IDLE_SHARE)
        with exchange(
            total, idle, self._clock, request.may_begin, is_anywhere=self._allow_insecure
        ) as current:
            try:
                ask = session.post if request.method == "post" else session.get
                with ask(
                    self._base_url + request.path,
                    data=request.body,
                    headers={
                        "Content-Type": "application/json",
                        "Accept-Encoding": "identity",
                        "User-Agent": f"togai-shipper/{__version__}",
                    },
                    auth=_Bearer(request.key, is_anywhere=self._allow_insecure),
                    timeout=(connect, total),
                    verify=verify,
                    proxies=self._proxies,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    reply = _read(response, current, max(MIN_READ, 2 * len(request.body)))
                    return attrs.evolve(self._as_usual(reply), blank=blank)
            except Exception as error:  # the network's, a garbled reply's, or of the session's own making
                is_sent = current.begun or not self._is_timed(session)
                return Reply(None, error=f"no reply: {why(error, blank)}", sent=is_sent)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()

    def _trusted(self, session: requests.Session) -> Any:
        is_ours = self._factory is None  # then we may have turned trust_env off, and not for this
        return trusted(
            session.verify, bundle_of(hidden(os.environ)) if is_ours or session.trust_env else None
        )

    def _passwords(self) -> list[Secret[str]]:
        """What is secret in the URLs of proxies, the environment's and the session's."""
        urls = [os.environ[name] for name in list(os.environ) if name.lower() in _NAMES_PROXIES]
        proxies = getattr(self._session, "proxies", None) or {}
        return passwords_of([*urls, *(url for url in proxies.values() if isinstance(url, str))])

    def _as_usual(self, reply: Reply) -> Reply:
        """The reply; a 202 that may be cut behind its head is not, where the one before ended there, too."""
        was_bare, self._was_bare = self._was_bare, reply.doubt == BARE
        return attrs.evolve(reply, doubt="") if was_bare and self._was_bare else reply

    def _is_timed(self, session: requests.Session) -> bool:
        try:
            return is_timed(session, self._base_url)
        except requests.exceptions.InvalidSchema:  # there is no adapter that could have sent it
            return True

    def _made(self) -> requests.Session:
        if self._factory is None:
            with crowd().at_work(math.inf):
                session = requests.Session()
            session.trust_env = not is_loopback(self._base_url)  # no proxy is looked for at each request
            return session
        session = self._factory()
        if not isinstance(session, requests.Session):
            raise TypeError(f"{type(session).__name__} is not a requests.Session")
        return session


def connected(config: Config) -> Transport:
    """A transport for one more flusher; no connection is made before the first request."""
    return Transport(
        config.base_url, config.timeout, config.session_factory, allow_insecure=config.allow_insecure
    )


def _no_proxies(url: str) -> dict[str, Any]:
    """What to tell requests so that neither the environment nor the session names a proxy for ``url``."""
    parts = urlsplit(url)
    return {place + host: None for place in (parts.scheme, "all") for host in ("", f"://{parts.hostname}")}


def _read(response: requests.Response, current: Exchange, limit: int) -> Reply:
    reply = getattr(response.raw, "_original_response", None)  # urllib3 has no public name for it
    if not isinstance(reply, WholeResponse) or reply.head is None:
        return _read_foreign(response, limit)
    head = reply.head
    try:
        body, leftover = reply.read_whole(limit)
    except NotWhole as error:
        return Reply(None, error=f"no reply: HTTP {head.status}, {error}")
    body, is_unpacked = _unpacked(body, head.field("content-encoding"), limit)
    said = Reply(
        head.status,
        body,
        retry_after(head.field("retry-after"), time.time()),
        date=date_of(head.field("date")),
        location=head.field("location") or "",
        repeated=current.repeated,
        doubt=_doubt(head, body, leftover or b"", is_cut=current.cut, is_unpacked=is_unpacked),
    )
    if leftover is None and not current.cut and head.leaves_open and is_togais_word(said, judge(said)):
        current.keep_connection()
        response.raw.release_conn()
    return said


def _read_foreign(response: requests.Response, limit: int) -> Reply:
    """The reply of a session that makes its own connections, none of which is used for a second one."""
    connection = getattr(response.raw, "connection", None)
    try:
        return _read_leniently(response, limit)
    finally:
        if (
            connection is not None
        ):  # what was read may have been an informational reply, with the final one to come
            connection.close()


def _read_leniently(response: requests.Response, limit: int) -> Reply:
    body = bytearray()
    response.raw.enforce_content_length = False  # we look ourselves, whatever urllib3's version makes of it
    while chunk := response.raw.read(CHUNK, decode_content=False):
        body += chunk
        if len(body) > limit:
            return Reply(None, error=f"no reply: HTTP {response.status_code}, more than {limit} bytes")
    expected = response.headers.get("Content-Length", "")
    if _LENGTH.fullmatch(expected) and len(body) < int(expected):
        why = f"HTTP {response.status_code}, cut after {len(body)} of {expected} bytes"
        return Reply(None, error=f"no reply: {why}")
    unpacked, is_unpacked = _unpacked(bytes(body), response.headers.get("Content-Encoding"), limit)
    return Reply(
        response.status_code,
        unpacked,
        retry_after(response.headers.get("Retry-After"), time.time()),
        date=date_of(response.headers.get("Date")),
        location=response.headers.get("Location", ""),
        doubt="" if is_unpacked else PACKED,
    )


def _doubt(head: Head, body: bytes, leftover: bytes, *, is_cut: bool, is_unpacked: bool) -> str:
    """Why a whole reply may still not be the word on this request; empty where it is."""
    is_success = 200 <= head.status < 300  # noqa: PLR2004  HTTP's
    if leftover.strip(b"\r\n"):
        return f"HTTP {head.status}, and more after it"
    if is_cut and is_success:
        return f"HTTP {head.status} before it had the request"
    if not is_unpacked:
        return f"HTTP {head.status}, {PACKED}"
    if head.length == TO_THE_END and is_success and not _is_json(body):
        return f"HTTP {head.status}, perhaps cut after {len(body)} bytes"
    return ""


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _unpacked(body: bytes, coding: str | None, limit: int) -> tuple[bytes, bool]:
    """A body that may be compressed, though nobody asked for it; and whether it could be unpacked."""
    if coding is None or coding.strip().lower() in ("", "identity"):
        return body, True
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        unpacked = unpacking.decompress(body, limit)
    except zlib.error:
        return b"", False
    return unpacked, unpacking.eof and not unpacking.unused_data
