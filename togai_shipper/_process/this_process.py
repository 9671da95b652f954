"""Which process this is: what was made in another is left alone.

A pid by itself may come again: a grandchild may get that of its grandparent, which has ended. So each process
is an object, and a fork ends it in the child, where Python's at-fork hooks run. Where none runs (uWSGI), the
pid alone tells.
"""

from __future__ import annotations

import os


class Process:
    """A process: there is one object for each, and in its children that is over."""

    __slots__ = ("pid",)

    def __init__(self, pid: int) -> None:
        self.pid = pid  # 0 in a child; so ``track()`` has one comparison to make

    @property
    def is_here(self) -> bool:
        """Whether this is called in that process."""
        return self.pid == os.getpid()

    def end(self) -> None:
        """Note that this is a child of it."""
        self.pid = 0


_known: dict[int, Process] = {}  # by pid; its setdefault is atomic, and threads may ask at once


def this_process() -> Process:
    """Return the process in which this is called."""
    pid = os.getpid()
    return _known.get(pid) or _known.setdefault(pid, Process(pid))


def _forked() -> None:
    while _known:
        _known.popitem()[1].end()


if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows; its tests hide the name, unmeasured
    os.register_at_fork(after_in_child=_forked)
