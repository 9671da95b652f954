"""What a relay's journal is told as events leave it: how many are alike, and when that was.

The journal is one hash for each day on which something left, ``{name}:journal:2026-01-31``, whose fields
are JSON of ``[event's day, schema, whether the id is a chosen one, fate]``, and whose values are counts; and
one hash that says what it is, ``{name}:journal``:

- ``v``, its format; ``id``, its name for ever; ``since_ms`` and ``until_ms``; ``day``, on which it was
  written last; and ``out``, the relay's as it was then
- ``total DAY``: the sum of the day's counts, so that it is noticed where these are gone
- ``uncounted FROM..TO``: so many events left without being counted, as by a drainer of an older version;
  ``gone FROM..TO``: Redis has lost what the relay counted; ``damaged DAY``: somebody else has written there;
  ``doubt DAY``: what a drainer has to say of a loss

Each entry is counted in the moment in which it is removed, with what the drainer says of it: so it is counted
once, whoever removes it. What is handed over again, since Redis had not confirmed it, is two entries, and is
counted twice: the counts are an upper bound.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs

from togai_shipper.spool.journal import KEPT_DAYS, day_of, days_before
from togai_shipper.spool.tally import UNKNOWN_DAY, tally_of

FORMAT = 1  # what this version writes, and the newest that it reads
MOST_FIELDS = 5000  # of one day; what is more is counted without its day and schema


@attrs.frozen
class Counts:
    """What leaves, if it does: of each entry, or dead letter, how many events are alike, by field.

    Attributes:
        each: one for each entry or letter, in their order.
        fate: what becomes of them.
        now_ms: when, in milliseconds of the wall clock.
        doubt: what the journal is to say of this day, too; empty: nothing.
        most: how many fields a day has at most.

    """

    each: Sequence[Mapping[str, int]]
    fate: str
    now_ms: int
    doubt: str = ""
    most: int = MOST_FIELDS

    @property
    def day(self) -> str:
        """The day of UTC on which they leave."""
        return day_of(self.now_ms)

    def arguments(self) -> list[Any]:
        """Return what the scripts are told of it."""
        places: dict[str, int] = {}
        counts: list[int] = []
        for fields in self.each:
            counts.append(len(fields))
            for field, count in fields.items():
                counts += (places.setdefault(field, len(places) + 1), count)
        rest = field_of(UNKNOWN_DAY, "", True, self.fate)  # noqa: FBT003  as if chosen: nothing is certain of it
        oldest = days_before(self.day, KEPT_DAYS)
        head = [FORMAT, self.day, self.now_ms, oldest, os.urandom(16).hex(), self.doubt, self.most, rest]
        return [*head, len(places), *places, *counts]


def counted(each: Iterable[Sequence[bytes]], fate: str, now_ms: int, doubt: str = "") -> Counts:
    """Count the events of each entry or letter."""
    return Counts([_fields(events, fate) for events in each], fate, now_ms, doubt)


def _fields(events: Sequence[bytes], fate: str) -> dict[str, int]:
    counts = tally_of(events, "", fate).counts
    return {field_of(day, schema, chosen, fate): n for (day, _, schema, chosen, _, _), n in counts.items()}


@lru_cache(4096)
def field_of(day: str, schema: str, chosen: bool, fate: str) -> str:  # noqa: FBT001  a part of the field
    """Return the name of the field that counts such events."""
    return json.dumps([day, schema, int(chosen), fate], separators=(",", ":"))
