"""The flushers: when one more is started, and who of them is held up in the application's code.

A flusher takes batches and carries them (``carrying``) until the shipper closes. ``flush()`` and ``close()``
do the same on their caller's thread where no flusher can be started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from togai_shipper._config import Config
from togai_shipper._process import exits
from togai_shipper._process.this_process import this_process

from .bell import Bell
from .buffer import Buffer
from .gate import Gate
from .runtime import Runtime
from .shutdown import Shutdown
from .threads import Threads, end_forked_child


class Flushers:
    """The flusher threads of one shipper. All is decided under its lock, and done outside of it."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        gate: Gate,
        buffer: Buffer,
        progress: Bell,
        *,
        work: Callable[[], None],
        is_waiting: Callable[[], bool],
        failed: Callable[[BaseException], None],
        ended: Callable[[], None],
    ) -> None:
        self._process = this_process()
        self._clock = runtime.clock
        self._lock = lock
        self._shutdown = shutdown
        self._gate = gate
        self._buffer = buffer
        self._progress = progress
        self._is_waiting = is_waiting  # says whether there are events that nobody carries
        self._ended = ended
        self._threads = Threads(
            config.max_in_flight,
            runtime,
            lock,
            cannot_start="no flusher thread can be started",
            work=work,
            failed=failed,
            ended=self._flusher_ended,
        )
        self.bell = runtime.bell()  # rung when a batch may be due
        self._in_callback: set[int] = set()  # identities of flushers inside the application's code
        self.carriers: set[int] = set()  # identities of threads that carry batches, ours and callers'
        self.available = 0  # flushers alive that are not held up in a callback

    @property
    def alive(self) -> int:
        """Flushers that were started and have not ended."""
        return self._threads.alive

    @property
    def are_held_up(self) -> bool:
        """Whether all flushers there are, and there may be no more, are inside the application's code."""
        return self._threads.is_full and not self.available

    @property
    def failure(self) -> str | None:
        """Why no flusher can be started, if so."""
        return self._threads.failure

    # --- starting ---

    def wake(self) -> None:
        """There may be something to do: wake the flushers that are idle, or see to it that there is one."""
        is_idle = bool(self.bell.waiting)
        self.bell.ring()  # always: a flusher that saw nothing due may be just about to wait, for ever
        if not is_idle:
            self.ensure()

    def ensure(self) -> None:
        """Start a flusher, if no one is free and one is wanted: the first, or one more for what is due."""
        try:
            self._threads.start_if(self._is_wanted)
        finally:
            with self._lock:
                self._count()

    def _is_wanted(self) -> bool:
        self._count()
        if self._shutdown.has_begun and (exits.is_over() or not self.available):
            return False  # the closing thread does it; an interpreter on its way down starts no thread
        if self._shutdown.is_given_up or self._clock() >= self._shutdown.deadline:
            return False  # it would find nothing to send, end at once, and be started again
        if not self.available:
            return True
        all_are_busy = self._buffer.batches_in_flight >= self.available
        may_two_go = not self._gate.parking.cause and not self._gate.alone_for(self._clock())
        return all_are_busy and may_two_go and self._buffer.is_batch_due()

    def _count(self) -> None:
        self.available = max(0, self._threads.alive - len(self._in_callback))

    def _flusher_ended(self) -> None:
        with self._lock:
            self._count()
        self._ended()

    # --- who carries ---

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """Around the work of a flusher, on whatever thread."""
        me = threading.get_ident()
        self.carriers.add(me)
        try:
            yield
        finally:
            self.carriers.discard(me)

    @property
    def is_here(self) -> bool:
        """Whether the calling thread carries batches, so that it must not wait for them."""
        return threading.get_ident() in self.carriers

    # --- callbacks ---

    @contextmanager
    def in_callback(self) -> Iterator[None]:
        """Around the application's code, which may take its time: another flusher does this one's work."""
        me = threading.get_ident()
        is_held_up = self._threads.is_one(me) and me not in self._in_callback
        try:
            if is_held_up:
                with self._lock:
                    self._in_callback.add(me)
                self._look_again()
            yield
        finally:
            if is_held_up:
                if not self._process.is_here:  # pragma: no cover  a forked child, unmeasured
                    end_forked_child()
                with self._lock:
                    self._in_callback.discard(me)
                self._look_again()

    def _look_again(self) -> None:
        with self._lock:
            self._count()
            is_waiting = self._is_waiting()
        if is_waiting:
            self.ensure()
        self._progress.ring()  # close() joins in where nobody else is left
