"""The days that are asked about, and which of them Togai may not show all of yet. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from togai_shipper.cli.togai_metrics import end_of

SETTLED = timedelta(hours=24)  # after the end of a day: Togai's own second attempts are over
_MONTH = re.compile("[0-9]{4}-[0-9]{2}")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def days_asked(day: str | None, month: str | None, now: datetime) -> list[date]:
    """Return the days of a day, or a month; of neither: the last day that can be proven.

    Raises ``ValueError``: it is none, or has not begun yet.
    """
    if day is not None and month is not None:
        raise ValueError("--day and --month: give one of them")
    if day is not None:
        return _begun([_date(day, _DAY, "--day", "2026-11-28")], now)
    if month is not None:
        first = _date(month, _MONTH, "--month", "2026-11")
        return _begun([first + timedelta(days=n) for n in range(_length(first))], now)
    return [(now - SETTLED - timedelta(days=1)).date()]


def _length(first: date) -> int:
    return ((first + timedelta(days=31)).replace(day=1) - first).days


def _date(text: str, pattern: re.Pattern[str], option: str, example: str) -> date:
    try:
        if pattern.fullmatch(text):
            found = date.fromisoformat(text if pattern is _DAY else f"{text}-01")
            if 1970 <= found.year <= 9000:  # noqa: PLR2004  there are days before and after each of them
                return found
    except ValueError:
        pass
    raise ValueError(f"{option}: must be such as {example}, and exist")


def _begun(days: Sequence[date], now: datetime) -> list[date]:
    found = [day for day in days if day <= now.date()]
    if not found:
        raise ValueError(f"{days[0]}: has not begun yet, in UTC")
    return found


def recent_days(days: Sequence[date], now: datetime) -> list[date]:
    """Return those that ended, or will, less than 24 hours ago."""
    return [day for day in days if now < end_of(day) + SETTLED]


def shown_days(days: Sequence[date]) -> str:
    """Write the days: ``2026-11-28``, or ``2026-11-01 to 2026-11-30``."""
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
