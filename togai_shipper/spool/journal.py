"""The journal in one file: counts of the events that left it, and, if asked, their ids.

It is written in the transaction that removes the events, so that no crash comes between. A ``day`` is one of
UTC, as ``2026-01-31``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from zlib import crc32

from . import schema
from .book import SOME_DAY, Book, checksum_of, packed
from .connection import Connection, as_text
from .errors import Damaged
from .tally import Key, Tally

KEPT_DAYS = 90  # for which counts are kept
IDS_KEPT_DAYS = 35
DOUBT = "doubt "  # before a day, in ``meta``
DAMAGED = "what is counted is damaged on disk"


class Journal:
    """The journal of an open file. Every method raises ``SpoolError``."""

    def __init__(self, connection: Connection, *, is_there: bool, is_new: bool = False) -> None:
        self._connection = connection
        self._is_there = is_there  # a file of the older format has none
        self._known: dict[Key, tuple[int, int]] | None = {} if is_new else None  # number and count of each
        self._next = 1
        self._pruned_on = ""

    def add(self, tally: Tally, now_ms: int) -> None:
        """Add what leaves, within the transaction that removes it; where that fails, call ``reread``."""
        if not self._is_there:
            schema.add_journal(self._connection)
            self._is_there = True
        self._prune(day_of(now_ms))
        known = self._read() if self._known is None else self._known
        for key, count in tally.counts.items():
            if key in known:
                known[key] = (known[key][0], known[key][1] + count)
            else:
                known[key] = (self._next, count)
                self._next += 1
        self._connection.execute_many(schema.TALLY, [_row(key, *known[key], now_ms) for key in tally.counts])
        for day, ids in packed(tally, {key: known[key][0] for key in tally.ids}):
            self._connection.execute(schema.LIST, (day, ids, crc32(ids)))
        if tally.lacks_ids:
            self.doubt(
                day_of(now_ms), "the disk failed: the ids of what was delivered meanwhile are not kept"
            )
        self._known = known

    def carry(self, book: Book) -> None:
        """Go on with what another file's journal, which is gone, has counted; in a new file."""
        self._known = {key: (number, count) for number, (key, count) in book.counts.items()}
        self._next = max(book.counts, default=0) + 1
        rows = [_row(key, number, count, book.until_ms) for number, (key, count) in book.counts.items()]
        with self._connection.transaction():
            self._connection.execute_many(schema.TALLY, rows)

    def reread(self) -> None:
        """Note that what was added last is not there."""
        self._known = None
        self._is_there = schema.has_journal(self._connection)

    def doubt(self, day: str, why: str) -> None:
        """Note what may be counted twice, or not at all; the first word on a day stays."""
        self._connection.execute(schema.NOTE_ONCE, (f"{DOUBT}{day}", why))

    def book(self, name: str) -> Book:
        """Return all that it says but for the ids; ``name``: what the file is called."""
        meta = {as_text(key): as_text(value) for key, value in self._connection.rows(schema.READ_META)}
        doubts = {key.removeprefix(DOUBT): why for key, why in meta.items() if key.startswith(DOUBT)}
        counts: dict[int, tuple[Key, int]] = {}
        since_ms = until_ms = _number(meta.get("journal_since", meta.get("created_ms", "")))
        if self._is_there:
            for number, key, count, at_ms in self._sound(doubts):
                counts[number] = key, count
                until_ms = max(until_ms, at_ms)
        return Book(
            meta.get("journal", name),
            meta.get("host", ""),
            meta.get("pid", ""),
            meta.get("base_url", ""),
            since_ms,
            until_ms,
            meta.get("journal_keeps") == "ids",
            counts,
            doubts=doubts,
        )

    def ids(self) -> Iterator[tuple[str, bytes]]:
        """Yield the packed ids, with the day on which they left. Raises ``Damaged`` where they are."""
        if self._is_there:
            with closing(self._connection.each(schema.READ_LISTED)) as found:
                for day, blob, crc in found:
                    if not isinstance(blob, bytes) or crc32(blob) != crc:
                        raise Damaged(f"{self._connection.path}: ids in its journal are damaged")
                    yield as_text(day), blob

    def _sound(self, doubts: dict[str, str]) -> list[tuple[int, Key, int, int]]:
        found = []
        for number, left_on, raw, count, at_ms, crc in self._connection.rows(schema.READ_TALLY):
            key = as_text(raw)
            if checksum_of(number, as_text(left_on), key, count, at_ms) != crc:
                doubts.setdefault(SOME_DAY, DAMAGED)
                continue
            day, left, schema_name, chosen, account, fate = json.loads(key)
            found.append((number, (day, left, schema_name, chosen, account, fate), count, at_ms))
        return found

    def _read(self) -> dict[Key, tuple[int, int]]:
        (last,) = self._connection.row(schema.LAST_TALLY)
        self._next = (last or 0) + 1
        return {key: (number, count) for number, key, count, _ in self._sound({})}

    def _prune(self, today: str) -> None:
        """Once a day, forget the days that are no longer kept."""
        if today == self._pruned_on:
            return
        self._connection.execute(schema.PRUNE_TALLY, (days_before(today, KEPT_DAYS),))
        self._connection.execute(schema.PRUNE_LISTED, (days_before(today, IDS_KEPT_DAYS),))
        if self._pruned_on:
            self._known = None
        self._pruned_on = today


def day_of(now_ms: int) -> str:
    """Return the day of UTC, by our wall clock."""
    return datetime.fromtimestamp(now_ms / 1000, timezone.utc).date().isoformat()


def days_before(day: str, count: int) -> str:
    """Return the day so many days earlier."""
    first = date.min + timedelta(days=count)  # a wall clock may stand anywhere
    return (max(date.fromisoformat(day), first) - timedelta(days=count)).isoformat()


def _row(key: Key, number: int, count: int, now_ms: int) -> tuple[int, str, str, int, int, int]:
    text, left_on = json.dumps(key, separators=(",", ":")), key[1]
    return number, left_on, text, count, now_ms, checksum_of(number, left_on, text, count, now_ms)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
