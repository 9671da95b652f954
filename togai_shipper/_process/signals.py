"""Signals are the application's: no thread of ours takes one, and what we cause does not reach it.

The system may hand a signal that is sent to the process to any thread that does not block it. A program that
waits in ``sigwait`` would lose it to us, or die of it. So our threads block all signals but those by which a
thread fails itself. What a thread of ours starts inherits that, so the application's functions, which may
start processes, run with the signal mask of the thread that started ours.

A thread is born with them blocked, since its starter blocks them meanwhile. A thread that blocked them as the
first thing that it does would take a signal that came before it: uWSGI's handler in C ends the process on
whichever thread it runs, and on our flusher that would wait for our flusher.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

# Windows has neither of these, and macOS only the first.
_CAN = all(hasattr(signal, name) for name in ("pthread_sigmask", "sigtimedwait"))
_THREADS_OWN = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT")
if _CAN:  # pragma: no branch  Linux has all of it
    # The function in C: the one in Python makes an enum of each signal, for a tenth of a millisecond.
    from _signal import pthread_sigmask as _mask  # type: ignore[import-not-found]  # signal.py's own source

    _BLOCKED = frozenset(map(int, signal.valid_signals())) - {
        int(getattr(signal, name)) for name in _THREADS_OWN if hasattr(signal, name)
    }
    _PIPE = frozenset({int(signal.SIGPIPE)})

# Of a thread of ours: ``application``, the mask for the application's functions. A greenlet has none.
_here = threading.local()


@attrs.frozen
class Starter:
    """A thread that starts another."""

    native_id: int
    mask: frozenset[int]


def starter() -> Starter | None:
    """Return what a thread that the calling one starts has to know of it, for ``keep_out``."""
    if not _CAN:  # pragma: no cover  its test is a process of its own, unmeasured
        return None
    mask = getattr(_here, "application", None)
    if mask is None:
        mask = frozenset(map(int, _mask(signal.SIG_BLOCK, ())))
    return Starter(threading.get_native_id(), mask)


def deaf(start: Callable[[], object]) -> None:
    """Call ``start`` with signals blocked, so that the thread that it starts is born with them blocked.

    A handler in Python may raise in any of these calls, for a signal that came before. It finds no gap in
    which the mask would stay: Python runs handlers as a call returns, and of these only the last is outside
    the ``try``. So ``start`` is better a function in C, or a ``partial`` of one.
    """
    if not _CAN:  # pragma: no cover  its test is a process of its own, unmeasured
        start()
        return
    before = _mask(signal.SIG_BLOCK, ())
    try:
        _mask(signal.SIG_BLOCK, _BLOCKED)
        start()
    finally:
        _mask(signal.SIG_SETMASK, before)


def keep_out(started_by: Starter | None) -> None:
    """Block signals on the calling thread, ours and new, and note with which mask the application runs there.

    Under gevent and eventlet it is no thread, but runs on that of its starter: then nothing is blocked.
    """
    if started_by is None or started_by.native_id == threading.get_native_id():
        return
    _mask(signal.SIG_BLOCK, _BLOCKED)
    _here.application = started_by.mask


@contextmanager
def as_application() -> Iterator[None]:
    """Around a function of the application: it runs with the application's mask, also on our threads."""
    mask = getattr(_here, "application", None)
    if mask is None:
        yield
        return
    before = _mask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        _mask(signal.SIG_SETMASK, before)


# --- SIGPIPE ------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class _Pipes:
    """Who writes to sockets on one thread: several, where it runs greenlets."""

    writers: set[object] = attrs.field(factory=set)
    was_blocked: bool = True
    was_pending: bool = True

    def begin(self) -> None:
        self.was_pending = signal.SIGPIPE in signal.sigpending()
        self.was_blocked = _mask(signal.SIG_BLOCK, ()) >= _PIPE
        _mask(signal.SIG_BLOCK, _PIPE)

    def end(self) -> None:
        is_anothers = not self.was_pending and _took_anothers()
        if not self.was_blocked:
            _mask(signal.SIG_UNBLOCK, _PIPE)
        if is_anothers:
            os.kill(os.getpid(), signal.SIGPIPE)


_pipes: dict[int, _Pipes] = {}  # by the identity of the system's thread


@contextmanager
def without_sigpipe() -> Iterator[None]:
    """Around writing to sockets: where the other side has gone, that is an error, and no SIGPIPE.

    Python ignores SIGPIPE, but a program may have it do what it does by default: end the process. It is
    blocked meanwhile, on any thread, and what came of our writing is consumed. What was pending before stays
    pending; what somebody sent is sent again.
    """
    if not _CAN or (not _is_ours() and signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN):
        yield
        return
    me, writer = threading.get_native_id(), object()
    pipes = _pipes.setdefault(me, _Pipes())
    try:
        pipes.writers.add(writer)
        if len(pipes.writers) == 1:
            pipes.begin()
        yield
    finally:
        pipes.writers.discard(writer)
        if not pipes.writers:
            _pipes.pop(me, None)
            pipes.end()


def _is_ours() -> bool:
    return hasattr(_here, "application")


def _took_anothers() -> bool:
    """Consume SIGPIPE where it is pending; return whether it was sent by somebody else."""
    is_anothers = False
    while info := signal.sigtimedwait(_PIPE, 0):
        is_anothers |= info.si_pid != os.getpid()
    return is_anothers
