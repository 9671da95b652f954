"""A few daemon threads of one kind: how many there are, whether one may be started, and when one ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import attrs

from togai_shipper._process import exits
from togai_shipper._process.this_process import this_process

from .runtime import Runtime

RESTART_AFTER = 1.0  # seconds between attempts to start a thread, and before one that failed goes on


@attrs.define(eq=False)
class Token:
    """A thread, from before it is started."""

    has_ended: bool = False

    def end(self) -> None:
        """Note that it has ended, perhaps before whoever started it could look."""
        self.has_ended = True


class Threads:
    """At most ``most`` threads, each of which runs ``work`` until that returns.

    ``work`` runs outside the lock; so does ``failed``, which is told what ended a thread that had not done
    its work, and ``ended``, called whenever a thread has ended. Who is alive is changed under the shipper's
    lock. ``cannot_start`` is the first part of the text in ``failure``.
    """

    def __init__(
        self,
        most: int,
        runtime: Runtime,
        lock: threading.RLock,
        *,
        cannot_start: str,
        work: Callable[[], None],
        failed: Callable[[BaseException], None],
        ended: Callable[[], None],
    ) -> None:
        self._cannot_start = cannot_start
        self._most = 0 if runtime.start_thread is None else most
        self._clock = runtime.clock
        self._start_thread = runtime.start_thread
        self._lock = lock
        self._work = work
        self._failed = failed
        self._ended = ended
        self._alive: set[Token] = set()  # those of threads that were started, and have not ended
        # Monotonic seconds until which one is being started: no other is, and nobody waits for it yet. It is
        # over by itself, too, should Ctrl-C come to who starts it at the wrong moment.
        self._starting_until = 0.0
        self._running: set[int] = set()  # identities of those that run
        self._start_at = 0.0  # monotonic seconds before which no thread is started
        self.failure: str | None = None  # why no thread can be started

    @property
    def alive(self) -> int:
        """Threads that were started and have not ended; not one that is being started, and may yet fail."""
        return len(self._alive)

    @property
    def is_full(self) -> bool:
        """Whether there are as many as there may be."""
        return 0 < self._most <= len(self._alive)

    def is_one(self, identity: int) -> bool:
        """Whether the thread of that identity is one of these."""
        return identity in self._running

    def start_if(self, is_wanted: Callable[[], bool]) -> None:
        """Start one more thread, if ``is_wanted()`` says so under the lock, and one may be started now.

        A failure is kept in ``failure``. The thread is started without the lock; but a signal handler that
        tracks may have interrupted whoever holds it, so nothing here waits for another thread.
        """
        token = Token()
        is_ours = False
        try:
            with self._lock:
                now = self._clock()
                may_start = now >= max(self._start_at, self._starting_until) and len(self._alive) < self._most
                if not may_start or not is_wanted():
                    return
                is_ours = True
                self._starting_until = now + RESTART_AFTER
            exits.expect_exit()
            is_started = self._start(token)
            with self._lock:
                if is_started and not token.has_ended:
                    self._alive.add(token)
        finally:
            if is_ours:
                self._starting_until = 0.0

    def _start(self, token: Token) -> bool:
        assert self._start_thread  # noqa: S101  without one, none may be started
        try:
            self._start_thread(self._run, (token,))
        except Exception as error:  # no memory, a limit, an interpreter on its way down: not the caller's
            self._start_at = self._clock() + RESTART_AFTER
            self.failure = f"{self._cannot_start}: {error}"
            return False
        self.failure = None
        return True

    def _run(self, token: Token) -> None:
        me = threading.get_ident()
        with self._lock:
            self._running.add(me)
            self._alive.add(token)  # Ctrl-C may have come to who started us, before that was noted
        try:
            self._work()
        except BaseException as error:  # SystemExit in a callback, a greenlet that is killed: told there
            self._failed(error)
        finally:
            with self._lock:
                self._running.discard(me)
                self._alive.discard(token)
                token.end()
            self._ended()


def may_call_beside(runtime: Runtime) -> bool:
    """Whether another thread may be started; at the end of a process none is."""
    return runtime.start_thread is not None and not exits.is_over()


def call_beside(function: Callable[[], object], runtime: Runtime, left: Callable[[], float]) -> None:
    """Call the application's code on another thread, since it may hang; wait while seconds are ``left()``.

    What it raises in that time is raised here. On this thread where no other can be had.
    """
    here, bell, ended = this_process(), runtime.bell(), []

    def call() -> None:
        error = None
        try:
            function()
        except BaseException as raised:  # SystemExit: that of whoever closes
            error = raised
        if not here.is_here:  # pragma: no cover  a forked child, unmeasured
            end_forked_child()
        ended.append(error)
        bell.ring()

    if not _is_started(call, runtime):
        function()
        return
    while True:
        rings = bell.rings
        seconds = left()
        if ended or seconds <= 0:
            break
        bell.wait(rings, seconds)
    for error in ended:
        if error is not None:
            raise error


def _is_started(function: Callable[[], None], runtime: Runtime) -> bool:
    start = runtime.start_thread if may_call_beside(runtime) else None
    if start is None:
        return False
    try:
        start(function, ())
    except Exception:  # no memory, a limit
        return False
    return True


def end_forked_child() -> None:  # pragma: no cover  a forked child, unmeasured
    """End this process: a callback has forked, and the child came back from it as a thread of its parent's.

    Nothing here is its own, and with the end of this thread, its only one, it would end anyway.
    """
    exits.close_all()
    os._exit(0)
