"""A fork waits for the commit under way: the child would find SQLite's locks taken, for ever.

Where no hook runs (uWSGI), a child relies on never touching what it inherited.
"""

from __future__ import annotations

import os
import time
from typing import Protocol

from .registry import Registry
from .this_process import Process

FORK_WAIT = 2.0  # seconds that a fork waits at most


class Held(Protocol):
    """What is held while this process forks."""

    process: Process

    def hold(self, timeout: float) -> bool:
        """Let nobody use it until ``let_go``; false where somebody does for longer than ``timeout``."""

    def let_go(self) -> None:
        """After ``hold``."""


_watched: Registry[Held] = Registry()
_held: list[Held] = []


def watch(held: Held) -> None:
    """Hold it at each fork from now on, as long as it is there."""
    _watched.add(held)


def _hold() -> None:
    until = time.monotonic() + FORK_WAIT
    for each in _watched:
        if each.process.is_here and each.hold(max(0.0, until - time.monotonic())):
            _held.append(each)  # noqa: PERF401  what is held is known at once, whatever interrupts this


def _let_go() -> None:
    """In the parent. A child never touches what it inherited, its lock neither."""
    while _held:
        each = _held.pop()
        if each.process.is_here:
            each.let_go()


if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows; its tests hide the name, unmeasured
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
