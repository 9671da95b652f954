"""Hours, days, weeks and months of a time zone: in which of them a moment lies. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo


def zone_of(zone: str | tzinfo) -> tzinfo:
    """Return the time zone with this name, or the one that is given. Raises ``ValueError``."""
    if not isinstance(zone, str):
        return zone
    try:
        return ZoneInfo(zone)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"day_zone: no time zone is called {zone!r}") from None


def start_of(moment: datetime, period: str, zone: tzinfo) -> datetime:
    """Return when the hour, day, week (from Monday) or month begins in which a moment lies."""
    hour = moment.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    if period == "HOUR":
        return hour
    day = hour.replace(hour=0, fold=0)
    if period == "DAY":
        return day
    return day - timedelta(days=day.weekday()) if period == "WEEK" else day.replace(day=1)


def end_of(start: datetime, period: str) -> datetime:
    """Return when the period ends that begins at ``start``."""
    if period == "HOUR":  # there may be one twice, in the night in which clocks are put back
        return (start.astimezone(timezone.utc) + timedelta(hours=1)).astimezone(start.tzinfo)
    if period == "MONTH":
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=7 if period == "WEEK" else 1)


def starts_between(start: datetime, end: datetime, period: str, zone: tzinfo) -> Iterator[datetime]:
    """Yield when each period begins that the range has a part of."""
    begins = start_of(start, period, zone)
    while begins < end:
        yield begins
        begins = end_of(begins, period)
