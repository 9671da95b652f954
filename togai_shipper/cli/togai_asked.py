"""Questions to Togai that change nothing: the answer, or in one line why there is none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.key import Key, KeyUnavailable
from togai_shipper._engine.transport import NoSession, Transport, connected
from togai_shipper._engine.verdict import Reply, json_object
from togai_shipper._printable import printable
from togai_shipper._secret import Secret

from .beside_a_relay import shipping_to_togai
from .not_answered import NotAnswered

PATIENCE = 15.0  # seconds for an answer
TRIES = 3  # of one question, where Togai has no time
LONGEST_WAIT = 10.0  # seconds between those
_NO_TIME = (408, 429, 500, 502, 503, 504)
_NOT_SO = (400, 404, 422)  # with JSON: Togai's word that it does not answer this


@attrs.frozen
class Answer:
    """Togai's word: what was asked for, or (``is_refusal``) that it does not answer such a question."""

    body: dict[str, Any]
    is_refusal: bool = False
    is_missing: bool = False  # a 404: there is no such thing

    @property
    def message(self) -> str:
        """What a refusal says, in a line."""
        return printable(str(self.body.get("message", "")))[:200]


def togai_options(environ: Mapping[str, str], **given: Any) -> Config:
    """Return the options by which Togai is asked, also where the applications have a relay."""
    return Config.load(environ, enabled=True, **shipping_to_togai(environ, given))


class TogaiAsked:
    """Asks one question after the other, at most ``rate`` a second, and counts them in ``count``."""

    def __init__(
        self,
        connection: Transport,
        key: Secret[str],
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._connection = connection
        self._key = key
        self._every = 1 / rate
        self._clock = clock
        self._pause = pause
        self._next_at = clock()
        self.count = 0

    def get(self, path: str) -> Answer:
        """Return what ``GET`` gives. Raises ``NotAnswered``."""
        return self._asked(
            f"GET {path.partition('?')[0]}", lambda: self._connection.get(path, self._key, PATIENCE)
        )

    def post(self, path: str, body: object) -> Answer:
        """Return what ``POST`` gives, of a question that is too long for a URL. Raises ``NotAnswered``."""
        data = json.dumps(body).encode()
        return self._asked(f"POST {path}", lambda: self._connection.post(path, data, self._key, PATIENCE))

    def _asked(self, what: str, ask: Callable[[], Reply]) -> Answer:
        tried = 0
        while True:
            self._wait_for_turn()
            self.count += 1
            tried += 1
            try:
                reply = ask()
            except NoSession as error:
                raise NotAnswered(str(error)) from error
            if tried == TRIES or reply.status not in (None, *_NO_TIME):
                return _read(what, reply)
            self._pause(min(LONGEST_WAIT, reply.retry_after or 1.0))

    def _wait_for_turn(self) -> None:
        now = self._clock()
        if now < self._next_at:
            self._pause(self._next_at - now)
        self._next_at = max(now, self._next_at) + self._every


@contextmanager
def togai_asked(
    config: Config,
    rate: float,
    connect: Callable[[Config], Transport] = connected,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[TogaiAsked]:
    """Give somebody who asks Togai with the key of ``config``. Raises ``NotAnswered``: there is no key."""
    connection = connect(config)
    try:
        yield TogaiAsked(connection, key_of(config), rate, pause=pause)
    finally:
        connection.close()


def key_of(config: Config) -> Secret[str]:
    """Return the key. Raises ``NotAnswered``."""
    try:
        return Key(config.api_key).current()
    except KeyUnavailable as error:
        raise NotAnswered(str(error)) from error


def _read(asked: str, reply: Reply) -> Answer:
    """Return the answer that a reply holds. Raises ``NotAnswered``."""
    answer = json_object(reply.body)
    why = why_not(reply)
    match reply.status:
        case 200 if answer is None:
            why = "a page that is not Togai's"
        case 200 if answer is not None and not reply.doubt:
            return Answer(answer)
        case status if status in _NOT_SO and answer is not None and not reply.doubt:
            return Answer(answer, is_refusal=True, is_missing=status == 404)  # noqa: PLR2004  HTTP's
    raise NotAnswered(f"{asked}: {why}")


def why_not(reply: Reply) -> str:
    """Say why a reply is no answer."""
    match reply.status:
        case 401:
            return "Togai refuses the key (401); it allows an address 5 such requests in 30 minutes"
        case 403:
            return "the key may not look this up (403)"
        case 404 | 405:
            return f"it is not there (HTTP {reply.status}); is the base_url right?"
    return reply.error or reply.doubt or f"HTTP {reply.status}"
