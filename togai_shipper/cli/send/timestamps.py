"""The time of an event as exports write it. Pure.

Whatever names its zone is read, since nothing has to be guessed: BigQuery and Trino write "… UTC", Snowflake
"… +0000", Postgres "…+00". ``track()`` has one form of each date, so only the zone is put into its form here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from togai_shipper import InvalidEvent
from togai_shipper._event import timestamp_text

from .bad_line import BadLine, named

#: Where the documentation says what to do with all others.
RECIPE = "docs/how-to/backfilling.md#timestamps"

# An abbreviation as "EST" is no name of a zone: several zones have it.
_ENDS_WITH_A_ZONE = re.compile(
    r"(?P<time>.*[0-9])(?: ?(?:UTC|GMT|Z\[UTC\])| Z| (?P<offset>[+-][0-9]{2}(?::?[0-9]{2})?))",
    re.IGNORECASE,
)


def read_timestamp(given: Any) -> str:
    """Return what stands in a line in a form that ``track()`` takes. Raises ``BadLine``.

    What ends as most do is returned as it is, and left to ``track()``, so that it is read only once.
    """
    if type(given) is not str:
        return _in_utc(given, given)
    if given[-1:] == "Z" and given[-2:-1] != " ":
        return given
    found = _ENDS_WITH_A_ZONE.fullmatch(given)
    return _in_utc(given if found is None else found["time"] + (found["offset"] or "Z"), given)


def _in_utc(timestamp: Any, given: Any) -> str:
    try:
        return timestamp_text(timestamp)
    except InvalidEvent as invalid:
        raise BadLine(complaint(invalid, given)) from None


def complaint(invalid: InvalidEvent, timestamp: Any) -> str:
    """Return what ``track()`` says against a line; against its time, with what stands there."""
    if invalid.field != "timestamp":
        return str(invalid)
    shown = _shown(timestamp)
    return f"{invalid}{'' if shown is None else f', and here is {shown}'}; see {RECIPE}"


def _shown(given: Any) -> str | None:
    """Return a text or a number so that a message can hold it; ``None`` for what is neither."""
    if isinstance(given, str):
        return f"'{named(given)}'"
    return named(str(given)) if isinstance(given, (int, Decimal)) else None
