"""The end of a process: what is pending when it exits is delivered, within one deadline.

A fork needs nothing here. Every public method asks ``this_process()``, which also holds where no at-fork hook
runs (uWSGI), and a child never touches what it inherited: so there is no lock to be taken before a fork, and
a child that tracks nothing has nothing to close.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from togai_shipper._outcome import FlushReport

from .registry import Registry
from .this_process import Process, this_process


class Closable(Protocol):
    """What the end of a process needs of a pipeline."""

    process: Process

    @property
    def close_timeout(self) -> float:
        """Seconds that closing at exit may take."""

    def begin_closing(self, timeout: float) -> None:
        """Take no more events, and have all over in ``timeout`` seconds; only the first call counts."""

    def hasten(self, timeout: float) -> None:
        """Have all over in ``timeout`` seconds, though an earlier ``close()`` had more."""

    def close(self, timeout: float) -> FlushReport:
        """Deliver what can be, and give up the rest."""

    def give_up(self) -> None:
        """End now."""

    @property
    def is_closing_here(self) -> bool:
        """Whether the calling thread is inside ``close()``, beneath."""

    def do_after_close(self, function: Callable[[], None]) -> None:
        """Let the ``close()`` beneath, on this thread, call ``function`` once it is over."""


# Held weakly: one that is closed, or was never used, may go. One with work to do is kept by its flushers.
_pipelines: Registry[Closable] = Registry()
_orphans: set[Closable] = set()
_over: set[Process] = set()  # processes that have closed all at their exit
_expecting: set[Process] = set()  # processes whose own kind of exit was seen to


def remember(pipeline: Closable) -> None:
    """Close ``pipeline`` when this process exits, if nobody has by then."""
    _pipelines.add(pipeline)


def keep(pipeline: Closable) -> None:
    """``pipeline`` has lost its shipper and still has events: keep it until the end."""
    _orphans.add(pipeline)


def let_go(pipeline: Closable) -> None:
    """``pipeline`` has ended."""
    _orphans.discard(pipeline)


def expect_exit() -> None:
    """See to it that this process calls ``end``; called when there is first something to deliver.

    Up to Python 3.12 a child of ``multiprocessing`` runs its finalizers and no atexit handler; from 3.13 it
    runs both. Finalizers registered before the child began are forgotten, so not at import.
    """
    here = this_process()
    if here in _expecting:
        return
    _expecting.add(here)
    if _is_child():
        from multiprocessing.util import Finalize  # noqa: PLC0415  only a child of multiprocessing pays for it

        Finalize(None, end, exitpriority=0)


@atexit.register
def end() -> None:
    """Close what is open in this process, and let what is made from now on take nothing."""
    _over.add(this_process())
    close_all()


def is_over() -> bool:
    """Whether this process has ended, but for exit handlers, or threads, that run after ours."""
    return this_process() in _over or (_is_child() and sys.modules["multiprocessing.util"]._exiting)  # noqa: SLF001  nothing public tells


def _is_child() -> bool:
    multiprocessing = sys.modules.get("multiprocessing.process")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def close_all() -> None:
    """Close what is open in this process."""
    close_together([pipeline for pipeline in _pipelines if pipeline.process.is_here])


def orphans() -> list[Closable]:
    """Those of this process that have lost their shippers and had events then."""
    return [pipeline for pipeline in list(_orphans) if pipeline.process.is_here]


def close_together(pipelines: list[Closable]) -> None:
    """Close these: all take no more first, then all are waited for, with one deadline."""
    timeout = max((pipeline.close_timeout for pipeline in pipelines), default=0.0)
    raised: list[BaseException] = []
    for pipeline in pipelines:
        with _kept_for_later(raised):
            pipeline.begin_closing(timeout)
            pipeline.hasten(timeout)
    for pipeline in pipelines:
        with _kept_for_later(raised):
            if any(isinstance(error, KeyboardInterrupt) for error in raised):
                pipeline.give_up()
            else:
                pipeline.close(timeout)
    if raised:
        raise raised[0]


@contextmanager
def _kept_for_later(raised: list[BaseException]) -> Iterator[None]:
    """Ctrl-C, or a callback's SystemExit, at the end of one must not keep the others from theirs."""
    try:
        yield
    except BaseException as error:  # raised again once all have ended
        raised.append(error)
