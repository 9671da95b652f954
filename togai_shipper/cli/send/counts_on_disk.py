"""Counts of numbers in a file, and a filter that spares looking up most of those that are not in it.

The filter has three bits of a 64-bit word for each number, and errs only in saying that one may be there: of
10 million numbers for one in a hundred, of 100 million for nearly all, and these are then looked up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from mmap import mmap

WORDS = 1 << 21  # of the filter: 16 MB
_CACHE = -4_000  # 4,000 KiB, as SQLite writes it


class CountsOnDisk:
    """Keeps how often 64-bit numbers, whose bits are random, have come.

    Args:
        words: the words of the filter, a power of two.

    """

    def __init__(self, words: int = WORDS) -> None:
        self._filter = memoryview(mmap(-1, 8 * words)).cast("Q")
        self._mask = words - 1
        # The name "" makes SQLite use a temporary file, which it removes by itself.
        table = self._table = sqlite3.connect("", isolation_level=None)
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("PRAGMA synchronous = OFF")
        table.execute(f"PRAGMA cache_size = {_CACHE}")
        table.execute("BEGIN")  # never committed: nobody else reads it
        table.execute("CREATE TABLE counted (number INTEGER PRIMARY KEY, times INTEGER NOT NULL)")

    def times(self, number: int) -> int:
        """Return how often a number has come."""
        bits = _bits(number)
        if self._filter[number & self._mask] & bits != bits:
            return 0
        found = self._table.execute("SELECT times FROM counted WHERE number = ?", (_signed(number),))
        ((times,),) = found.fetchall() or ((0,),)
        return int(times)

    def write(self, numbers: Iterable[int], times: Mapping[int, int]) -> None:
        """Keep how often some numbers have come: once, unless ``times`` says more. In order it is faster."""
        self._table.executemany("INSERT OR REPLACE INTO counted VALUES (?, ?)", self._rows(numbers, times))

    def _rows(self, numbers: Iterable[int], times: Mapping[int, int]) -> Iterator[tuple[int, int]]:
        words, mask = self._filter, self._mask
        for number in numbers:
            words[number & mask] |= _bits(number)
            yield _signed(number), times.get(number, 1)

    def close(self) -> None:
        """Close and remove the temporary file."""
        self._table.close()


def _bits(number: int) -> int:
    """Return three bits of a word, by bits of the number that do not say which word."""
    return 1 << (number >> 58) | 1 << (number >> 52 & 63) | 1 << (number >> 46 & 63)


def _signed(number: int) -> int:
    return number - (1 << 63)  # as integers of SQLite are
