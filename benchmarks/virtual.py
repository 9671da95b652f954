"""Threads in virtual time: one runs at a time; where all wait, the clock jumps to what is due.

They are real threads, so that a flusher is what it is in production; but each hands its turn on where it
would wait. A run depends on nothing but what it is given.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from togai_shipper._engine.bell import Bell

SHORTEST = 1e-6  # seconds of a wait: less could leave the clock where it is, for ever


class Task:
    """A thread; ``woken`` counts its turns, so that what was to end an earlier wait is known to be void."""

    def __init__(self) -> None:
        self.turn = threading.Semaphore(0)
        self.woken = 0


class Time:
    """The clock, in seconds, and whose turn it is: first that of the thread that makes it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Task | Callable[[], object], int]] = []
        self._order = count()
        self._main = self._running = Task()
        self._failure: BaseException | None = None

    def __call__(self) -> float:
        """Seconds since it was made."""
        return self.now

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Call it then, on whatever thread has the turn; it must not wait."""
        heapq.heappush(self._due, (when, next(self._order), call, 0))

    def start_thread(self, function: Callable[..., object], arguments: Sequence[object]) -> None:
        """Start a thread; it has its turn once this one waits."""
        task = Task()
        threading.Thread(target=self._run, args=(task, function, arguments), daemon=True).start()
        self.wake(task, task.woken, self.now)

    def _run(self, task: Task, function: Callable[..., object], arguments: Sequence[object]) -> None:
        task.turn.acquire()
        try:
            function(*arguments)
        except BaseException as error:  # a bug; told where somebody looks
            self._failure = error
            self.wake(self._main, self._main.woken, self.now)
        self._hand_on()

    def nap(self) -> Nap:
        """The wait that the running thread is about to begin."""
        return Nap(self, self._running)

    def sleep(self, seconds: float | None) -> None:
        """Wait so long, or (``None``) until woken."""
        me = self._running
        if seconds is not None:
            self.wake(me, me.woken, self.now + max(SHORTEST, seconds))
        if self._hand_on() is not me:
            me.turn.acquire()
        if me is self._main and self._failure is not None:
            raise self._failure

    def wake(self, task: Task, woken: int, when: float) -> None:
        """End a wait of a thread then, if it is still the same wait."""
        heapq.heappush(self._due, (when, next(self._order), task, woken))

    def _hand_on(self) -> Task:
        """Let time pass until a thread is due, and give it the turn."""
        while True:
            when, _, what, woken = heapq.heappop(self._due)
            if isinstance(what, Task):
                if what.woken == woken:
                    break
            else:
                self.now = when
                what()
        self.now = when
        what.woken += 1
        before, self._running = self._running, what
        if what is not before:
            what.turn.release()
        return what


class Nap:
    """What a bell rings: stands where a real one has a queue."""

    def __init__(self, time: Time, task: Task) -> None:
        self._time, self._task, self._woken = time, task, task.woken

    def put(self, _: None) -> None:
        """Rung."""
        self._time.wake(self._task, self._woken, self._time.now)


class VirtualBell(Bell):
    """Waiting for it takes no time but the clock's."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def wait(self, rings: object, timeout: float | None) -> None:
        """Return when it has rung since ``rings`` was read, or after ``timeout`` seconds, if given."""
        nap = self._time.nap()
        self.waiting.append(nap)  # type: ignore[arg-type]  # ring() knows of put() alone
        try:
            if self.rings is rings:
                self._time.sleep(timeout)
        finally:
            with suppress(ValueError):  # rung: whoever rang took it out
                self.waiting.remove(nap)  # type: ignore[arg-type]
