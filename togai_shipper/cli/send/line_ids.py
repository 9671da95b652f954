"""Ids for lines without one, so that a file can be sent again and nothing is billed twice.

The id is made of what is the same in every run: the job's name, the line's bytes, and how often the same line
has come before. The line's number is not used: lines may be inserted before it, or change places.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid

#: The namespace of ids made from lines. It must never change: a file sent again would be billed twice.
LINES_NAMESPACE = uuid.UUID("26b98369-b299-4663-9037-4c05197bfe26")

IN_MEMORY = 1_250_000  # different lines that are kept in memory
REPEATED_IN_MEMORY = 100_000  # lines among them that came again, and are counted in memory: some 12 MB
_CACHE = -24_000  # 24,000 KiB, as SQLite writes it, for the table that counts the others


class OccurrenceCounter:
    """Counts how often a 64-bit number has come before. What does not fit in memory is in a temporary file.

    Most lines come once. So a number takes 8 bytes of a hash table until it comes again; a dict of as many
    would take 150 MB. A number stays where it was put first (hash table or file), and so does its count (dict
    or file).

    Args:
        in_memory: how many different numbers are kept in memory.
        repeated_in_memory: how many of them are counted there.

    """

    def __init__(self, in_memory: int = IN_MEMORY, repeated_in_memory: int = REPEATED_IN_MEMORY) -> None:
        self._room = in_memory
        self._mask = (1 << (in_memory * 3 // 2).bit_length()) - 1  # a third of the places stays free
        self._places = memoryview(bytearray(8 * (self._mask + 1))).cast("Q")  # 0: this place is free
        self._again: dict[int, int] = {}  # number -> how often it came after its first time
        self._room_again = repeated_in_memory
        self._table: sqlite3.Connection | None = None

    def count(self, number: int) -> int:
        """Return how often ``number`` was counted before, and count it."""
        number = number or 1
        places, mask = self._places, self._mask
        at = number & mask
        while there := places[at]:
            if there == number:
                return self._count_again(number)
            at = (at + 1) & mask
        if not self._room:
            return self._count_on_disk(number)
        self._room -= 1
        places[at] = number
        return 0

    def _count_again(self, number: int) -> int:
        before = self._again.get(number, 0)
        if not before and len(self._again) >= self._room_again:
            return self._count_on_disk(number) + 1
        self._again[number] = before + 1
        return before + 1

    def _count_on_disk(self, number: int) -> int:
        table = self._table or self._make_table()
        signed = number - (1 << 63)  # integers of SQLite are signed
        ((count,),) = table.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times",
            (signed,),
        ).fetchall()
        return int(count) - 1

    def _make_table(self) -> sqlite3.Connection:
        # The name "" makes SQLite use a temporary file, which it removes by itself.
        table = self._table = sqlite3.connect("", isolation_level=None)
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("PRAGMA synchronous = OFF")
        table.execute(f"PRAGMA cache_size = {_CACHE}")
        table.execute("BEGIN")  # never committed: nobody else reads it, and a commit for each line takes time
        table.execute("CREATE TABLE seen (line INTEGER PRIMARY KEY, times INTEGER NOT NULL)")
        return table

    def close(self) -> None:
        """Close and remove the temporary file."""
        if self._table is not None:
            self._table.close()


class LineIds:
    """Makes the ids of one job's lines.

    Args:
        job: its name; the same name makes the same ids.
        counter: counts lines; all jobs of a run share it.

    """

    def __init__(self, job: str, counter: OccurrenceCounter) -> None:
        self._count = counter.count
        self._job = hashlib.sha1(LINES_NAMESPACE.bytes, usedforsecurity=False)
        self._job.update(job.encode(errors="surrogateescape") + b"\0")

    def next(self, line: bytes) -> str:
        """Return the UUIDv5 of job, line, and how often the line has come before, with NULs between them.

        Lines are counted by the first 64 bits of a digest. If these are the same for two different lines, one
        is counted as the other's repetition. Their ids still differ, since the line is part of the id.
        """
        digest = self._job.copy()
        digest.update(line)
        before = self._count(int.from_bytes(digest.digest()[:8], "big"))
        digest.update(b"\0%d" % before)
        text = digest.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
