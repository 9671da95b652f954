"""What a thread exchanges with a server: until when, how far it has come, and whom to tell that it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from .progress import Progress, unconfirmed
from .shutdown import UNREAD, thawed
from .whole_reply import NotWhole

CHUNK = 64 * 1024  # bytes read or sent at once
MAX_IDLE = 30.0  # seconds; a connection that is idle for longer may be forgotten by something on the way
TICK = 1.0  # seconds of waiting after which whoever waits is told that it still does


@attrs.define(eq=False)
class Exchange:
    """What a thread exchanges now: until when, and how far it has come."""

    clock: Callable[[], float]
    over_at: float
    max_idle: float
    may_begin: Callable[[], bool]  # asked before the first byte, which is not sent if it was given up
    still_waiting: Callable[[str], object]  # told about once a second while nothing comes, and how far it is
    progress: Progress
    is_anywhere: bool = True  # the request may go unencrypted to hosts other than this very machine
    begun: bool = False  # a byte of the request was handed to the system
    cut: bool = False  # not all of the request was
    told_at: float = 0.0  # when it was told last that nothing comes
    repeated: bool = False  # the session has sent more than one request: an earlier one may have arrived
    whole: bool = False  # it ended in one whole reply, and its connection may carry another request

    def bound(self, sock: Any) -> None:
        """Let the next wait for ``sock`` end at the deadline."""
        sock.settimeout(self.left())

    def patiently(self, sock: Any, action: Callable[[], int]) -> int:
        """Do ``action`` on ``sock``, which may have to wait, until the deadline at the latest."""
        while True:
            wait = min(self.left(), TICK)
            planned = self.clock() + wait
            sock.settimeout(wait)
            try:
                return action()
            except TimeoutError:
                now = self.clock()
                self.over_at = thawed(self.over_at, planned, now, UNREAD)
                if now >= self.over_at:
                    self.progress.look(now, unconfirmed(sock))
                    raise TimeoutError(f"timed out, {self.progress.words(now)}") from None
            finally:
                self._tell(sock)

    def _tell(self, sock: Any) -> None:
        """Tell once a second that the reply is not there yet, also where something comes that is none."""
        now = self.clock()
        if now - self.told_at >= TICK:
            self.told_at = now
            self.progress.look(now, unconfirmed(sock))
            self.still_waiting(self.progress.words(now))

    def left(self) -> float:
        """Return the seconds until the deadline; raises ``TimeoutError`` where there are none."""
        left = self.over_at - self.clock()
        if left <= 0:
            raise TimeoutError(f"timed out, {self.progress.words(self.clock())}")
        return left

    def hand_over(self, sock: Any, data: Any) -> None:
        """Send ``data``, a part of the request."""
        rest = memoryview(data)
        del data  # the key may be in it, and a traceback may be shown with all that its frames hold
        if not self.begun and not self.may_begin():
            raise NotWhole("given up before it was sent")
        self.cut = True
        self.progress.note(size=len(rest))
        while rest:
            part = rest[:CHUNK]
            sent = self.patiently(sock, lambda: sock.send(part))  # noqa: B023  called at once
            self.begun = True
            self.progress.note(handed=sent)
            rest = rest[sent:]
        self.cut = False

    def begin_request(self) -> None:
        """Note that a request begins: a second one is a repetition, where anything of the first was sent."""
        self.repeated = self.repeated or self.begun

    def keep_connection(self) -> None:
        """Note that the reply was whole and plain: without this, the connection is closed."""
        self.whole = True


# The exchange of each thread. By identity, not thread-local: a thread may be a greenlet, since gevent may
# have put its own in place after this was imported.
_exchanges: dict[int, Exchange] = {}
_impatient: dict[int, Callable[[str], object]] = {}  # likewise, whom to tell of a wait


@contextmanager
def exchange(
    seconds: float,
    max_idle: float = MAX_IDLE,
    clock: Callable[[], float] = time.monotonic,
    may_begin: Callable[[], bool] = lambda: True,
    *,
    is_anywhere: bool = True,
) -> Iterator[Exchange]:
    """Around an exchange on this thread: it has so many seconds as a whole."""
    me = threading.get_ident()
    still_waiting = _impatient.get(me, lambda _: None)
    now = clock()
    progress = Progress(now, now)
    begun = Exchange(
        clock, now + seconds, max_idle, may_begin, still_waiting, progress, is_anywhere, told_at=now
    )
    _exchanges[me] = begun
    try:
        yield begun
    finally:
        _exchanges.pop(me, None)


@contextmanager
def while_waiting(still_waiting: Callable[[str], object]) -> Iterator[None]:
    """Call ``still_waiting`` about once a second while an exchange of this thread within waits.

    It is given how far the exchange has come, in words.
    """
    me = threading.get_ident()
    _impatient[me] = still_waiting
    try:
        yield
    finally:
        _impatient.pop(me, None)


def current_exchange() -> Exchange | None:
    """The exchange of this thread; else it is no request of ours: somebody shares the session."""
    return _exchanges.get(threading.get_ident())
