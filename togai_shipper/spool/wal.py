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
IF_SLOW = 72 * 1024**2  # the latter where the disk is slow: then SQLite does so at 64 MiB
FAST, SLOW = 0.0025, 0.01  # seconds up to which, and from which on, a commit tells that the disk is so
TRY_EVERY = 0.2  # seconds between tries: readers that come and go leave short moments in which one works


class Wal:
    """Looks after the ``-wal`` of one file after the other."""

    def __init__(self, clock: Callable[[], float], max_spool_bytes: int) -> None:
        self._clock = clock
        self._part = max_spool_bytes // PART
        self._is_slow = False
        self.commit_took = 0.0  # seconds that the last commit took
        self.pinned = 0  # its bytes, while it is large and somebody keeps it from being emptied
        self.try_at = 0.0  # monotonic seconds before which that is not tried again

    @property
    def _large(self) -> int:
        return max(LEAST, min(IF_SLOW if self._is_slow else MOST, self._part))

    def note_commit(self, file: SpoolFile, seconds: float) -> None:
        """Note how long a commit took. On a slow disk it is emptied more seldom, if it may be that long."""
        self.commit_took = seconds
        is_slow = seconds > (FAST if self._is_slow else SLOW) and self._part >= IF_SLOW
        if is_slow is not self._is_slow:
            file.note_speed(is_slow=is_slow)
            self._is_slow = is_slow

    def look(self, file: SpoolFile) -> bool:
        """Empty it if it is large; return whether that was tried just now and failed."""
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
        self._is_slow = False


def size_of(path: str) -> int:
    """Return the bytes of a file; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  asked at each commit: without a Path
    except OSError:
        return 0
