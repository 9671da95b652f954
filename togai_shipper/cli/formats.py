"""Ages, sizes, moments and counts, as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}  # seconds
_MOST_BYTES = 1e24
_AGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([smhdw])")


def seconds_of(text: str) -> float:
    """Read an age such as ``90s``, ``15m``, ``12h``, ``2d`` or ``1w``. Raises ``BadParameter``."""
    found = _AGE.fullmatch(text)
    if not found:
        raise click.BadParameter(f"{text!r} is not an age; write 90s, 15m, 12h, 2d or 1w")
    return float(found[1]) * _UNITS[found[2]]


def age(seconds: float) -> str:
    """Write an age, rounded down: ``2 min``."""
    seconds = max(seconds, 0)  # a clock may have been set back
    for unit, length, until in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 2 * 86_400)):
        if seconds < until:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86_400):,} d"


def size(count: float) -> str:
    """Write a number of bytes: ``1.5 MB``."""
    count = min(count, _MOST_BYTES)  # a bound may be any number
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # noqa: PLR2004  more would be rounded to 1000
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"  # noqa: PLR2004
        count /= 1000
    return f"{count:,.1f} TB"


def now_ms() -> int:
    """Return the time of the wall clock, in milliseconds."""
    return time.time_ns() // 1_000_000


def moment(milliseconds: int) -> str:
    """Write a moment: ``2026-11-24T19:20:01Z``, or a question mark if it is out of range."""
    try:
        return datetime.fromtimestamp(milliseconds // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return "?"


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count: ``1 event`` or ``1,204 events``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
