"""The time of an event as Togai takes it: UTC with milliseconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from togai_shipper.exceptions import InvalidEvent

from .fields import kind_of

#: A pattern of days that exist, but for the 29th of February: that one and the year 0 are the calendar's.
DATE = (
    r"(?!0000)[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
#: A pattern of times of day.
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_WRITTEN = re.compile(rf"{DATE}T{TIME}\.[0-9]{{3}}Z")
_UTC = re.compile(rf"({DATE})[T ]({TIME})(?:\.([0-9]{{1,3}})[0-9]*)?(?:Z|[+-]00(?::?00)?)")
_ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-5][0-9]))?)"
)


class Stamp:
    """Writes wall-clock time for the wire; remembers the text of the second, which repeats."""

    def __init__(self) -> None:
        self._last = (-1, "")  # replaced whole: threads that race write the same text twice

    def __call__(self, nanoseconds: int) -> str:
        """Write ``nanoseconds`` since the epoch, such as ``2026-01-31T23:59:59.999Z``."""
        second, rest = divmod(nanoseconds, 1_000_000_000)
        known, text = self._last
        if known != second:
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.")
            self._last = (second, text)
        return f"{text}{rest // 1_000_000:03d}Z"


def timestamp_text(given: Any) -> str:
    """Write an aware ``datetime``, or ISO 8601 with a zone, as UTC with milliseconds; the rest is cut."""
    if type(given) is str:  # most need no calendar, and are read in a fifth of the time
        if _WRITTEN.fullmatch(given):
            return given
        if found := _UTC.fullmatch(given):
            day, time, fraction = found.groups(default="")
            return f"{day}T{time}.{fraction:0<3}Z"
    moment = _parsed(given) if isinstance(given, str) else given
    if not isinstance(moment, datetime):
        raise InvalidEvent("timestamp", f"must be an aware datetime or an ISO 8601 str, not {kind_of(given)}")
    if moment.utcoffset() is None:
        raise InvalidEvent("timestamp", f"must have a zone: billing time is not guessed ({kind_of(given)})")
    try:
        utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        raise InvalidEvent("timestamp", f"must be in the years 1 to 9999 of UTC ({kind_of(given)})") from None
    return datetime.isoformat(utc, timespec="milliseconds") + "Z"


def _parsed(text: str) -> datetime:
    found = _ISO_8601.fullmatch(text)
    if not found:
        raise InvalidEvent("timestamp", "must be ISO 8601 with a zone, like 2026-01-31T23:59:59.999Z (str)")
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        return datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=timezone(-offset if sign == "-" else offset),
        )
    except ValueError:
        raise InvalidEvent("timestamp", "must be a time that exists (str)") from None
