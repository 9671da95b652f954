"""What the operating system is to a process: who it is, what time it is, its locks, its network, its disk.

``simulated()`` puts functions of the world where Python's own stand, as gevent does. They ask the world that
runs at the moment; while none does, they do what Python's own do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import select
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis

from togai_shipper.spool import folder

if TYPE_CHECKING:
    from .process import Process
    from .scheduler import Scheduler
    from .world import World

_running: list[World] = []

_getpid, _get_ident, _close, _urandom = os.getpid, threading.get_ident, os.close, os.urandom
_monotonic, _time, _time_ns, _connect = time.monotonic, time.time, time.time_ns, sqlite3.connect


def world() -> World:
    """The world that runs."""
    return _running[-1]


def scheduler() -> Scheduler:
    """Who runs the tasks of the world that runs."""
    return _running[-1].scheduler


def process() -> Process | None:
    """The process whose task runs, or at which the judge looks, if there is one."""
    if not _running:
        return None
    task = _running[-1].scheduler.task
    return _running[-1].judge.looks_at if task is None else task.process


@contextmanager
def running(what: World) -> Iterator[None]:
    """Let this world be the one that runs."""
    _running.append(what)
    try:
        yield
    finally:
        _running.pop()


@contextmanager
def simulated() -> Iterator[None]:
    """Put the world's functions where Python's own stand."""
    from . import disk, locks, network, redis_client  # noqa: PLC0415  they know this module

    places: list[tuple[Any, str, Any]] = [
        (os, "getpid", _pid_here),
        (os, "close", _closed),
        (os, "urandom", _random_bytes),
        (folder.Folder.new, "__defaults__", (_random_bytes,)),
        (threading, "get_ident", _ident_here),
        (threading, "Lock", locks.Lock),
        (threading, "RLock", locks.ReentrantLock),
        (queue, "SimpleQueue", locks.SimpleQueue),
        (time, "monotonic", lambda: _clock(lambda here: here.clock(), _monotonic)),
        (time, "time", lambda: _clock(lambda here: here.wall(), _time)),
        (time, "time_ns", lambda: int(_clock(lambda here: here.wall(), _time) * 1e9)),
        (time, "sleep", lambda seconds: scheduler().sleep(seconds)),
        (fcntl, "lockf", _locked),
        (sqlite3, "connect", disk.connect),
        (socket, "socket", network.Socket),
        (socket, "getaddrinfo", network.getaddrinfo),
        (select, "poll", network.Poll),
        (redis.Redis, "from_url", redis_client.from_url),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, ours in places:
        setattr(module, name, ours)
    try:
        yield
    finally:
        for module, name, python in before:
            setattr(module, name, python)


def _pid_here() -> int:
    here = process()
    return _getpid() if here is None else here.pid


def _ident_here() -> int:
    task = _running[-1].scheduler.task if _running else None
    return _get_ident() if task is None else task.ident


def _random_bytes(count: int) -> bytes:
    here = process()
    return _urandom(count) if here is None else here.random.randbytes(count)


def _clock(of: Callable[[Process], float], python: Callable[[], float]) -> float:
    here = process()
    return python() if here is None else of(here)


def _locked(fd: int, command: int, *_: Any) -> None:
    """Lock a file for the process that runs: POSIX locks belong to processes, and all of ours are one."""
    here = process()
    assert here is not None, "nobody but a process locks a file"
    inode = os.fstat(fd).st_ino
    if any(inode in other.locked.values() for other in world().processes if other is not here):
        raise BlockingIOError(errno.EAGAIN, "locked by another process")
    here.locked[fd] = inode


def _closed(fd: int) -> None:
    """Close a file: with it goes the lock, whichever descriptor it was taken by."""
    here = process()
    if here is not None and here.locked:
        inode = os.fstat(fd).st_ino
        for each in [each for each, locked in here.locked.items() if locked == inode]:
            del here.locked[each]
    _close(fd)


def close_all(dead: Process) -> None:
    """Close what a process has locked, since it is dead."""
    for fd in dead.locked:
        _close(fd)
    dead.locked.clear()
