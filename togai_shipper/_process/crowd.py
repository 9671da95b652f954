"""How many threads of this process are at work with requests at once; who waits for the network is not.

A thousand shippers may all have something to send at the same moment. Threads that wait for the interpreter's
lock wake each other up 200 times a second each: with a thousand of them nearly nothing else is done. So a few
begin, and the next one as soon as one of them is done, or waits for the network. Who comes back from there
waits for nobody, so nobody who hangs holds up the others.

Nothing here is held by a lock: ``track()`` may come from a signal handler in the middle of any line.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .per_process import PerProcess
from .this_process import this_process

MOST = 8  # threads at work, beside those that come back from the network: they have one interpreter
STUCK = 5.0  # seconds in which none of them ends, after which one more may begin: code of others may hang


class Crowd:
    """The threads of one process that are at work with a request, and those that wait for their turn."""

    def __init__(self, most: int = MOST, stuck: float = STUCK) -> None:
        self.process = this_process()
        self._stuck = stuck
        self._fewest = self._most = most
        self._moved_at = time.monotonic()  # when a thread last ended its work, or one more was let in
        self._busy: set[int] = set()  # identities of threads
        self._waiting: deque[queue.SimpleQueue[None]] = deque()

    @contextmanager
    def at_work(self, patience: float) -> Iterator[None]:
        """Around the work: it begins once few others are at it, or after ``patience`` seconds."""
        me = threading.get_ident()
        if me in self._busy:  # within a piece of work
            yield
            return
        if len(self._busy) >= self._most:
            self._wait(time.monotonic() + patience)
        self._busy.add(me)
        try:
            yield
        finally:
            self._leave(me)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Around a wait for the network, in the middle of the work: another thread may work meanwhile."""
        me = threading.get_ident()
        is_at_work = me in self._busy
        if is_at_work:
            self._leave(me)
        try:
            yield
        finally:
            if is_at_work:
                self._busy.add(me)

    def _leave(self, me: int) -> None:
        self._busy.discard(me)
        self._moved_at = time.monotonic()
        if len(self._busy) < self._fewest:  # those that hung do no longer
            self._most = self._fewest
        if self._waiting and len(self._busy) < self._most:
            with suppress(IndexError):  # another thread woke the last one
                self._waiting.popleft().put(None)

    def _wait(self, until: float) -> None:
        turn: queue.SimpleQueue[None] = queue.SimpleQueue()  # looked up here, as in Bell, for gevent's sake
        self._waiting.append(turn)
        try:
            while len(self._busy) >= self._most:  # pragma: no branch  they may have left in between
                now = time.monotonic()
                if now >= until:
                    return
                if now >= self._moved_at + self._stuck:
                    self._moved_at = now
                    self._most = len(self._busy) + 1
                    return
                with suppress(queue.Empty):
                    turn.get(timeout=min(until, self._moved_at + self._stuck) - now)
                    return
        finally:
            with suppress(ValueError):  # whoever left took it out
                self._waiting.remove(turn)


_crowd: PerProcess[Crowd] = PerProcess(lambda _: Crowd())


def crowd() -> Crowd:
    """Return that of this process."""
    return _crowd.here()
