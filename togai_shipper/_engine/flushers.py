"""The daemon threads, and nothing else: when one is started, what it does when it fails, when it ends."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .buffer import Waiter

RESTART_AFTER = 1.0  # seconds between attempts to start a thread, and before a flusher that failed goes on


def start_thread(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Run ``function`` on a daemon thread, without waiting for it to begin.

    Not by ``Thread.start``: that waits for the new thread, here while holding the shipper's lock; and what
    runs the new thread may collect garbage whose ``__del__`` tracks an event, and so waits for that lock.
    """
    # Looked up now: gevent may have put its own in place.
    _thread.start_new_thread(_run_seen, (function, arguments))


def _run_seen(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Let who traces or profiles threads, a debugger or a coverage tool, see ours as well."""
    hooks: tuple[tuple[Any, Callable[[Any], None]], ...] = (
        (threading.gettrace(), sys.settrace),
        (threading.getprofile(), sys.setprofile),
    )
    for hook, install in hooks:
        if hook:
            install(hook)
    function(*arguments)


class Flushers:
    """At most ``most`` threads, each of which runs ``work`` until that returns.

    Touched only while holding the shipper's lock; ``work`` runs outside it.
    """

    def __init__(
        self,
        most: int,
        lock: threading.RLock,
        clock: Callable[[], float],
        work: Callable[[Waiter | None], None],
        failed: Callable[[BaseException], None],
        ended: Callable[[], None],
        thread: Callable[[Callable[..., None], tuple[object, ...]], object],
    ) -> None:
        self._most = most
        self._lock = lock
        self._clock = clock
        self._work = work
        self._failed = failed  # told, outside the lock, what ends a thread that has not done its work
        self._ended = ended  # told, outside the lock, whenever a thread has ended
        self._thread = thread
        self._alive: set[object] = set()  # one token for each thread that runs, or is about to
        self._own: set[int] = set()  # identities of those that run
        self._away: set[int] = set()  # of those, the ones inside the application's code
        self._start_at = 0.0  # monotonic seconds before which no thread is started
        self.threads: set[int] = set()  # identities of the threads inside work(), ours and callers'
        self.failure: str | None = None  # why no thread can be started

    @property
    def alive(self) -> int:
        """Threads that run, or are about to."""
        return len(self._alive)

    @property
    def available(self) -> int:
        """Threads alive that are not held up in a callback."""
        return len(self._alive) - len(self._away)

    def may_start(self) -> bool:
        """Whether one more may be started now."""
        return len(self._alive) < self._most and self._clock() >= self._start_at

    def start(self) -> None:
        """Start one more thread, if that can be done; a failure is kept in ``failure``."""
        token = object()
        self._alive.add(token)
        started = False
        try:
            self._thread(self._run, (token,))
            started = True
            self.failure = None
        except Exception as error:  # no memory, a limit, an interpreter on its way down: not the caller's
            self._start_at = self._clock() + RESTART_AFTER
            self.failure = f"no flusher thread can be started: {error}"
        finally:
            if not started:
                self._alive.discard(token)

    def _run(self, token: object) -> None:
        me = threading.get_ident()
        self._own.add(me)
        try:
            self.work_here()
        except BaseException as error:  # SystemExit in a callback, a greenlet that is killed: told there
            self._failed(error)
        finally:
            with self._lock:
                self._own.discard(me)
                self._alive.discard(token)
            self._ended()

    def work_here(self, until: Waiter | None = None) -> None:
        """Do a flusher's work on the calling thread, until it is done or ``until`` is."""
        me = threading.get_ident()
        self.threads.add(me)
        try:
            self._work(until)
        finally:
            self.threads.discard(me)

    @contextmanager
    def away(self) -> Iterator[bool]:
        """Around the application's code, which may take its time; yields whether that holds up a flusher."""
        me = threading.get_ident()
        held_up = me in self._own and me not in self._away
        if held_up:
            with self._lock:
                self._away.add(me)
        try:
            yield held_up
        finally:
            if held_up:
                with self._lock:
                    self._away.discard(me)
