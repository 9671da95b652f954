"""Threads that are greenlets, in virtual time: who runs next is drawn from the seed.

A task runs until it waits: for a bell, a lock, a socket, a disk, a moment. Time moves only when no task can
run. A lock may also hand over to another task as it is taken, so that threads interleave there, too.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import greenlet

if TYPE_CHECKING:
    from .process import Process

MOST_STEPS = 5000  # while time stands still; more would never end
_idents = itertools.count(1_000_000)  # of threads: no two in any world have the same
_abandoned: list[greenlet.greenlet] = []  # tasks of dead processes: never resumed, and never unwound either


class Violation(Exception):  # noqa: N818  what a world is there to find
    """A promise is broken."""


class Task:
    """One thread of one process."""

    __slots__ = ("awake", "greenlet", "ident", "is_over", "locks", "process", "wake_number")

    def __init__(
        self, ident: int, process: Process, function: Callable[..., Any], arguments: Any, main: Any
    ) -> None:
        self.ident = ident
        self.process = process
        self.locks = 0  # re-entrant locks that it holds
        self.wake_number = 0  # of the wait it is in: what would end an earlier one is too late
        self.awake = True
        self.is_over = False
        self.greenlet = greenlet.greenlet(lambda: self._run(function, arguments), main)

    def _run(self, function: Callable[..., Any], arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:  # nothing that an application calls raises, and no thread of ours ends so
            self.process.world.scheduler.fail(f"a thread of {self.process} raised\n{traceback.format_exc()}")


class Scheduler:
    """Runs the tasks of one world."""

    def __init__(self, seed: int, *, preempting: float) -> None:
        self.now = 0.0  # true seconds since the world began
        self.steps = 0
        self.task: Task | None = None  # who runs
        self._random = random.Random(f"scheduler {seed}")
        self._preempting = preempting  # how likely another task runs first, where a lock is taken
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, Task, int]] = []
        self._count = 0
        self._main = greenlet.getcurrent()
        self._moved_at, self._steps_then = -1.0, 0  # when time last moved, and how many steps there were then
        self._failure: Violation | None = None
        self.after_step: Callable[[Task], None] = lambda _: None

    # --- tasks ---

    def spawn(self, process: Process, function: Callable[..., Any], arguments: Any = ()) -> Task:
        """Start a thread; it runs when its turn comes."""
        task = Task(next(_idents), process, function, arguments, self._main)
        process.tasks.add(task)
        self._ready.append(task)
        return task

    def abandon(self, process: Process) -> None:
        """Let the threads of a process that was killed never run again."""
        for task in process.tasks:
            task.is_over = True
            _abandoned.append(task.greenlet)
        process.tasks.clear()

    def resume(self, tasks: list[Task]) -> None:
        """Let tasks that were held up run again."""
        self._ready += tasks

    # --- what a task does ---

    def wait(self, until: float | None) -> None:
        """Let others run until somebody calls ``wake`` for this task, or that moment has come."""
        task = self.task
        assert task is not None, "nobody but a task waits"
        if task.locks:
            self.fail("a thread waits while it holds its shipper's lock")
        task.wake_number += 1
        task.awake = False
        if until is not None:
            self._count += 1
            heapq.heappush(self._timers, (max(until, self.now), self._count, task, task.wake_number))
        self._main.switch()

    def later(self, seconds: float) -> float:
        """Return when so many seconds are over: later, however few they are beside what has passed."""
        return max(self.now + seconds, math.nextafter(self.now, math.inf)) if seconds > 0 else self.now

    def sleep(self, seconds: float) -> None:
        """Let others run for so many seconds."""
        until = self.later(seconds)
        while self.now < until:
            self.wait(until)

    def wake(self, task: Task) -> None:
        """Let a task that waits run again."""
        if not task.awake and not task.is_over:
            task.awake = True
            self._ready.append(task)

    def may_switch(self) -> None:
        """Let another task run first, if the seed says so."""
        task = self.task
        if task is None or task.locks or not self._ready or self._random.random() >= self._preempting:
            return
        self._ready.append(task)
        self._main.switch()

    def fail(self, text: str) -> NoReturn:
        """End the world: a promise is broken."""
        failure = Violation(text)
        if self.task is None:
            raise failure
        self._failure = failure
        _abandoned.append(self.task.greenlet)
        self._main.switch()
        raise AssertionError("the world is over")

    # --- running ---

    def run(self, until: float) -> None:
        """Run whatever happens up to that moment."""
        while True:
            self.run_ready()
            if not self._timers or self._timers[0][0] > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, self._timers[0][0])
            for task in self._due():
                self.wake(task)

    def run_ready(self) -> None:
        """Run what can run now, until all wait."""
        ready, chance = self._ready, self._random
        while ready:
            place = int(chance.random() * len(ready))
            ready[place], ready[-1] = ready[-1], ready[place]
            task = ready.pop()
            if task.is_over:
                continue
            if task.process.is_frozen:
                task.process.held_up.append(task)
                continue
            self._step(task)

    def skip(self, seconds: float) -> None:
        """Let time pass in which nobody runs: everything is frozen, or off."""
        self.now += seconds

    def _step(self, task: Task) -> None:
        self.steps += 1
        if self.now > self._moved_at:
            self._moved_at, self._steps_then = self.now, self.steps
        elif self.steps > self._steps_then + MOST_STEPS:
            frame = task.greenlet.gr_frame
            stack = "a new thread" if frame is None else "".join(traceback.format_stack(frame))
            raise Violation(f"{task.process} goes round in circles\n{stack}")
        self.task = task
        task.process.enter()
        try:
            task.greenlet.switch()
        finally:
            self.task = None
            task.process.leave()
        if self._failure is not None:
            raise self._failure
        if task.greenlet.dead:
            task.is_over = True
            task.process.tasks.discard(task)
        self.after_step(task)

    def _due(self) -> Iterator[Task]:
        while self._timers and self._timers[0][0] <= self.now:
            _, _, task, number = heapq.heappop(self._timers)
            if task.wake_number == number:
                yield task
