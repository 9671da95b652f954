"""When an event says that it happened, as a number: asked of every event, so it is quick. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from .contract import instant

_MINUTE = len("2024-01-01T00:00")
_SECONDS = _MINUTE + 1  # where they begin
_FRACTION = re.compile(r"\.[0-9]+")


def happened(timestamp: str) -> float:
    """Return the moment that a valid timestamp means, in seconds since 1970; without a zone it is UTC."""
    if timestamp[-1] == "Z":
        return _of_minute(timestamp[:_MINUTE]) + float(timestamp[_SECONDS:-1])
    fraction = _FRACTION.search(timestamp)
    return instant(timestamp).timestamp() + (0.0 if fraction is None else float(fraction[0]))


@lru_cache(4096)  # minutes; events come in about the order in which they happen
def _of_minute(text: str) -> float:
    return instant(f"{text}:00Z").timestamp()
