"""Ids for lines without one, so that a file can be sent again and nothing is billed twice.

The id is made of what is the same in every run: the job's name, the line's bytes, and how often the same line
has come before. The line's number is not used: lines may be inserted before it, or change places.
"""

from __future__ import annotations

import hashlib
import uuid
from struct import Struct

from .occurrences import OccurrenceCounter

#: The namespace of ids made from lines. It must never change: a file sent again would be billed twice.
LINES_NAMESPACE = uuid.UUID("26b98369-b299-4663-9037-4c05197bfe26")

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # of RFC 9562, in two bits
_FIRST = b"\x000"  # the number 0
_first_64_bits = Struct(">Q12x").unpack  # of a SHA-1


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
        text = self._digest(line).hexdigest()
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"

    def number(self, line: bytes) -> int:
        """Return 64 bits of the id that ``next`` would return, as a signed integer."""
        return int.from_bytes(self._digest(line).digest()[:8], "big", signed=True)

    def _digest(self, line: bytes) -> hashlib._Hash:
        digest = self._job.copy()
        digest.update(line)
        (number,) = _first_64_bits(digest.digest())
        before = self._count(number)
        digest.update(b"\0%d" % before if before else _FIRST)
        return digest
