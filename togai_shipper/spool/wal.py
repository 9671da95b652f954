"""The ``-wal`` beside a file: it is emptied where it is large, and measured where that cannot be.

SQLite writes what is new at the end of the ``-wal``, and begins it anew once nobody reads what is in it. A
program that reads the file and stays lets it grow with all that is written, also with what removes rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from .file import SpoolFile

PART = 4  # a -wal is large from this part of max_spool_bytes on, within these bytes
LEAST, MOST = 1024**2, 8 * 1024**2  # by itself SQLite empties it at 4 MiB, where nobody reads the file
TRY_EVERY = 0.2  # seconds between tries: readers that come and go leave short moments in which one works


class Wal:
    """Looks after the ``-wal`` of one file after the other."""

    def __init__(self, clock: Callable[[], float], max_spool_bytes: int) -> None:
        self._clock = clock
        self._large = max(LEAST, min(MOST, max_spool_bytes // PART))
        self.pinned = 0  # its bytes, while it is large and somebody keeps it from being emptied
        self.try_at = 0.0  # monotonic seconds before which that is not tried again

    def look(self, file: SpoolFile) -> bool:
        """Empty it if it is large; return whether that was tried in vain just now."""
        size = size_of(f"{file.path}-wal")
        if size <= self._large:
            self.pinned = 0
            return False
        if self.pinned and self._clock() < self.try_at:
            self.pinned = size
            return False
        self.try_at = self._clock() + TRY_EVERY
        self.pinned = 0 if file.empty_wal() else size
        return self.pinned > 0

    def reset(self) -> None:
        """Begin with another file."""
        self.pinned = 0


def size_of(path: str) -> int:
    """Return the bytes of a file; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  asked at each commit: without a Path
    except OSError:
        return 0
