"""How often each of very many numbers has come before, in bounded memory."""

from __future__ import annotations

from mmap import mmap

from .counts_on_disk import CountsOnDisk

IN_MEMORY = 1_250_000  # different numbers that are kept in memory: 16 MB
REPEATED_IN_MEMORY = 100_000  # numbers among them that came again, and are counted in memory: some 12 MB


class OccurrenceCounter:
    """Counts how often a 64-bit number has come before. What does not fit in memory is in a temporary file.

    Most numbers come once. So each takes 8 bytes of a hash table until it comes again; a dict of as many
    would take 150 MB. When the table is full, all of it is written to the file, and it begins anew. The
    numbers are in it in nearly their order, since their first bits say where: so they are written in order,
    which passes over the file once.

    Args:
        in_memory: how many different numbers are kept in memory, at least 1.
        repeated_in_memory: how many of them are counted there.

    """

    def __init__(self, in_memory: int = IN_MEMORY, repeated_in_memory: int = REPEATED_IN_MEMORY) -> None:
        bits = (in_memory * 3 // 2).bit_length()  # a third of the places stays free
        self._shift = 64 - bits
        self._mask = (1 << bits) - 1
        self._most = self._room = in_memory
        self._most_repeated = repeated_in_memory
        self._places = self._empty()  # 0: this place is free
        self._times: dict[int, int] = {}  # how often a number in the table came, if more than once
        self._on_disk: CountsOnDisk | None = None

    def _empty(self) -> memoryview[int]:
        # Of its own pages, which the system has back for the next one.
        return memoryview(mmap(-1, 8 * (self._mask + 1))).cast("Q")

    def count(self, number: int) -> int:
        """Return how often ``number`` was counted before, and count it."""
        number = number or 1
        places = self._places
        at = number >> self._shift
        while there := places[at]:
            if there == number:
                return self._count_again(number)
            at = (at + 1) & self._mask
        if not self._room:
            self._write()
            return self.count(number)
        self._room -= 1
        places[at] = number
        return 0 if self._on_disk is None else self._count_written(number, self._on_disk)

    def _count_again(self, number: int) -> int:
        before = self._times.get(number, 1)
        self._note(number, before + 1)
        return before

    def _count_written(self, number: int, on_disk: CountsOnDisk) -> int:
        if before := on_disk.times(number):
            self._note(number, before + 1)
        return before

    def _note(self, number: int, times: int) -> None:
        self._times[number] = times
        if len(self._times) > self._most_repeated:
            self._write()

    def _write(self) -> None:
        if self._on_disk is None:
            self._on_disk = CountsOnDisk()
        self._on_disk.write(filter(None, self._places), self._times)
        del self._places  # first of all, so that there are not two tables at once
        self._places = self._empty()
        self._room = self._most
        self._times.clear()

    def close(self) -> None:
        """Close and remove the temporary file."""
        if self._on_disk is not None:
            self._on_disk.close()
