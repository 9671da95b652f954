"""The clock that counts a sleeping machine's time, too, and which start of the kernel it counts from."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

PROC = Path("/proc")
_NAMES = ("kern.bootsessionuuid", "kern.boot_id")  # macOS; FreeBSD


def _boot_clock() -> Callable[[], float]:
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux, whose monotonic clock stands still in suspend
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if (
        sys.platform == "darwin"
    ):  # pragma: no cover  time.monotonic stands still in sleep there, this does not
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return time.monotonic  # pragma: no cover  the best there is elsewhere


clock = _boot_clock()  # monotonic seconds; all processes of one boot see the same


def boot_id(proc: Path = PROC) -> str:
    """Return what names this start of the kernel, as ``clock`` counts from it; empty where nothing does.

    A container has its host's. Another time namespace shifts the clock: it is part of the name.
    """
    with suppress(OSError, ValueError):
        name = (proc / "sys/kernel/random/boot_id").read_text("utf-8").strip()
        return name + _shift(proc) if name else ""
    return _of_sysctl()


def _shift(proc: Path) -> str:
    """How far a time namespace shifts the clock; empty where there is none."""
    with suppress(OSError, ValueError):
        for line in (proc / "self/timens_offsets").read_text("utf-8").splitlines():
            match line.split():
                case ["boottime", seconds, nanoseconds] if int(seconds) or int(nanoseconds):
                    return f" shifted {seconds}.{nanoseconds}"
    return ""


def _of_sysctl() -> str:
    with suppress(Exception):  # whatever ctypes makes of a platform that has no such function
        by_name = ctypes.CDLL(None).sysctlbyname
        for name in _NAMES:  # pragma: no cover  not on Linux
            buffer, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
            if not by_name(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)):
                return buffer.value.decode("ascii", "replace")
    return ""
