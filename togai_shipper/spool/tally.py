"""How many events are alike: of one day and schema, that left on one day.

Pure. It reads an encoded event no further than it has to: this is done for every event that is delivered.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TypeAlias

import attrs

from togai_shipper._event import ChosenId

#: Event's day, day on which it left (both as ``2026-01-31``, the latter empty where it has not), schema,
#: whether the id is a chosen one, account (empty where that is not counted), and what became of it.
Key: TypeAlias = tuple[str, str, str, bool, str, str]

UNKNOWN_DAY = "0001-01-01"  # of what is no event any more
_MINTED = re.compile(rb"[0-9a-f]{32}").fullmatch
# An event of characters that JSON writes as they are; others are read as JSON.
_ID = b'","id":"'
_MINTED_FACTS = re.compile(
    rb'\{"schemaName":"([^"\\]*)","id":"","timestamp":"([0-9]{4}-[0-9]{2}-[0-9]{2})'
).fullmatch
_PLAIN = re.compile(
    rb'\{"schemaName":"([^"\\]*)","id":"([^"\\]*)","timestamp":"([0-9]{4}-[0-9]{2}-[0-9]{2})T[^"\\]*"'
    rb',"accountId":"([^"\\]*)"'
).match


@attrs.frozen
class Uncounted:
    """Holds delivered events until they are counted, and what was counted in haste, as ``Shelf`` does."""

    events: list[bytes] = attrs.field(factory=list)
    counted: list[Tally] = attrs.field(factory=list)

    def __len__(self) -> int:
        return len(self.events)

    def put_back(self, other: Uncounted) -> None:
        """Take back what could not be written."""
        self.events[:0] = other.events
        self.counted[:0] = other.counted

    def condense(self, left_on: str, *, kept_ids: bool) -> None:
        """Count the events, without their ids: while the disk fails, they would fill memory."""
        tally = Tally(lacks_ids=kept_ids)
        tally.add(self.events, left_on, "delivered")
        self.events.clear()
        self.counted.append(tally)


@attrs.define
class Tally:
    """Counts events as they leave, and notes their ids if asked.

    Attributes:
        keeps: what of them is kept: ``counts``, by account too (``accounts``), or with their ``ids``.
        counts: how many are alike.
        ids: the ids of those, where they are kept.
        lacks_ids: there were too many of them to keep their ids in memory, while the disk failed.

    """

    keeps: str = "counts"
    counts: Counter[Key] = attrs.field(factory=Counter)
    ids: dict[Key, list[str]] = attrs.field(factory=dict)
    lacks_ids: bool = False

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, events: Sequence[bytes], left_on: str, fate: str) -> None:
        """Add events that left on one day, with one fate."""
        if self.keeps == "counts":
            events = self._add_minted(events, left_on, fate)
        by_account = self.keeps == "accounts"
        alike: dict[tuple[bytes, bytes, bytes, bool], list[bytes]] = {}
        for event in events:
            found = _PLAIN(event)
            schema, event_id, day, account = found.groups() if found else _read(event)
            raw = (day, schema, account if by_account else b"", is_chosen(event, event_id))
            alike.setdefault(raw, []).append(event_id)
        for (day, schema, account, chosen), ids in alike.items():
            key = (_text(day), left_on, _text(schema), chosen, _text(account), fate)
            self.counts[key] += len(ids)
            if self.keeps == "ids":
                self.ids.setdefault(key, []).extend(map(_text, ids))

    def merge(self, other: Tally) -> None:
        """Add what another tally has counted."""
        self.counts.update(other.counts)
        for key, ids in other.ids.items():
            self.ids.setdefault(key, []).extend(ids)
        self.lacks_ids |= other.lacks_ids

    def _add_minted(self, events: Sequence[bytes], left_on: str, fate: str) -> Sequence[bytes]:
        """Add those of plain events whose ids we have minted; return the others.

        This takes a third of the time: what differs between events that are alike is cut out of each, and
        what is left is counted.
        """
        starts = [event.find(_ID) + len(_ID) for event in events]
        ids = [event[start : start + 32] for event, start in zip(events, starts, strict=True)]
        facts = [
            event[:start] + event[start + 32 : start + 57]
            for event, start in zip(events, starts, strict=True)
        ]
        counts = Counter(facts)
        found = {fact: _MINTED_FACTS(fact) for fact in counts}
        if set(map(type, events)) == {bytes} and None not in found.values() and _is_hex(b"".join(ids)):
            others: Sequence[bytes] = ()
        else:
            is_ours = [
                type(event) is bytes and found[fact] is not None and _is_hex(event_id)
                for event, fact, event_id in zip(events, facts, ids, strict=True)
            ]
            counts = Counter(compress(facts, is_ours))
            others = [event for event, ours in zip(events, is_ours, strict=True) if not ours]
        for fact, count in counts.items():
            schema, day = found[fact].groups()  # type: ignore[union-attr]  # of those that are counted
            self.counts[_text(day), left_on, _text(schema), False, "", fate] += count
        return others


def _is_hex(ids: bytes) -> bool:
    return not ids.translate(None, b"0123456789abcdef")


def is_chosen(event: bytes, event_id: bytes) -> bool:
    """Tell whether the id is not one that we have minted."""
    return type(event) is ChosenId or not _MINTED(event_id)


def tally_of(events: Sequence[bytes], left_on: str, fate: str, keeps: str = "counts") -> Tally:
    """Count events that left on one day, with one fate."""
    tally = Tally(keeps)
    tally.add(events, left_on, fate)
    return tally


def _read(event: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return schema, id, day and account of an event that is not plain; of what is none, nothing."""
    try:
        wire: Mapping[str, str] = json.loads(event)
        schema, event_id, time, account = (
            wire[name].encode() for name in ("schemaName", "id", "timestamp", "accountId")
        )
        day = _DAY.match(time)
        return schema, event_id, day[0] if day else UNKNOWN_DAY.encode(), account
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # damaged on disk
        return b"", b"", UNKNOWN_DAY.encode(), b""


_DAY = re.compile(rb"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?=T)")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
