"""What was moved from a file whose process is gone, so that no crash lets it be moved, and counted, twice.

A piece is written to its heir together with a record of what it was; then it is removed where it came from.
Before the first piece, the file that it comes from names its heir. Whoever takes that file over later looks
into the heir's record, and removes what it lists, before he moves anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from zlib import crc32

import attrs

from . import schema
from .connection import Connection, as_text

HEIR = "heir"  # in ``meta``: the name of the file that pieces of this one were moved to
MOVED = "moved "  # before the name of the file that a piece was moved from


@attrs.frozen
class Record:
    """What one piece was in the file that it came from.

    Attributes:
        rows: the ``seq`` and the checksum of each pending event.
        letters: the numbers of dead letters.

    """

    rows: Sequence[tuple[int, int]] = ()
    letters: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.letters)

    def as_text(self) -> str:
        """Return it as it stands in the heir's file."""
        text = json.dumps([list(self.rows), list(self.letters)], separators=(",", ":"))
        return f"{crc32(text.encode()):08x} {text}"

    @classmethod
    def of_text(cls, text: str) -> Record:
        """Return what ``as_text`` has written; what is damaged lists nothing."""
        with suppress(ValueError, TypeError):
            crc, _, rest = text.partition(" ")
            if int(crc, 16) == crc32(rest.encode()):
                rows, letters = json.loads(rest)
                return cls(tuple((seq, its_crc) for seq, its_crc in rows), tuple(letters))
        return cls()


class Moves:
    """Says which pieces left one file, and which came into it. Every method raises ``SpoolError``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done: set[str] = set()  # files whose last piece is removed where it came from

    def heir(self) -> str:
        """Return the name of the file that pieces of this one were moved to; empty where none was."""
        found = self._connection.rows(schema.READ_ONE_META, (HEIR,))
        return as_text(found[0][0]) if found else ""

    def name_heir(self, name: str) -> None:
        """Name the file that pieces of this one are moved to from now on."""
        self._connection.execute(schema.NOTE, (HEIR, name))

    def note(self, records: Mapping[str, Record]) -> None:
        """Record what pieces are, by the file of each, as they are written; then call ``noted``."""
        done = [(f"{MOVED}{name}",) for name in self._done]
        self._connection.execute_many(schema.FORGET_META, done)
        notes = [(f"{MOVED}{source}", record.as_text()) for source, record in records.items()]
        self._connection.execute_many(schema.NOTE, notes)

    def noted(self) -> None:
        """Note, in memory, that this transaction is over: what was confirmed before is forgotten."""
        self._done.clear()

    def confirm(self, source: str) -> None:
        """Note, in memory, that the last piece is gone where it came from."""
        self._done.add(source)

    def forget(self) -> None:
        """Forget what was confirmed, in one commit: then nothing about the file is special."""
        if self._done:
            with self._connection.transaction():
                self.note({})
            self.noted()

    def records(self) -> Mapping[str, Record]:
        """Return the last piece from each file, by its name."""
        meta = {as_text(key): as_text(value) for key, value in self._connection.rows(schema.READ_META)}
        return {
            key.removeprefix(MOVED): Record.of_text(value)
            for key, value in meta.items()
            if key.startswith(MOVED)
        }

    def has(self, record: Record) -> bool:
        """Tell whether something of a record is in this file still."""
        rows, crcs, letters = _lists(record)
        (count,) = self._connection.row(schema.COUNT_MOVED, (rows, crcs, letters))
        return bool(count)

    def remove(self, record: Record) -> None:
        """Remove from this file what was moved to another."""
        rows, crcs, letters = _lists(record)
        with self._connection.transaction():
            self._connection.execute(schema.REMOVE_ROWS, (rows, crcs))
            self._connection.execute(schema.REMOVE_DEAD, (letters,))


def _lists(record: Record) -> tuple[str, str, str]:
    return (
        json.dumps([seq for seq, _ in record.rows]),
        json.dumps([crc for _, crc in record.rows]),
        json.dumps(list(record.letters)),
    )
