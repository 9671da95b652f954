"""A file that was large becomes small again: what is free in it is given back, a little at a time.

SQLite itself keeps what is free for later. Some of it is kept, so that what comes next finds room; the rest
goes in steps of a few milliseconds, once rows were removed.
"""

from __future__ import annotations

from collections.abc import Callable

from togai_shipper._engine.runtime import FOREVER

from .file import SpoolFile

KEPT = 2048  # free pages that are kept, of 4 kB
STEP = 1024  # pages given back at once
LOOK_AFTER = 1.0  # seconds after rows were removed
STEP_EVERY = 0.1  # seconds between two steps, or, where the disk is slow,
STEP_SHARE = 10  # so many times what the last one took: our own events wait for it


class Shrinking:
    """Sees to it for one file after the other. Used by the thread that does the writer's work."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.due_at = FOREVER  # monotonic seconds at which there may be something to give back
        self._has_shrunk = False

    def note_removed(self) -> None:
        """Note that rows were removed."""
        if self.due_at == FOREVER:
            self.due_at = self._clock() + LOOK_AFTER

    def go_on(self, file: SpoolFile | None) -> None:
        """Give back a little, if that is due. Raises ``SpoolError``."""
        if self._clock() < self.due_at:
            return
        self.due_at = FOREVER
        if file is None:
            return
        if file.free_pages() > KEPT:
            begun = self._clock()
            file.shrink(STEP)
            self._has_shrunk = True
            now = self._clock()
            self.due_at = now + max(STEP_EVERY, (now - begun) * STEP_SHARE)
        elif self._has_shrunk:
            self._has_shrunk = False
            file.empty_wal()  # it is shorter on disk only then; where a reader is in the way, a little later
