"""How events on disk come into the buffer: our own, in order, as there is room; and those of others' files.

Every method raises ``SpoolError`` where our own file cannot be used. Whoever calls holds the file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.runtime import FOREVER, Runtime
from togai_shipper._engine.server_clock import ServerClock
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.store import Inlet
from togai_shipper._outcome import Dropped
from togai_shipper._plural import counted
from togai_shipper.exceptions import EventDropped

from .adoption import Adoption
from .age import FileClock
from .disk import Disk
from .errors import SpoolError
from .file import SpoolFile
from .folder import Folder
from .holdings import Holdings
from .merging import Merging
from .news import News
from .orphan import Haul
from .requests import carry_out, read_requests
from .rows import CORRUPT, PAST_WINDOW, DeadLetter, Row

READ_MOST = 5000  # rows read back at once
WORD_EVERY = 3.0  # seconds between looks whether Togai has replied, where that is waited for
REQUESTS_EVERY = 1.0  # seconds between looks for what an operator asks, where there are dead letters


@attrs.define
class Lot:
    """Rows of one age on their way to the buffer."""

    since: float
    known: bool
    rows: list[Row] = attrs.field(factory=list)


class Recovery:
    """Brings back what is on disk."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        inlet: Inlet,
        holdings: Holdings,
        folder: Folder,
        disk: Disk,
        news: News,
        server_clock: ServerClock,
    ) -> None:
        self._config = config
        self._clock = runtime.clock
        self._wall = runtime.wall
        self._lock = lock
        self._shutdown = shutdown
        self._inlet = inlet
        self._holdings = holdings
        self._disk = disk
        self._news = news
        self._server_clock = server_clock
        self.adoption = Adoption(folder, config.base_url, runtime.clock, runtime.random, news.error)
        self._merging = Merging(folder, config.base_url, runtime.clock, runtime.random)
        self._look_at = 0.0
        # Replaced as a whole, and read without a lock: some events were kept when nobody knew Togai's time.
        self._is_kept_blindly = False
        self._word_at = 0.0  # monotonic seconds of the next look whether it is known

    @property
    def stranded(self) -> int:
        """How many events in others' files are not sent from here; not those that are judged anew soon."""
        return self.adoption.stranded.count if self._is_time_coming else self.adoption.count

    @property
    def _is_time_coming(self) -> bool:
        clock = self._server_clock
        return self._is_kept_blindly and (clock.is_awaited or clock.now() is not None)

    def due_at(self, now: float) -> float:
        """Monotonic seconds at which there is something to do; called under the lock."""
        holdings = self._holdings
        times = [FOREVER]
        if holdings.may_return():
            times.append(now)
        if self._disk.failure is None:
            if self._may_adopt():
                times.append(self.adoption.next_at)
                times.append(self._word_at if self._is_time_coming else FOREVER)
            if holdings.dead_letters:
                times.append(self._look_at)
        return min(times)

    # --- our own events ---

    def read_back(self) -> None:
        """Read back what is on disk alone, in order, as far as there is room."""
        while True:
            with self._lock:
                shelf = self._holdings.shelf
                file, after = self._disk.file, shelf.cursor
                most = min(self._holdings.room(), READ_MOST)
                if not shelf.behind:
                    return
            if not most or file is None:
                return
            rows, damaged = file.read(after, most)
            dropped = self._bury_damaged(file, damaged) if damaged else None
            with self._lock:
                if dropped is not None:
                    self._inlet.settle(dropped, waited_for=True)
                    self._holdings.count(corrupt_rows=len(damaged), dead_letters=len(damaged))
                bodies = [row.body for row in shelf.unread(rows)]
                over = self._inlet.over_lane(bodies)
                self._inlet.note_set_aside(bodies, over)
                into = shelf.returned(rows, damaged, dropped.events if dropped else (), over)
                for lot in _lots(into, file.clock):
                    self._inlet.add([row.body for row in lot.rows], lot.since, known=lot.known)
                    shelf.note_next(lot.since)
            if into:
                self._inlet.wake()

    def read_aside(self) -> None:
        """Read back, the oldest first, those for which the lane had no room, as far as it has some now."""
        while True:
            with self._lock:
                shelf, file = self._holdings.shelf, self._disk.file
                seq = shelf.next_aside()
                if seq is None or file is None or not self._holdings.aside_room():
                    return
            rows, damaged = file.read(seq - 1, 1)
            dropped = self._bury_damaged(file, damaged) if damaged == [seq] else None
            with self._lock:
                if dropped is not None:
                    self._inlet.settle(dropped, waited_for=True)
                    self._holdings.count(corrupt_rows=1, dead_letters=1)
                row = rows[0] if rows and rows[0].seq == seq else None
                shelf.left_aside(row, dropped.events if dropped else ())
                self._inlet.note_back(None if row is None else row.body)
                for lot in _lots([] if row is None else [row], file.clock):
                    self._inlet.over_lane([each.body for each in lot.rows])
                    self._inlet.add([each.body for each in lot.rows], lot.since, known=lot.known)
                    shelf.note_next_aside(lot.since)
            self._inlet.wake()

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _bury_damaged(self, file: SpoolFile, damaged: list[int]) -> Dropped:
        """Keep rows of our own file that are not what was written, as they are: never sent, and told."""
        path, now, count = self._disk.path, self._now_ms(), len(damaged)
        bodies = [file.raw(seq) for seq in damaged]
        text = "its checksum is wrong, or it is no event"
        file.bury(
            [
                DeadLetter(f"row {seq}", now, body, CORRUPT, None, text, 0, now)
                for seq, body in zip(damaged, bodies, strict=True)
            ],
            damaged,
        )
        error = EventDropped(None, CORRUPT, 0, maybe_delivered=False)
        self._news.undelivered(error)
        self._news.error(
            f"corrupt {path}",
            "%s: %s damaged on disk, kept with the dead letters",
            path,
            counted(count, "event is", "events are"),
        )
        return Dropped(bodies, CORRUPT, error)

    # --- files whose process is gone ---

    def _may_adopt(self) -> bool:
        shelf = self._holdings.shelf
        return (
            self._disk.failure is None
            and not self._shutdown.has_begun
            and shelf.bytes <= self._config.max_spool_bytes // 2
            and shelf.behind <= self._config.batch_size  # our own events do not wait for all of it
        )

    def adopt(self, ready: Callable[[], SpoolFile | None]) -> None:
        """Move one piece of such a file into ours, if ``ready()`` gives ours."""
        self._heed_time()
        try:
            if not self._may_adopt() or not self.adoption.find(self._now_ms()):
                self._look_for_what_was_left()
                return
            file = ready()
            if file is None:
                return
            if self._will_be_told_the_time():
                self.adoption.pause(WORD_EVERY)
                return
            server = self._server_clock.now()
            self.adoption.move(
                file, self._disk.clocks(server), lambda path, haul: self._take_over(haul, path, file)
            )
        except SpoolError:
            self.adoption.pause()  # what was read last is not moved: it is read again
            raise
        if server is None and self.adoption.kept:
            self._is_kept_blindly = True
            self._word_at = self._clock() + WORD_EVERY
            self._server_clock.want()
            self._inlet.wake()

    def merge(self) -> None:
        """Merge small files that others have left, where we end and had no time to adopt them."""
        file, is_late = self._disk.file, self._shutdown.has_begun and not self.adoption.has_begun
        if is_late and len(self._holdings.shelf) and file is not None and self._disk.works:
            self._merging.merge(file, self._disk.clocks(None), self._disk.wal.commit_took, self._pass)

    def _pass(self, _: str, haul: Haul) -> None:
        """Note rows in our file that were others', and are for whoever takes it over."""
        if haul.moved:
            with self._lock:
                self._holdings.shelf.passed(range(haul.moved[0].seq, haul.moved[-1].seq + 1))

    def _heed_time(self) -> None:
        """Judge anew what was kept, once Togai has said what time it is."""
        if self._is_kept_blindly and self._clock() >= self._word_at:
            self._word_at = self._clock() + WORD_EVERY
            if self._server_clock.now() is not None:
                self.adoption.judge_anew()
                self._is_kept_blindly = False

    def _will_be_told_the_time(self) -> bool:
        """Whether events of another boot should wait for Togai's first reply: one is on its way.

        It says what time it is. Where nothing else is to be sent, our own clock has to do.
        """
        return (
            not self.adoption.is_of(self._disk.boot)
            and not self._server_clock.has_replied
            and self._inlet.count > 0
        )

    def _look_for_what_was_left(self) -> None:
        """Stop counting events of a file that another process has adopted from us: they are its own now."""
        left = list(self._holdings.left)
        for path in [path for path in left if not os.path.exists(path)]:  # noqa: PTH110  Path's raises where it cannot be told
            with self._lock:
                count = self._holdings.forget_left(path)
                self._inlet.lose(count)  # for who waits: they are not known to be delivered
            self._news.error(
                f"gone {path}", "another process has taken over %s in %s", counted(count, "event"), path
            )

    def _take_over(self, haul: Haul, path: str, file: SpoolFile) -> None:
        count = len(haul.moved) + len(haul.expired)
        with self._lock:
            if haul.moved:
                self._join(haul.moved, file)
            recovered = count - self._holdings.came_back(path, count)
            if haul.over and (missing := self._holdings.forget_left(path)):
                self.lose(missing, path)
            self._holdings.count(
                recovered=recovered,
                corrupt_rows=haul.damaged,
                dead_letters=haul.dead + len(haul.expired),
            )
            if not haul.expired:
                return
            error = EventDropped(None, PAST_WINDOW, 0, maybe_delivered=True)
            outcome = Dropped([row.body for row in haul.expired], PAST_WINDOW, error)
            self._inlet.settle(outcome)
        self._news.error(
            f"expired {path}",
            "%s of %s may be older than Togai's memory of ids: not sent, kept with the dead letters",
            counted(len(haul.expired), "event"),
            path,
        )
        self._news.undelivered(error, outcome.events)

    def _join(self, rows: list[Row], file: SpoolFile) -> None:
        """Note rows that came to the end of our file: before what has not been written yet."""
        self._inlet.note_overtaking(len(rows), self._holdings.shelf.behind)
        oldest = min(row.accepted_ms for row in rows)
        self._holdings.shelf.joined(rows, file.clock.clock(oldest))

    def lose(self, count: int, path: str) -> None:
        """Count events that were on disk alone and are no more, and tell of them; called under the lock."""
        error = EventDropped(None, CORRUPT, 0, maybe_delivered=False)
        self._inlet.settle(Dropped([b""] * count, CORRUPT, error), waited_for=True)
        self._news.error(
            f"lost {path}",
            "%s lost with %s, which is gone or cannot be read",
            counted(count, "event is", "events are"),
            path,
        )
        self._news.undelivered(error)

    # --- what an operator asks ---

    def do_requests(self) -> None:
        """Replay or purge dead letters of our file, as the command line has asked for."""
        file, now = self._disk.file, self._clock()
        if not self._holdings.dead_letters or now < self._look_at or file is None or not self._disk.works:
            return
        self._look_at = now + REQUESTS_EVERY
        for request in read_requests(file.path):
            rows = carry_out(request, file, file.clock.time(self._clock()))
            dead_letters = file.dead_count()
            with self._lock:
                if rows:
                    self._join(rows, file)
                self._holdings.count(recovered=len(rows))
                self._holdings.recount_dead_letters(dead_letters)


def _lots(rows: Sequence[Row], clock: FileClock) -> list[Lot]:
    """Divide rows of our own file by their age, which is exact."""
    lots: list[Lot] = []
    for row in rows:
        since = clock.clock(row.accepted_ms)
        if not lots or lots[-1].known is not row.known or abs(lots[-1].since - since) > 1.0:
            lots.append(Lot(since, row.known))
        lots[-1].rows.append(row)
    return lots
