"""The world outside a shipper: its clocks, its chance, how it waits and how it starts threads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import attrs

from togai_shipper._process import boot
from togai_shipper._process.threads import StartThread, start_thread

from .bell import Bell

FOREVER = float("inf")  # a deadline that does not come


@attrs.frozen
class Runtime:
    """What every part of a shipper takes from outside; a test passes in its own.

    Attributes:
        clock: monotonic seconds, which count on while the machine sleeps, where its kernel has such a clock.
        wall: seconds since 1970.
        random: a number from 0 up to 1. The system's by default: forked workers would share a generator's
            state.
        bell: makes a bell, by which threads wait for each other.
        start_thread: runs a function on another thread. ``None``: no thread is ever started, and whoever
            flushes or closes does the work.
        boot: names the start of the kernel since which ``clock`` counts; empty where that is not known, as of
            a clock that a test passes in.

    """

    clock: Callable[[], float] = boot.clock
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.SystemRandom().random
    bell: Callable[[], Bell] = Bell
    start_thread: StartThread | None = start_thread
    boot: Callable[[], str] = attrs.Factory(
        lambda self: boot.boot_id if self.clock is boot.clock else str, takes_self=True
    )
