"""How our own file fares: tried, left where it fails, tried again, and filled with what memory has by then.

Used by the thread that does the writer's work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from togai_shipper._engine.store import Inlet
from togai_shipper._plural import counted

from .disk import Disk
from .errors import OverBound, Refused, SpoolError
from .file import SpoolFile
from .gathering import Gathering, a_commits_worth
from .holdings import Holdings
from .news import News
from .recovery import Recovery
from .rows import ROW_BYTES


class Upkeep:
    """Keeps the file of one shipper in use, as far as the disk allows it."""

    def __init__(
        self,
        clock: Callable[[], float],
        lock: threading.RLock,
        inlet: Inlet,
        gathering: Gathering,
        holdings: Holdings,
        disk: Disk,
        recovery: Recovery,
        news: News,
        max_bytes: int,
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = lock
        self._inlet = inlet
        self._gathering = gathering
        self._holdings = holdings
        self._disk = disk
        self._recovery = recovery
        self._news = news

    def look(self) -> None:
        """Keep the -wal small, which what removes rows, too, makes longer."""
        if self._disk.works:
            self._look_again()

    def _look_again(self, coming: int = 0) -> None:
        if self._disk.look(coming):
            self._news.error("pinned", "%s", self._disk.why_pinned())

    def ready(self) -> SpoolFile | None:
        """Return the file, if it can be written; made if there is none, tried again when that is due."""
        try:
            if not self._disk.may_try():
                return None
            self._look_again(self._gathering.size)
            if self._disk.works:
                return self._disk.file
            self.make_room()
            file = self._disk.open()
            if self._disk.failure is not None:
                file.try_out()
            self._save_what_is_in_memory(file)
        except SpoolError as error:
            self.failed(error)
            return None
        if self._disk.mended():
            self._recovery.adoption.look_now()  # what had to be left may be read again
            self._news.recovered("spool", "the spool works again: %s", self._disk.path)
        return file

    def make_room(self) -> None:
        """Remove a file that has filled the disk, and could not even note that all in it is delivered."""
        file = self._disk.file
        with self._lock:
            shelf = self._holdings.shelf
            delivered = shelf.delivered
            if file is None or self._disk.works or len(shelf):
                return
        if file.pending()[0] > delivered or file.dead_count():
            return
        self._disk.renew()
        with self._lock:
            self._holdings.begin_shelf(is_removed=True)

    def failed(self, error: SpoolError) -> None:
        """Go on from memory alone; what is on disk alone waits there for whoever adopts it."""
        if isinstance(error, Refused):
            self._recovery.adoption.note_refused(error)
        behind = 0
        with self._lock:
            path = self._disk.path
            if self._disk.failed(error):
                self._recovery.adoption.pause()
                if len(self._holdings.shelf):  # whoever adopts the file sends what is in it
                    self._inlet.note_known()
                behind, since = self._holdings.leave_shelf()
                if behind and os.path.exists(path):  # noqa: PTH110  Path's raises where it cannot be told
                    self._holdings.count_left(path, behind, since)
                elif behind:
                    self._recovery.lose(behind, path)
                    behind = 0
            self._inlet.progress.ring()
        text = "the spool does not work: %s; delivery goes on from memory, which dies with this process"
        if behind:
            text += f"; {counted(behind, 'event stays', 'events stay')} in {path} until it can be read"
        self._news.error("spool", text, error)

    def _save_what_is_in_memory(self, file: SpoolFile) -> None:
        """After a failure: write events that came into the buffer meanwhile, and are nowhere on disk."""
        with self._lock:
            shelf = self._holdings.shelf
            events = [event for event in self._inlet.events() if event not in shelf]
            size = sum(map(len, events)) + ROW_BYTES * len(events)
            has_room = shelf.bytes + size <= self._max_bytes
        if events and not has_room:
            raise OverBound(f"{file.path}: there is no room for what is in memory")
        while events:
            part = a_commits_worth(events, self._gathering.commit_bytes)
            self._look_again(sum(map(len, part)))
            now = file.clock.time(self._clock())
            first = file.append([(now, True, event) for event in part])
            with self._lock:
                shelf.saved(part, first, there=self._inlet.events())
            events = events[len(part) :]
