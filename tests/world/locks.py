"""Locks and bells among tasks. They stand where ``threading`` has its own, as under gevent."""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress
from typing import Any

from togai_shipper._engine.bell import Bell

from . import kernel
from .scheduler import Scheduler, Task


class ReentrantLock:
    """Stands for ``threading.RLock``. Nobody waits while holding one, so nobody ever waits for one."""

    def __init__(self) -> None:
        self._owner: Task | None = None
        self._count = 0
        self._home = kernel.process()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002  as threading has it
        scheduler = kernel.scheduler()
        task = scheduler.task
        if self._count and self._owner is task:
            self._count += 1
            return True
        if task is not None and self._home is not None and task.process is not self._home:
            scheduler.fail(f"{task.process} touches what it has inherited of {self._home}")
        scheduler.may_switch()
        if self._count:
            scheduler.fail("a lock is held by a thread that waits")
        self._owner, self._count = task, 1
        if task is not None:
            task.locks += 1
        return True

    def release(self) -> None:
        self._count -= 1
        if not self._count:
            if self._owner is not None:
                self._owner.locks -= 1
            self._owner = None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_owned(self) -> bool:
        return bool(self._count) and self._owner is kernel.scheduler().task


def _wait_among(waiting: deque[Task], task: Task, until: float | None) -> None:
    """Let ``task`` wait, as one of ``waiting``, until it is woken or that moment has come."""
    waiting.append(task)
    try:
        kernel.scheduler().wait(until)
    finally:
        with suppress(ValueError):
            waiting.remove(task)


class Lock:
    """Stands for ``threading.Lock``: tasks wait for it, and may do so for a time."""

    def __init__(self) -> None:
        self._is_locked = False
        self._waiting: deque[Task] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002  as threading has it
        scheduler = kernel.scheduler()
        scheduler.may_switch()
        until = None if timeout < 0 else scheduler.now + timeout
        while self._is_locked:
            task = scheduler.task
            if not blocking or task is None or (until is not None and scheduler.now >= until):
                return False
            _wait_among(self._waiting, task, until)
        self._is_locked = True
        return True

    def release(self) -> None:
        self._is_locked = False
        scheduler = kernel.scheduler()
        for task in self._waiting:
            scheduler.wake(task)

    def locked(self) -> bool:
        return self._is_locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Token:
    """Who waits for a bell."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._task = task

    def put(self, _: None) -> None:
        self._scheduler.wake(self._task)


class VirtualBell(Bell):
    """A bell among tasks."""

    def wait(self, rings: object, timeout: float | None) -> None:
        scheduler = kernel.scheduler()
        scheduler.may_switch()
        if self.rings is not rings:
            return
        assert scheduler.task is not None, "nobody but a task waits"
        token: Any = _Token(scheduler, scheduler.task)
        self.waiting.append(token)
        try:
            scheduler.wait(None if timeout is None else scheduler.later(timeout))
        finally:
            with suppress(ValueError):
                self.waiting.remove(token)


class SimpleQueue:
    """Stands for ``queue.SimpleQueue``: tasks wait for what is put, and may do so for a time."""

    def __init__(self) -> None:
        self._items: deque[object] = deque()
        self._waiting: deque[Task] = deque()

    def put(self, item: object) -> None:
        self._items.append(item)
        scheduler = kernel.scheduler()
        for task in self._waiting:
            scheduler.wake(task)

    def get(self, block: bool = True, timeout: float | None = None) -> object:  # noqa: FBT001, FBT002  as queue has it
        scheduler = kernel.scheduler()
        until = None if timeout is None else scheduler.later(timeout)
        while not self._items:
            task = scheduler.task
            if not block or task is None or (until is not None and scheduler.now >= until):
                raise queue.Empty
            _wait_among(self._waiting, task, until)
        return self._items.popleft()
