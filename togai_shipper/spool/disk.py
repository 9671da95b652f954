"""This process's own file: made when it is first needed, left when it fails, and tried again.

Used by one thread at a time, but for ``failure`` and ``file``, which others may look at.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import attrs

from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.saying import Saying
from togai_shipper._version import __version__

from .age import Clocks, FileClock
from .archive import Archive, keep_journal
from .book import Book
from .claims import Claim
from .errors import OverBound, SpoolError, SpoolFull
from .file import SELF_REPORT, SpoolFile
from .folder import Folder
from .journal import DOUBT, day_of
from .moving import owes
from .tally import Tally
from .wal import Wal, size_of

LOOK_EVERY = 1.0  # seconds between looks whether the file is there still
RETRY = (1.0, 60.0)  # seconds after a failure until the disk is tried again, doubling


class Disk:
    """A file, if there is one, and why there is none, if so."""

    def __init__(
        self,
        folder: Folder,
        base_url: str,
        max_bytes: int,
        runtime: Runtime,
        keeps: str = "counts",
        saying: Saying | None = None,
    ) -> None:
        self._folder = folder
        self._base_url = base_url
        self._max_bytes = max_bytes
        self._keeps = keeps  # what the journal keeps
        self._saying = saying
        self._carried: Book | None = None  # the journal of a file that had to be removed
        self._doubt = ""  # what the next file's journal has to say of the one that was left
        self._clock = runtime.clock
        self._wall = runtime.wall
        # What names the time since which our clock counts. Without a name of the kernel's, it is ours alone.
        self.boot = runtime.boot() or f"as seen by one shipper, {os.urandom(8).hex()}"
        self._claim: Claim | None = None
        self._failures = 0
        self.file: SpoolFile | None = None
        self.failure: str | None = None  # why it does not work; cleared by ``mended``
        self.retry_at = 0.0  # monotonic seconds
        self._look_at = 0.0  # monotonic seconds before which it is not looked at again
        self.wal = Wal(runtime.clock, max_bytes)

    @property
    def works(self) -> bool:
        """There is a file, and the last use of it was good."""
        return self.file is not None and self.failure is None

    @property
    def path(self) -> str:
        """The file, or, while there is none, its directory."""
        return str(self._claim.path if self._claim else self._folder.path)

    def may_try(self) -> bool:
        """Whether it did not fail, or not just now."""
        return self.failure is None or self._clock() >= self.retry_at

    def clocks(self, server: float | None) -> Clocks:
        """Return what time it is, by all clocks there are; ``server``: by Togai's."""
        return Clocks.read(self.boot, self._clock(), self._wall(), server)

    def look(self, coming: int = 0) -> bool:
        """Return whether a reader was just found to be in the way of emptying a large ``-wal``.

        Raise ``SpoolError`` where somebody has removed the file, or its lock, and ``OverBound`` where a
        reader leaves no room for ``coming`` bytes. Without the file SQLite would write on, to nowhere;
        without its lock, another process would adopt it.
        """
        if self.file is None:
            return False
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_EVERY
            if not os.path.exists(self.file.path):  # noqa: PTH110  Path's raises where it cannot be told
                raise SpoolError(f"{self.file.path}: was removed")
            assert self._claim  # noqa: S101  it comes with the file
            if not self._claim.keeps_others_out:
                raise SpoolError(f"{self.file.path}: its lock was removed")
        is_news = self.wal.look(self.file)
        if pinned := self.wal.pinned:
            is_over = size_of(str(self.file.path)) + pinned + coming > self._max_bytes
            if is_over or self.failure is not None:  # once it was over, it is not filled to the brim again
                raise OverBound(self.why_pinned())
        return is_news

    def why_pinned(self) -> str:
        """Say what a reader does to the file."""
        return (
            f"{self.path}: another program reads it, and so keeps its -wal from being emptied,"
            f" which has {self.wal.pinned / 1e6:,.0f} MB"
        )

    def note_wall_clock(self) -> None:
        """Note in the file where the wall clock was set since. Raises ``SpoolError``."""
        if self.file is not None and self.failure is None:
            self.file.note_wall_clock(self._clock(), self._wall())

    def say(self) -> None:
        """Note in the file how this process stands, where that is due; whether it can be is no matter."""
        if self.file is not None and (text := self.due_report()) is not None:
            self._note(text)

    def due_report(self) -> str | None:
        """Return how this process stands, where that is due; it counts as noted in the file then."""
        if self._saying is None:
            return None
        return self._saying.text(is_sparing=self.failure is not None or bool(self.wal.pinned))

    def report_failed(self) -> None:
        """Note that what was returned so is not in the file."""
        assert self._saying  # noqa: S101  it has made the report
        self._saying.failed()

    def _note(self, report: str) -> None:
        assert self.file  # noqa: S101  the callers have looked
        assert self._saying  # noqa: S101  likewise
        try:
            self.file.say(report)
        except SpoolError:  # who writes events is told of it
            self._saying.failed()

    def open(self) -> SpoolFile:
        """The file, made if there is none. Raises ``SpoolError``."""
        if self.file is None:
            self._folder.prepare()
            claim, wall = self._folder.new(), self._wall()
            try:
                self.file = SpoolFile.create(
                    claim.path,
                    {
                        "base_url": self._base_url,
                        "host": socket.gethostname(),
                        "pid": str(os.getpid()),
                        "created_ms": str(int(wall * 1000)),
                        "version": __version__,
                        "journal_keeps": self._keeps,
                        **({SELF_REPORT: self._saying.begin(is_kept=True)} if self._saying else {}),
                        **self._journal(wall),
                    },
                    FileClock.begun(self.boot, self._clock(), wall),
                    self._clock,
                )
                if self._carried:
                    self.file.journal.carry(self._carried)
                self._folder.sync()
            except BaseException:
                if self.file is not None:
                    self.file.close()
                    self.file = None
                with suppress(SpoolError):
                    claim.unlink()
                raise
            claim.made()
            self._claim = claim
            self._carried, self._doubt = None, ""
        return self.file

    def _journal(self, wall: float) -> dict[str, str]:
        """Return what the file says of its journal from the beginning."""
        said = {f"{DOUBT}{day_of(int(wall * 1000))}": self._doubt} if self._doubt else {}
        if self._carried is None:
            return {"journal": os.urandom(16).hex(), **said}
        said |= {f"{DOUBT}{day}": why for day, why in self._carried.doubts.items()}
        return {"journal": self._carried.id, "journal_since": str(self._carried.since_ms), **said}

    def mended(self) -> bool:
        """It works; says whether it did not before."""
        was, self.failure, self._failures = self.failure, None, 0
        return was is not None

    def failed(self, error: SpoolError) -> bool:
        """It does not work, until it is tried again; says whether the file was left, an orphan from now on.

        One that only has no room is kept: nothing of it is lost, and what leaves it makes room.
        """
        first, last = RETRY
        if isinstance(error, OverBound):  # it is no trouble to ask whether there is room by now
            last = first
        self.retry_at = self._clock() + min(last, first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self.failure = str(error)
        if isinstance(error, SpoolFull):
            return False
        if self._claim is not None:
            self._doubt = f"{self._claim.path.name} failed: what was in it may be counted twice"
        self.leave()
        return True

    def leave(self) -> None:
        """Let go of the file, as it is."""
        if self.file is not None:
            self.file.close()
        if self._claim is not None:
            self._claim.release()
        self.file = self._claim = None
        self.wal.reset()

    def close(self) -> None:
        """The end: let go of the file; without anything in it, keep its journal and remove it."""
        if self.file is None or self._claim is None:
            if self._carried:
                with suppress(SpoolError):
                    Archive(self._folder.path, self._clock).take(self._carried, (), self._now_ms())
            return
        try:
            is_empty = not self.file.last_seq() and not self.file.dead_count()
            if is_empty and not owes(self.file):
                keep_journal(self.file, self._now_ms(), self._clock)
            else:
                is_empty = False
        except SpoolError:
            is_empty = False
        if not is_empty:
            if self._saying:
                with suppress(Exception):  # a bug, no memory: the events are what matters
                    self._note(self._saying.last())
            with suppress(SpoolError):  # their records stay, and it is adopted in pieces
                self.file.moves.forget()
            self.leave()
            return
        with suppress(SpoolError):
            self.remove()

    def renew(self) -> None:
        """Remove the file; the next one goes on with its journal. Raises ``SpoolError``, having let go."""
        assert self.file  # noqa: S101  there is one to be removed
        book = self.file.journal.book(self.file.path.stem)
        if book.counts and book.keeps_ids:
            why = "the disk was full: the ids of what was delivered until then are not kept"
            book = attrs.evolve(book, doubts={day_of(self._now_ms()): why, **book.doubts})
        self._carried = book
        self.remove()

    def carry(self, tally: Tally) -> None:
        """Let the next file's journal, or, at the end, a journal without a file, say this, too."""
        if self._carried is None:
            now_ms = self._now_ms()
            host, pid = socket.gethostname(), str(os.getpid())
            self._carried = Book(
                os.urandom(16).hex(), host, pid, self._base_url, now_ms, now_ms, keeps_ids=False
            )
        self._carried = self._carried.with_more(tally, self._now_ms())

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def remove(self) -> None:
        """The end of the file, and of all in it. Raises ``SpoolError``, having let go."""
        assert self.file  # noqa: S101  with it comes its claim
        assert self._claim  # noqa: S101  likewise
        claim = self._claim
        self.file.close()
        self.file = self._claim = None
        self.wal.reset()
        claim.unlink()
