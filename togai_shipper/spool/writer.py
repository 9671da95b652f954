"""The durable store: a thread that writes events to disk before they reach the buffer.

``track()`` appends to ``_entering``; every 10 ms one commit takes what has gathered, and hands it over to the
buffer, or, where memory is full or older events wait on disk, leaves it there, to be read back in order. A
row is on disk exactly as long as its event is not settled.

All that is mutable here is touched while holding the shipper's lock, but for the file, which belongs to who
holds ``_io``. Nothing waits for the disk while holding the shipper's lock.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Literal, Protocol

import attrs

from togai_shipper import __version__
from togai_shipper._batching import Batch
from togai_shipper._bell import Bell
from togai_shipper._buffer import Buffer
from togai_shipper._config import Config
from togai_shipper._event import ChosenId
from togai_shipper._flusher import Flushers
from togai_shipper._outcome import Delivered, Dropped, Outcome, Rejected
from togai_shipper._settlement import DEDUPE_WINDOW
from togai_shipper.exceptions import EventDropped

from .adoption import PAST_WINDOW, Haul, Orphan, event_id, is_ours
from .file import ROW_BYTES, Damaged, NotOurs, SpoolError, SpoolFile, SpoolFull
from .folder import Claim, Folder
from .requests import asked
from .rows import DeadLetter, Row

LINGER = 0.01  # seconds for which events gather before they are written
FORGET_EVERY = (
    0.1  # seconds for which settled events gather before they are forgotten; losing that costs nothing
)
COMMIT_MOST = 5000  # events in one commit, and rows read back at once
FORGET_MOST = 2000  # settled events that are forgotten at once without waiting longer
ADOPT_EVERY = 60.0  # seconds between looks for files whose process is gone; and half as much again at random
REQUESTS_EVERY = 1.0  # seconds between looks for what an operator asks, where there are dead letters
RETRY = (1.0, 60.0)  # seconds after the disk failed until it is tried again, doubling
HOURLY = 3600.0
FORK_WAIT = 2.0  # seconds that a fork waits for a commit under way
FINISH = 2.0  # seconds that close() takes at most for the last commit
FOREVER = float("inf")


class Teller(Protocol):
    """Who speaks for the shipper."""

    def complain(
        self, kind: str, message: str, *args: object, level: int = ..., exc_info: bool = ...
    ) -> bool:
        """Log, the same kind once a minute."""

    def log(self, level: int, message: str, *args: object, exc_info: bool = ...) -> None:
        """Log."""

    def undelivered(self, error: Exception, events: Sequence[bytes] = ...) -> None:
        """Call ``on_error``."""


@attrs.define
class Lot:
    """Rows of one age on their way to the buffer."""

    since: float
    known: bool
    rows: list[Row] = attrs.field(factory=list)


class Spool:
    """One shipper's events on disk, in one process."""

    def __init__(
        self,
        config: Config,
        directory: str,
        lock: threading.RLock,
        buffer: Buffer,
        teller: Teller,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
        work: Bell,
        server_time: Callable[[], float | None],
        record: Callable[[Outcome], None],
        starting: Callable[[], None],
        ended: Callable[[], None],
        thread: Callable[[Callable[..., None], tuple[object, ...]], object],
    ) -> None:
        self.pid = os.getpid()
        self._config = config
        self._lock = lock
        self._buffer = buffer
        self._teller = teller
        self._clock = clock
        self._wall = wall
        self._random = random
        self.work = work  # rung when there may be something to do
        self._server_time = server_time  # wall clock of the server, once it has replied
        self._record = record
        self._starting = starting
        self._io = threading.Lock()
        self._owner: int | None = None  # the thread that holds it
        self._folder = Folder(directory)
        self._writer = Flushers(1, lock, clock, self._work, self._writer_failed, ended, thread)
        # In memory, not yet on disk.
        self._entering: deque[bytes] = deque()
        self._entering_bytes = 0
        self._entered_at = 0.0
        self._through = 0  # events that ever left _entering
        self._in_a_hurry = False  # somebody waits for the commit
        # On disk.
        self._rows: dict[int, int] = {}  # id() of an event in the buffer -> its seq
        self._behind = 0  # events on disk alone
        self._behind_since = 0.0  # about when the oldest of them was accepted
        self._cursor = 0  # up to this seq everything came into the buffer
        self._skips: deque[tuple[int, int]] = (
            deque()
        )  # ranges of seq beyond the cursor that are in the buffer
        self._bytes = 0
        # Settled, not yet forgotten.
        self._gone: list[int] = []
        self._dying: list[tuple[int | None, bytes, Rejected | Dropped]] = []
        self._settled_at = 0.0
        # The file, and how it fares.
        self._claim: Claim | None = None
        self._file: SpoolFile | None = None
        self.failure: str | None = None
        self._retry_at = 0.0
        self._failures = 0
        self._finished = False
        # Other files.
        self._adopt_at = -FOREVER
        self._orphans: Iterator[Claim] = iter(())
        self._orphan: Orphan | None = None
        self._adopting = False
        self._look_at = 0.0
        self.recovered = 0
        self.stranded: dict[str, int] = {}  # path -> events in it that are not ours to send
        self.corrupt_rows = 0
        self.dead_letters = 0
        self._news: list[Callable[[], object]] = []  # to be told once the file is let go
        _spools.add(self)

    # --- callers ---

    def put(self, event: bytes) -> Literal["closed", "full"] | None:
        """Take one encoded event; says why not."""
        with self._lock:
            if self._buffer.closing:
                return "closed"
            entering, config, size = self._entering, self._config, len(event)
            if (
                len(entering) + self._buffer.in_memory >= config.max_queue_size
                or self._entering_bytes + self._buffer.memory_bytes + size > config.max_queue_bytes
                or self._bytes + self._entering_bytes + size > config.max_spool_bytes
            ):
                return "full"
            entering.append(event)
            if self._buffer.closing and entering and entering[-1] is event:
                entering.pop()  # a signal handler interrupted us, and closed: as in Buffer.put
                return "closed"
            self._entering_bytes += size
            if len(entering) == 1:
                self._entered_at = self._clock()
                self.work.ring()
            if not self._writer.alive:
                self.attend()
            return None

    def attend(self) -> None:
        """Start the writer, if there is none. Called under the lock."""
        if not self._writer.alive and not self._buffer.closing and self._writer.may_start():
            self._starting()
            self._writer.start()
        if not self._writer.alive:  # flushers, and who flushes or closes, drive instead
            self._buffer.work.ring()
            self._buffer.attend()

    def sync(self, timeout: float, *, waits: bool = True) -> bool:
        """Whether all that was accepted so far is on disk; waits for that, ``timeout`` seconds at most."""
        with self._lock:
            deadline = self._clock() + timeout
            target = self._through + len(self._entering)
            self._in_a_hurry = True
            self.attend()
            self.work.ring()
        while True:
            self.drive()
            with self._lock:
                left = deadline - self._clock()
                if self._through >= target or self.failure or left <= 0 or not waits:
                    return self._through >= target and self.failure is None and self._file is not None
                rings = self._buffer.settled.rings
            self._buffer.settled.wait(rings, left)

    # --- the buffer's store ---

    @property
    def waiting(self) -> int:
        """Events accepted that are not in the buffer."""
        return len(self._entering) + self._behind

    def oldest_since(self) -> float | None:
        """When the oldest of those was accepted, about."""
        if self._behind:
            return self._behind_since
        return self._entered_at if self._entering else None

    def settled(self, outcome: Outcome) -> None:
        """These events have their outcome: their rows may go, or are buried."""
        rows = self._rows
        if not self._gone and not self._dying:
            self._settled_at = self._clock()
        for event in outcome.events:
            seq = rows.pop(id(event), None)
            if seq is not None:
                self._bytes -= len(event) + ROW_BYTES
            if not isinstance(outcome, Delivered):
                self._dying.append((seq, event, outcome))
            elif seq is not None:
                self._gone.append(seq)
        if self._is_forgetting_due(self._settled_at) or (self._behind and self._room()):
            self.work.ring()

    def kept(self, left: Sequence[Batch]) -> list[Batch]:
        """What is on disk stays there; the rest is lost."""
        lost = []
        for batch in left:
            events = [event for event in batch.events if self._rows.pop(id(event), None) is None]
            self._behind += len(batch) - len(events)
            if events:
                lost.append(attrs.evolve(batch, events=events))
        if self._entering:
            lost.append(Batch(list(self._entering), sys.maxsize, self._entered_at))
            self._entering.clear()
            self._entering_bytes = 0
        return lost

    def drive(self) -> bool:
        """Do the writer's work on this thread, if there is no writer."""
        if self._writer.alive or not self._is_due():
            return False
        return self.step(0.0)

    # --- how it stands ---

    def complaint(self) -> str | None:
        """Why events are not as safe as they should be."""
        if self.failure:
            return f"the spool does not work, events are kept in memory alone: {self.failure}"
        if self._writer.failure:
            return self._writer.failure
        if self.stranded:
            return f"{sum(self.stranded.values())} events on disk are not ours to send: {min(self.stranded)}"
        return None

    def figures(self) -> dict[str, int | bool]:
        """The spool's part of ``Stats``."""
        return {
            "spooled": len(self._rows) + self._behind,
            "spool_bytes": max(0, self._bytes),
            "durable": self.failure is None and self._file is not None,
            "recovered": self.recovered,
            "stranded": sum(self.stranded.values()),
            "corrupt_rows": self.corrupt_rows,
            "dead_letters": self.dead_letters,
        }

    # --- the thread ---

    def _writer_failed(self, error: BaseException) -> None:
        text = "the spool's writer was ended by %s, no event is lost; another takes its place"
        self._teller.complain("writer", text, type(error).__name__, level=logging.ERROR, exc_info=True)

    def _work(self, _: object = None) -> None:
        while not self._is_over():
            rings = self.work.rings
            with self._lock:
                wait = self._wait()
            if wait > 0.0:
                self.work.wait(rings, None if wait == FOREVER else wait)
            else:
                self.step(FOREVER)

    def _is_over(self) -> bool:
        with self._lock:
            return self._finished or (self._buffer.closing is not None and not self._buffer.pending)

    def _is_due(self) -> bool:
        with self._lock:
            return self._wait() <= 0.0

    def _wait(self) -> float:
        """Seconds until there is something to do."""
        if self._finished:
            return FOREVER
        now = self._clock()
        times = [self._adopt_at if not self._adopting else now]
        hurry = self._in_a_hurry or self._buffer.closing is not None
        if self._entering:
            full = hurry or len(self._entering) >= COMMIT_MOST
            times.append(now if full else self._entered_at + LINGER)
        if self.failure:
            times.append(self._retry_at)
        else:
            if self._gone or self._dying:
                times.append(now if self._is_forgetting_due(now) else self._settled_at + FORGET_EVERY)
            if self._behind and self._room():
                times.append(now)
            if self.dead_letters:
                times.append(self._look_at)
        return max(0.0, min(times) - now)

    def _is_forgetting_due(self, now: float) -> bool:
        return (
            len(self._gone) + len(self._dying) >= FORGET_MOST
            or now >= self._settled_at + FORGET_EVERY
            or self._buffer.closing is not None
        )

    def step(self, timeout: float) -> bool:
        """All that is due, once, on this thread; false where another thread is at it for too long."""
        me = threading.get_ident()
        if self._owner == me:  # a signal handler, or __del__, in the middle of it
            return False
        if not self._io.acquire(timeout=-1 if timeout == FOREVER else timeout):
            return False
        self._owner = me
        try:
            if not self._finished:
                self._step()
        finally:
            self._owner = None
            self._io.release()
            self._tell()
        return True

    def _tell(self) -> None:
        while self._news:
            self._news.pop(0)()

    def _step(self) -> None:
        if self.failure is not None and self._clock() >= self._retry_at:
            self._is_ready()
        self._commit()
        self._forget()
        self._fetch()
        self._adopt()
        self._heed_requests()

    # --- the file ---

    def _is_ready(self) -> bool:
        """Whether the file can be written; opens it, and after a failure tries it, when that is due."""
        if self._file is not None and self.failure is None:
            return True
        if self.failure is not None and self._clock() < self._retry_at:
            return False
        try:
            if self._file is None:
                self._open()
            self._save_what_is_in_memory()
        except SpoolError as error:
            self._failed(error)
            return False
        with self._lock:
            was, self.failure = self.failure, None
            self._failures = 0
        if was is not None:
            self._news.append(lambda: self._teller.log(logging.INFO, "the spool works again: %s", self._path))
        return True

    @property
    def _path(self) -> str:
        return str(self._claim.path if self._claim else self._folder.path)

    def _open(self) -> None:
        self._folder.prepare()
        claim = self._folder.new()
        try:
            self._file = SpoolFile.create(
                claim.path,
                {
                    "base_url": self._config.base_url,
                    "host": socket.gethostname(),
                    "pid": str(self.pid),
                    "created_ms": str(self._now_ms()),
                    "version": __version__,
                },
            )
            self._folder.sync()
        except BaseException:
            if self._file is not None:
                self._file.close()
                self._file = None
            claim.unlink()
            raise
        self._claim = claim

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _failed(self, error: SpoolError) -> None:
        """Go on from memory alone, and try again later; with another file, unless there was no room."""
        with self._lock:
            first, last = RETRY
            self._retry_at = self._clock() + min(last, first * 2.0 ** min(self._failures, 16))
            self._failures += 1
            self.failure = str(error)
            left, path = self._behind, self._path
            if not isinstance(error, SpoolFull):
                self._let_go_of_the_file()
        self._news.append(lambda: self._tell_failed(error, path, left))
        self._buffer.settled.ring()

    def _tell_failed(self, error: SpoolError, path: str, left: int) -> None:
        text = "the spool does not work: %s; delivery goes on from memory, which dies with this process"
        if left and not isinstance(error, SpoolFull):
            text += f"; {left} events stay in {path} until it can be read"
        self._teller.complain("spool", text, error, level=logging.ERROR)

    def _let_go_of_the_file(self) -> None:
        """Leave it, an orphan from now on: what can be read of it is adopted later."""
        if self._file is not None:
            self._file.close()
        if self._claim is not None:
            self._claim.release()
        if self._orphan is not None:
            self._orphan.leave()
        self._file = self._claim = self._orphan = None
        self._adopting = False
        self._adopt_at = self._clock() + ADOPT_EVERY
        self._rows.clear()
        self._skips.clear()
        self._gone.clear()
        self._dying = [(None, event, outcome) for _, event, outcome in self._dying]
        self._behind = self._cursor = self._bytes = self.dead_letters = 0

    def _save_what_is_in_memory(self) -> None:
        """After a failure: events that came into the buffer meanwhile, and are nowhere on disk."""
        assert self._file  # noqa: S101  opened just now
        with self._lock:
            events = [event for event in self._buffer.events() if id(event) not in self._rows]
        if not events:
            return
        now = self._now_ms()
        first = self._file.append([(now, True, event) for event in events])
        with self._lock:
            there = {id(event) for event in self._buffer.events()}
            for seq, event in enumerate(events, first):
                if id(event) in there:
                    self._rows[id(event)] = seq
                    self._bytes += len(event) + ROW_BYTES
                else:
                    self._gone.append(seq)
            last = first + len(events) - 1
            if self._behind:
                self._skips.append((first, last))
            else:
                self._cursor = last

    # --- in ---

    def _commit(self) -> None:
        """Write what has gathered, and hand it over."""
        while True:
            with self._lock:
                events = list(islice(self._entering, COMMIT_MOST))
                self._in_a_hurry = False
            if not events:
                return
            first = self._append(events)
            with self._lock:
                for _ in events:
                    self._entering.popleft()
                since, self._entered_at = self._entered_at, self._clock()
                self._entering_bytes = sum(map(len, self._entering)) if self._entering else 0
                self._through += len(events)
                if first is None:
                    self._buffer.admit(events, since)
                else:
                    self._admit_new(events, first, since)
                self._buffer.settled.ring()
                if len(self._entering) < COMMIT_MOST:
                    return

    def _append(self, events: Sequence[bytes]) -> int | None:
        if not self._is_ready():
            return None
        assert self._file  # noqa: S101  it is ready
        now = self._now_ms()
        try:
            return self._file.append([(now, type(event) is ChosenId, event) for event in events])
        except SpoolError as error:
            self._failed(error)
            return None

    def _admit_new(self, events: list[bytes], first: int, since: float) -> None:
        self._bytes += sum(map(len, events)) + ROW_BYTES * len(events)
        room = 0 if self._behind else self._room()
        into = events[:room]
        if into:
            self._rows.update(zip(map(id, into), range(first, first + len(into)), strict=True))
            self._cursor = first + len(into) - 1
            self._buffer.admit(into, since)
        if len(into) < len(events):
            if not self._behind:
                self._behind_since = since
            self._behind += len(events) - len(into)

    def _room(self) -> int:
        """How many events the buffer may take: half of memory is left to those that come in."""
        most = max(1, self._config.max_queue_size // 2)
        if self._buffer.memory_bytes >= self._config.max_queue_bytes // 2 and self._buffer.in_memory:
            return 0
        return max(0, most - self._buffer.in_memory)

    def _fetch(self) -> None:
        """Read back what is on disk alone, in order, as far as there is room."""
        while True:
            with self._lock:
                room = min(self._room(), COMMIT_MOST) if self._behind and self.failure is None else 0
                after = self._cursor
            if not room or self._file is None:
                return
            try:
                rows, damaged = self._file.read(after, room)
            except SpoolError as error:
                self._failed(error)
                return
            self._take_back(rows, damaged)
            if damaged:
                self._set_aside(damaged)

    def _take_back(self, rows: list[Row], damaged: list[int]) -> None:
        with self._lock:
            if not rows and not damaged:  # somebody else has removed them
                self._behind = 0
                return
            self._cursor = max([row.seq for row in rows] + damaged)
            rows = [row for row in rows if not self._is_skipped(row.seq)]
            while self._skips and self._skips[0][1] <= self._cursor:
                self._skips.popleft()
            for lot in self._lots(rows):
                events = [row.body for row in lot.rows]
                self._rows.update(zip(map(id, events), (row.seq for row in lot.rows), strict=True))
                self._buffer.admit(events, lot.since, known=lot.known)
                self._behind_since = lot.since
            self._behind = max(0, self._behind - len(rows))

    def _is_skipped(self, seq: int) -> bool:
        return any(low <= seq <= high for low, high in self._skips)

    def _lots(self, rows: Sequence[Row]) -> list[Lot]:
        lots: list[Lot] = []
        for row in rows:
            since = self._since(row)
            if not lots or lots[-1].known is not row.known or abs(lots[-1].since - since) > 1.0:
                lots.append(Lot(since, row.known))
            lots[-1].rows.append(row)
        return lots

    def _since(self, row: Row) -> float:
        """When a row was accepted, in monotonic seconds; too old to be sent only by the server's clock."""
        server = self._server_time()
        age = (self._wall() if server is None else server) - row.accepted_ms / 1000
        if server is None:
            age = min(age, DEDUPE_WINDOW - HOURLY)
        return self._clock() - max(0.0, age)

    def _set_aside(self, damaged: list[int]) -> None:
        """Rows of our own file that are not what was written: never sent, kept as they are, and told."""
        assert self._file  # noqa: S101  it was read from
        path, now = self._path, self._now_ms()
        letters = [
            DeadLetter(
                f"row {seq}", now, self._file.raw(seq), "corrupt", None, "its checksum is wrong", 0, now
            )
            for seq in damaged
        ]
        try:
            self._file.bury(letters, damaged)
        except SpoolError as failure:
            self._failed(failure)
            return
        with self._lock:
            count = len(damaged)
            error = EventDropped(None, "corrupt", 0, maybe_delivered=False)
            outcome = Dropped([letter.body for letter in letters], "corrupt", error)
            self._record(outcome)
            self._behind = max(0, self._behind - count)
            self.corrupt_rows += count
            self.dead_letters += count
        self._news.append(lambda: self._tell_corrupt(count, path, error))

    def _tell_corrupt(self, count: int, path: str, error: Exception) -> None:
        text = "%d events in %s are damaged on disk; they are not sent, and kept as dead letters"
        self._teller.complain("corrupt", text, count, path, level=logging.ERROR)
        self._teller.undelivered(error)

    # --- out ---

    def _forget(self) -> None:
        """Remove the rows of settled events; those that were not delivered become dead letters."""
        with self._lock:
            if self.failure is not None or self._file is None or not (self._gone or self._dying):
                return
            if not self._is_forgetting_due(self._clock()):
                return
            gone, self._gone = self._gone, []
            dying, self._dying = self._dying, []
        try:
            if gone:
                self._file.remove(gone)
                gone = []
            if dying:
                self._file.bury([self._letter(*one) for one in dying], [seq for seq, _, _ in dying if seq])
        except SpoolError as error:
            with self._lock:
                self._gone, self._dying = gone + self._gone, dying + self._dying
            self._failed(error)
            return
        with self._lock:
            self.dead_letters += len(dying)

    def _letter(self, seq: int | None, event: bytes, outcome: Rejected | Dropped) -> DeadLetter:
        assert self._file  # noqa: S101  it is being written to
        now, error = self._now_ms(), outcome.error
        row = self._file.read_one(seq) if seq else None
        reason = outcome.reason if isinstance(outcome, Dropped) else "rejected"
        return DeadLetter(
            event_id(event),
            row.accepted_ms if row else now,
            event,
            reason,
            error.status,
            error.message,
            error.attempts,
            now,
        )

    # --- files whose process is gone ---

    def _adopt(self) -> None:
        """Move one piece of one such file into ours."""
        if (
            self.failure is not None
            or self._buffer.closing
            or self._bytes > self._config.max_spool_bytes // 2
        ):
            return
        if self._orphan is None and not self._next_orphan():
            return
        if not self._is_ready():
            return
        assert self._orphan  # noqa: S101  found just now
        assert self._file  # noqa: S101  it is ready
        server = self._server_time()
        path = self._orphan.claim.path
        try:
            haul = self._orphan.move(
                self._file, self._now_ms(), None if server is None else int(server * 1000)
            )
        except SpoolError as error:
            self._failed(error)
            return
        self._take_over(haul)
        if haul.damaged:
            text = "%d events in %s are damaged; they are not sent"
            self._news.append(
                lambda: self._teller.complain("damaged", text, haul.damaged, path, level=logging.ERROR)
            )
        if haul.over:
            self._end_orphan()

    def _next_orphan(self) -> bool:
        """Open the next file whose process is gone, if it is time to look for them and there is one."""
        if not self._adopting:
            if self._clock() < self._adopt_at:
                return False
            self._adopting = True
            self.stranded.clear()
            try:
                self._folder.prepare()
            except SpoolError as error:
                self._failed(error)
                return False
            self._orphans = self._folder.orphans()
        for claim in self._orphans:
            orphan = self._opened(claim)
            if orphan is not None:
                self._orphan = orphan
                return True
        self._adopting = False
        self._adopt_at = self._clock() + ADOPT_EVERY * (1.0 + self._random() / 2)
        return False

    def _opened(self, claim: Claim) -> Orphan | None:
        """What was claimed, if it is ours to send; else it is left, or set aside, and told."""
        try:
            orphan = Orphan.open(claim)
            if is_ours(orphan.file.meta(), self._config.base_url):
                return orphan
            self.stranded[str(claim.path)] = orphan.file.pending()[0]
            whose = orphan.file.meta().get("base_url", "nobody")
            orphan.leave()
            text = "%s: its events are for %s; they are not sent from here"
            self._news.append(
                lambda: self._teller.complain(
                    f"stranded {claim.path}", text, claim.path, whose, level=logging.ERROR
                )
            )
        except Damaged as error:
            aside = claim.set_aside(self._now_ms())
            message = f"{error}; set aside as {aside.name}"
            self._news.append(lambda: self._teller.log(logging.ERROR, "%s", message))
        except SpoolError as error:
            if isinstance(error, NotOurs):
                self.stranded[str(claim.path)] = 0
            claim.release()
            message = f"{error}; it is left alone"
            self._news.append(
                lambda: self._teller.complain(f"left {claim.path}", "%s", message, level=logging.ERROR)
            )
        return None

    def _take_over(self, haul: Haul) -> None:
        with self._lock:
            if haul.moved and not self._behind:
                self._behind_since = self._since(haul.moved[0])
            self._behind += len(haul.moved)
            self._bytes += sum(len(row.body) + ROW_BYTES for row in haul.moved)
            self.recovered += len(haul.moved) + len(haul.expired)
            self.corrupt_rows += haul.damaged
            self.dead_letters += haul.dead + len(haul.expired)
            if not haul.expired:
                return
            error = EventDropped(None, PAST_WINDOW, 0, maybe_delivered=True)
            outcome = Dropped([row.body for row in haul.expired], PAST_WINDOW, error)
            self._record(outcome)
        self._news.append(lambda: self._teller.undelivered(error, outcome.events))

    def _end_orphan(self) -> None:
        assert self._orphan  # noqa: S101  all of it was moved just now
        path = self._orphan.claim.path
        aside = self._orphan.end(self._now_ms())
        self._orphan = None
        if aside:
            text = "%s: what could be read of it is sent; it is set aside as %s"
            self._news.append(lambda: self._teller.log(logging.ERROR, text, path, aside))

    # --- what an operator asks ---

    def _heed_requests(self) -> None:
        """Replay or purge dead letters of our file, as the command line has asked for."""
        now = self._clock()
        if not self.dead_letters or now < self._look_at or self._file is None or self.failure is not None:
            return
        self._look_at = now + REQUESTS_EVERY
        for request in asked(self._file.path):
            try:
                if request.what == "replay":
                    replayed = self._file.replay(request.numbers, self._now_ms())
                    with self._lock:
                        self._behind += len(replayed)
                        self._bytes += sum(len(row.body) + ROW_BYTES for row in replayed)
                        self.recovered += len(replayed)
                else:
                    self._file.purge(request.numbers)
                self.dead_letters = self._file.dead_count()
            except SpoolError as error:
                self._failed(error)
                return
            request.path.unlink(missing_ok=True)

    # --- the end ---

    def finish(self) -> None:
        """The buffer is closed: write what is left to be written, and let go of the file."""
        if self._owner == threading.get_ident() or not self._io.acquire(timeout=FINISH):
            return  # the disk hangs; the file is left as if the process had been killed
        try:
            if not self._finished:
                self._forget()
                self._finished = True
                self._close_files()
        finally:
            self._io.release()
        self._tell()
        self.work.ring()

    def hold(self, timeout: float) -> bool:
        """Let nobody use the file until ``let_go``; false where somebody does for longer than ``timeout``."""
        return self._owner != threading.get_ident() and self._io.acquire(timeout=timeout)

    def let_go(self) -> None:
        """After ``hold``."""
        self._io.release()

    def _close_files(self) -> None:
        if self._orphan is not None:
            self._orphan.leave()
        if self._file is None or self._claim is None:
            return
        try:
            is_empty = not self._file.last_seq() and not self._file.dead_count()
        except SpoolError:
            is_empty = False
        self._file.close()
        if is_empty:
            self._claim.unlink()
        else:
            self._claim.release()


# --- forks -------------------------------------------------------------------------------------------------

_spools: weakref.WeakSet[Spool] = weakref.WeakSet()
_held: list[Spool] = []


def _hold() -> None:
    """Let no commit be under way while this process forks: the child would find SQLite's locks taken."""
    until = time.monotonic() + FORK_WAIT
    for spool in list(_spools):
        if spool.pid == os.getpid() and spool.hold(max(0.0, until - time.monotonic())):
            _held.append(spool)  # noqa: PERF401  what is held is known at once, whatever interrupts this


def _let_go() -> None:
    """In the parent. A child never touches what it inherited, its lock neither."""
    while _held:
        spool = _held.pop()
        if spool.pid == os.getpid():
            spool.let_go()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
