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
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.buffer import PutAnswer
from togai_shipper._engine.callbacks import Callbacks
from togai_shipper._engine.log import Log
from togai_shipper._engine.runtime import FOREVER, Runtime
from togai_shipper._engine.server_clock import ServerClock
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.store import Inlet
from togai_shipper._engine.threads import RESTART_AFTER, Threads
from togai_shipper._event import ChosenId
from togai_shipper._outcome import Dropped, Rejected, Settled
from togai_shipper._process import forks
from togai_shipper._wording import counted
from togai_shipper.exceptions import EventDropped

from .adoption import Adoption, Haul, event_id
from .disk import Disk
from .errors import SpoolError
from .file import SpoolFile
from .folder import Folder
from .requests import asked, heed
from .rows import CORRUPT, PAST_WINDOW, DeadLetter, Row
from .shelf import Leaving, Shelf

LINGER = 0.01  # seconds for which events gather before they are written
FORGET_EVERY = 0.1  # seconds for which settled events gather until they are forgotten: no loss costs money
COMMIT_MOST = 5000  # events in one commit, and rows read back at once
FORGET_MOST = 2000  # settled events that are forgotten at once without waiting longer
REQUESTS_EVERY = 1.0  # seconds between looks for what an operator asks, where there are dead letters
DAY = 86_400.0  # seconds of age that our own wall clock is believed
FINISH = 1.0  # seconds that close() waits at most for a commit under way


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
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        inlet: Inlet,
        log: Log,
        callbacks: Callbacks,
        server_clock: ServerClock,
    ) -> None:
        self.pid = os.getpid()
        self._config = config
        self._lock = lock
        self._shutdown = shutdown
        self._inlet = inlet
        self._log = log
        self._callbacks = callbacks
        self._clock = clock = runtime.clock
        self._wall = runtime.wall
        self.bell = runtime.bell()  # rung when there may be something to do
        self._server_clock = server_clock
        self._io = threading.Lock()
        self._owner: int | None = None  # the thread that holds it
        folder = Folder(directory)
        self._writer = Threads(
            1,
            runtime,
            lock,
            cannot_start="no thread can be started for the spool's writer",
            work=self._work,
            failed=self._writer_failed,
            ended=self._writer_ended,
        )
        # In memory, not yet on disk.
        self._entering: deque[bytes] = deque()
        self._entering_bytes = 0
        self._entered_at = 0.0
        self._writing = 0  # of them, those in the commit under way
        self._through = 0  # events that ever left _entering
        self._is_hurried = False  # somebody waits for the commit
        self._shelf = Shelf()  # what is on disk
        self._settled_at = 0.0  # since when something may leave it
        self._left: dict[str, int] = {}  # a file of ours that had to be left -> events in it alone
        self._disk = Disk(folder, config.base_url, clock, self._now_ms)
        self._adoption = Adoption(folder, config.base_url, clock, runtime.random, self._tell_operator)
        self._finished = False
        self._look_at = 0.0
        self.recovered = 0
        self.corrupt_rows = 0
        self.dead_letters = 0
        self._news: deque[Callable[[], object]] = deque()  # to be told once the file is let go
        forks.watch(self)

    # --- callers ---

    def put(self, event: bytes) -> PutAnswer:
        """Take one encoded event, or say why not; say, too, whether somebody has to be woken for it."""
        with self._lock:
            if self._shutdown.has_begun:
                return "closed"
            entering, config, size = self._entering, self._config, len(event)
            if (
                len(entering) + self._inlet.count >= config.max_queue_size
                or self._entering_bytes + self._inlet.size + size > config.max_queue_bytes
                or self._shelf.bytes + self._entering_bytes + size > config.max_spool_bytes
            ):
                return "full"
            is_first = not entering
            entering.append(event)
            if self._shutdown.has_begun_by_now() and entering and entering[-1] is event:
                entering.pop()  # a signal handler interrupted us, and closed: as in Buffer.put
                return "closed"
            self._entering_bytes += size
            if is_first:
                self._entered_at = self._clock()
            return "wake" if is_first or not self._writer.alive else None

    def wake(self) -> None:
        """Wake the writer, or start it; where it cannot be started, let flushers do its work."""
        self.bell.ring()
        self._writer.start_if(lambda: not self._shutdown.has_begun)
        if not self._writer.alive:  # flushers, and who flushes or closes, do its work
            self._inlet.wake()

    def begin_flush(self, *, works: bool) -> None:
        """Look for what earlier processes have left."""
        self.wake()
        if works:
            self.work_here()

    def sync(self, timeout: float, *, waits: bool = True) -> bool:
        """Whether all that was accepted so far is on disk; waits for that, ``timeout`` seconds at most."""
        with self._lock:
            deadline = self._clock() + timeout
            target = self._through + len(self._entering)
            self._is_hurried = True
        self.wake()
        while True:
            self.work_here()
            with self._lock:
                rings = self._inlet.progress.rings
                left = deadline - self._clock()
                if self._through >= target or self._disk.failure or left <= 0 or not waits:
                    return self._through >= target and self._disk.failure is None
            self._inlet.progress.wait(rings, left)

    # --- what the line asks ---

    @property
    def waiting(self) -> int:
        """Events accepted that are not in the buffer."""
        return self.coming + sum(self._left.values())

    @property
    def coming(self) -> int:
        """How many of them come into it; those in a file that had to be left do when that is adopted."""
        return len(self._entering) + self._shelf.behind

    def oldest_since(self) -> float | None:
        """When the oldest of those was accepted, about."""
        if self._shelf.behind:
            return self._shelf.behind_since
        return self._entered_at if self._entering else None

    def note_settled(self, outcome: Settled) -> None:
        """Forget these events, or keep them as dead letters: they have their outcome."""
        is_first = not self._shelf.leaving
        if is_first:
            self._settled_at = self._clock()
        self._shelf.settled(outcome)
        if is_first or self._is_forgetting_due(self._settled_at) or (self._shelf.behind and self._room()):
            self.bell.ring()

    def take_back(self, left: Sequence[Batch]) -> list[Batch]:
        """Return what is not on disk, and so is lost; what a disk that hangs is writing may be either."""
        lost = self._shelf.kept(left)
        entering = list(self._entering)
        self._entering.clear()
        self._entering_bytes = 0
        for events, known in ((entering[: self._writing], True), (entering[self._writing :], False)):
            if events:
                lost.append(Batch(events, sys.maxsize, self._entered_at, maybe_read=known))
        return lost

    def work_here(self) -> bool:
        """Do the writer's work on this thread, if there is no writer; return whether there was some."""
        if self._writer.alive:
            return False
        with self._lock:
            is_due = bool(self._entering) or self._wait() <= 0.0
        return is_due and self.step(0.0)

    # --- how it stands ---

    def complaint(self) -> str | None:
        """Why events are not as safe as they should be."""
        if self._disk.failure:
            return f"the spool does not work, events are kept in memory alone: {self._disk.failure}"
        if self._writer.failure:
            return self._writer.failure
        if self._left:
            waiting = counted(sum(self._left.values()), "event waits", "events wait")
            return f"{waiting} in a file that failed, until it can be read"
        if stranded := self._adoption.stranded:
            waiting = counted(sum(stranded.values()), "event on disk is", "events on disk are")
            return (
                f"{waiting} not ours to send, or so old that Togai has to "
                f"say first what time it is; in {min(stranded)}"
            )
        return None

    def figures(self) -> dict[str, int | bool]:
        """The spool's part of ``Stats``."""
        return {
            "spooled": len(self._shelf),
            "spool_bytes": self._shelf.bytes,
            "durable": self._disk.works,
            "recovered": self.recovered,
            "stranded": sum(self._adoption.stranded.values()),
            "corrupt_rows": self.corrupt_rows,
            "dead_letters": self.dead_letters,
        }

    # --- the thread ---

    def _writer_failed(self, error: BaseException) -> None:
        self._fail("the spool's writer was ended by %s, no event is lost; another takes its place", error)

    def _writer_ended(self) -> None:
        """Start another one for what is left to be done; nobody may ever track an event again."""
        with self._lock:
            is_work_left = self._wait() < FOREVER
        if is_work_left:
            self.wake()
        self._inlet.progress.ring()

    def _fail(self, text: str, error: BaseException) -> None:
        """Tell of the exception under way, and let a moment pass before it can come again."""
        self._log.complain("writer", text, type(error).__name__, level=logging.ERROR, exc_info=True)
        go_on_at = self._clock() + RESTART_AFTER
        while (left := go_on_at - self._clock()) > 0 and not self._shutdown.has_begun:
            self.bell.wait(self.bell.rings, left)

    def _work(self) -> None:
        while not self._is_over():
            try:
                self._work_once()
            except Exception as error:  # a bug, no memory: nothing is on disk, or all of it
                self._fail("the spool's writer failed (%s), no event is lost; it goes on", error)
                if self._shutdown.has_begun:  # it may fail each time: close() writes, or tells, what is left
                    return

    def _work_once(self) -> None:
        rings = self.bell.rings
        with self._lock:
            wait = self._wait()
        if wait > 0.0:
            self.bell.wait(rings, None if wait == FOREVER else wait)
        else:
            self.step(FOREVER)

    def _is_over(self) -> bool:
        with self._lock:
            pending = self._inlet.count + self.waiting
            return self._finished or (self._shutdown.has_begun and not pending)

    def _wait(self) -> float:
        """Seconds until there is something to do."""
        if self._finished:
            return FOREVER
        now = self._clock()
        times = [FOREVER]
        if self._entering:
            is_hurried = self._is_hurried or self._shutdown.has_begun
            full = is_hurried or len(self._entering) >= COMMIT_MOST
            times.append(now if full else self._entered_at + LINGER)
        if self._shelf.behind and self._room():
            times.append(now)
        if self._disk.failure is not None:
            times.append(self._disk.retry_at)
        else:
            if self._shelf.leaving:
                times.append(now if self._is_forgetting_due(now) else self._settled_at + FORGET_EVERY)
            if self._may_adopt():
                times.append(self._adoption.next_at)
            if self.dead_letters:
                times.append(self._look_at)
        return max(0.0, min(times) - now)

    def _is_forgetting_due(self, now: float) -> bool:
        return (
            self._shelf.leaving >= FORGET_MOST
            or now >= self._settled_at + FORGET_EVERY
            or self._shutdown.has_begun
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
        if not self._news:
            return
        # One may take its time, and commits do not wait. Two threads may be here: each takes another.
        with self._callbacks.deferring(), suppress(IndexError):
            while True:
                self._news.popleft()()
        if self._callbacks.is_any_deferred:
            self._inlet.wake()

    def _step(self) -> None:
        if self._disk.failure is not None:
            self._ready()
        self._commit()
        self._forget()
        self._fetch()
        self._adopt()
        self._heed_requests()

    # --- the file ---

    def _ready(self) -> SpoolFile | None:
        """The file, if it can be written; made if there is none, tried after a failure when that is due."""
        try:
            self._disk.look()
            if self._disk.works:
                return self._disk.file
            if not self._disk.may_try():
                return None
            self._make_room()
            file = self._disk.open()
            if self._disk.failure is not None:
                file.try_out()
            self._save_what_is_in_memory(file)
        except SpoolError as error:
            self._failed(error)
            return None
        if self._disk.mended():
            self._adoption.next_at = self._clock()  # what had to be left may be read again
            text = "the spool works again: %s"
            self._news.append(lambda: self._log.write(logging.INFO, text, self._disk.path))
        return file

    def _make_room(self) -> None:
        """Remove a file that has filled the disk, and could not even note that all in it is delivered."""
        file = self._disk.file
        with self._lock:
            delivered = self._shelf.delivered
            if file is None or self._disk.works or len(self._shelf):
                return
        if file.pending()[0] > delivered or file.dead_count():
            return
        self._disk.remove()
        with self._lock:
            self._shelf = self._shelf.replaced()

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _failed(self, error: SpoolError) -> None:
        """Go on from memory alone; what is on disk alone waits there for whoever adopts it."""
        with self._lock:
            left, path = self._shelf.behind, self._disk.path
            if self._disk.failed(error):
                self._adoption.pause()
                self._shelf = self._shelf.replaced()
                self.dead_letters = 0
                if left and os.path.exists(path):  # noqa: PTH110  Path's raises where it cannot be told
                    self._left[path] = left
                elif left:
                    self._lose(left, path)
                    left = 0
            else:
                left = 0
            self._inlet.progress.ring()
        text = "the spool does not work: %s; delivery goes on from memory, which dies with this process"
        if left:
            text += f"; {counted(left, 'event stays', 'events stay')} in {path} until it can be read"
        self._news.append(lambda: self._log.complain("spool", text, error, level=logging.ERROR))

    def _lose(self, count: int, path: str) -> None:
        """Events that were on disk alone are no more."""
        error = EventDropped(None, CORRUPT, 0, maybe_delivered=False)
        self._inlet.settle(Dropped([b""] * count, CORRUPT, error), waited_for=True)
        self._tell_operator(
            f"lost {path}",
            f"{counted(count, 'event is', 'events are')} lost with {path}, which is gone or cannot be read",
        )
        self._news.append(lambda: self._callbacks.undelivered(error))

    def _save_what_is_in_memory(self, file: SpoolFile) -> None:
        """After a failure: events that came into the buffer meanwhile, and are nowhere on disk."""
        with self._lock:
            events = [event for event in self._inlet.events() if event not in self._shelf]
        if not events:
            return
        now = self._now_ms()
        first = file.append([(now, True, event) for event in events])
        with self._lock:
            self._shelf.saved(events, first, there=self._inlet.events())

    # --- in ---

    def _commit(self) -> None:
        """Write what has gathered, and hand it over."""
        while True:
            with self._lock:
                events = list(islice(self._entering, COMMIT_MOST))
                self._writing = len(events)
                self._is_hurried = False
            if not events:
                return
            first = self._append(events)
            with self._lock:
                if (
                    not self._entering
                ):  # close() has given them up, since the disk hung; an adopter sends them
                    return
                for _ in events:
                    self._entering.popleft()
                since, self._entered_at = self._entered_at, self._clock()
                self._entering_bytes = sum(map(len, self._entering)) if self._entering else 0
                self._through += len(events)
                self._writing = 0
                into = events if first is None else self._shelf.written(events, first, self._room(), since)
                if into:
                    self._inlet.add(into, since)
                self._inlet.progress.ring()
                is_last = len(self._entering) < COMMIT_MOST
            if into:
                self._inlet.wake()
            if is_last:
                return

    def _append(self, events: Sequence[bytes]) -> int | None:
        file = self._ready()
        if file is None:
            return None
        now = self._now_ms()
        try:
            return file.append([(now, type(event) is ChosenId, event) for event in events])
        except SpoolError as error:
            self._failed(error)
            return None

    def _room(self) -> int:
        """How many events the buffer may take: half of memory is left to those that come in."""
        if self._shutdown.is_done:
            return 0
        most = max(1, self._config.max_queue_size // 2)
        if self._inlet.size >= self._config.max_queue_bytes // 2 and self._inlet.count:
            return 0
        return max(0, most - self._inlet.count)

    def _fetch(self) -> None:
        """Read back what is on disk alone, in order, as far as there is room."""
        while True:
            with self._lock:
                file, after = self._disk.file, self._shelf.cursor
                most = min(self._room(), COMMIT_MOST)
                if not self._shelf.behind:
                    return
            if not most or file is None:
                return
            try:
                rows, damaged = file.read(after, most)
                dropped = self._bury_damaged(file, damaged) if damaged else None
            except SpoolError as error:
                self._failed(error)
                return
            with self._lock:
                if dropped is not None:
                    self._inlet.settle(dropped, waited_for=True)
                    self.corrupt_rows += len(damaged)
                    self.dead_letters += len(damaged)
                into = self._shelf.returned(rows, damaged, dropped.events if dropped else ())
                for lot in self._lots(into):
                    self._inlet.add([row.body for row in lot.rows], lot.since, known=lot.known)
                    self._shelf.note_next(lot.since)
            if into:
                self._inlet.wake()

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
        server = self._server_clock.now()
        age = (self._wall() if server is None else server) - row.accepted_ms / 1000
        if server is None:
            age = min(age, DAY)
        return self._clock() - max(0.0, age)

    def _bury_damaged(self, file: SpoolFile, damaged: list[int]) -> Dropped:
        """Rows of our own file that are not what was written: never sent, kept as they are, and told."""
        path, now, count = self._disk.path, self._now_ms(), len(damaged)
        bodies = [file.raw(seq) for seq in damaged]
        text = "its checksum is wrong"
        file.bury(
            [
                DeadLetter(f"row {seq}", now, body, CORRUPT, None, text, 0, now)
                for seq, body in zip(damaged, bodies, strict=True)
            ],
            damaged,
        )
        error = EventDropped(None, CORRUPT, 0, maybe_delivered=False)
        self._news.append(lambda: self._callbacks.undelivered(error))
        self._tell_operator(
            f"corrupt {path}",
            f"{path}: {counted(count, 'event is', 'events are')} damaged on disk, kept with the dead letters",
        )
        return Dropped(bodies, CORRUPT, error)

    # --- out ---

    def _forget(self) -> None:
        """Remove the rows of settled events; those that were not delivered become dead letters."""
        with self._lock:
            file = self._disk.file if self._disk.works else None
            if file is None or not self._shelf.leaving or not self._is_forgetting_due(self._clock()):
                return
            leaving = self._shelf.take_leaving()
        try:
            if leaving.gone:
                file.remove(leaving.gone)
                leaving = Leaving(dying=leaving.dying)
            if leaving.dying:
                letters = [self._letter(file, *one) for one in leaving.dying]
                file.bury(letters, [seq for seq, _, _ in leaving.dying if seq])
        except SpoolError as error:
            with self._lock:
                self._shelf.put_back(leaving)
            self._failed(error)
            return
        with self._lock:
            self.dead_letters += len(leaving.dying)

    def _letter(
        self, file: SpoolFile, seq: int | None, event: bytes, outcome: Rejected | Dropped
    ) -> DeadLetter:
        now, error = self._now_ms(), outcome.error
        row = file.read_one(seq) if seq else None
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

    def _may_adopt(self) -> bool:
        return (
            self._disk.failure is None
            and not self._shutdown.has_begun
            and self._shelf.bytes <= self._config.max_spool_bytes // 2
            and self._shelf.behind <= self._config.batch_size  # our own events do not wait for all of it
        )

    def _adopt(self) -> None:
        """Move one piece of one such file into ours."""
        try:
            if not self._may_adopt() or not self._adoption.find(self._now_ms()):
                self._look_for_what_was_left()
                return
            file = self._ready()
            if file is None:
                return
            server = self._server_clock.now()
            server_ms = None if server is None else int(server * 1000)
            path = self._adoption.path
            haul = self._adoption.move(file, self._now_ms(), server_ms)
        except SpoolError as error:
            self._adoption.pause()  # what was read last is not moved: it is read again
            self._failed(error)
            return
        self._take_over(haul, path)

    def _look_for_what_was_left(self) -> None:
        """Another process may have adopted it: then its events are in that one's account, not in ours."""
        for path in [path for path in self._left if not os.path.exists(path)]:  # noqa: PTH110  likewise
            with self._lock:
                count = self._left.pop(path)
                self._inlet.lose(count)  # for who waits: they are not known to be delivered
            self._tell_operator(
                f"gone {path}", f"another process has taken over {counted(count, 'event')} in {path}"
            )

    def _join(self, rows: list[Row]) -> None:
        """Rows came to the end of our file: before what has not been written yet."""
        self._inlet.note_overtaking(len(rows), self._shelf.behind)
        self._shelf.joined(rows, self._since(rows[0]))

    def _take_over(self, haul: Haul, path: str) -> None:
        with self._lock:
            if haul.moved:
                self._join(haul.moved)
            came_back = min(self._left.get(path, 0), len(haul.moved) + len(haul.expired))
            if came_back:
                self._left[path] -= came_back
            self.recovered += len(haul.moved) + len(haul.expired) - came_back
            if haul.over and (missing := self._left.pop(path, 0)):
                self._lose(missing, path)
            self.corrupt_rows += haul.damaged
            self.dead_letters += haul.dead + len(haul.expired)
            if not haul.expired:
                return
            error = EventDropped(None, PAST_WINDOW, 0, maybe_delivered=True)
            outcome = Dropped([row.body for row in haul.expired], PAST_WINDOW, error)
            self._inlet.settle(outcome)
        self._news.append(lambda: self._callbacks.undelivered(error, outcome.events))

    def _tell_operator(self, kind: str, message: str) -> None:
        self._news.append(lambda: self._log.complain(kind, "%s", message, level=logging.ERROR))

    # --- what an operator asks ---

    def _heed_requests(self) -> None:
        """Replay or purge dead letters of our file, as the command line has asked for."""
        file, now = self._disk.file, self._clock()
        if not self.dead_letters or now < self._look_at or file is None or not self._disk.works:
            return
        self._look_at = now + REQUESTS_EVERY
        for request in asked(file.path):
            try:
                rows = heed(request, file, self._now_ms())
                dead_letters = file.dead_count()
            except SpoolError as error:
                self._failed(error)
                return
            with self._lock:
                if rows:
                    self._join(rows)
                self.recovered += len(rows)
                self.dead_letters = dead_letters

    # --- the end ---

    def save(self) -> None:
        """Write what is in memory still, if the disk lets us."""
        self.step(FINISH)

    def finish(self) -> None:
        """The buffer is closed: forget what was settled last, and let go of the files."""
        if not self.hold(FINISH):
            return  # the disk hangs; the file is left as if the process had been killed
        try:
            if not self._finished:
                self._forget()
                with suppress(SpoolError):
                    self._make_room()
                self._finished = True
                self._adoption.pause()
                self._disk.close()
        finally:
            self.let_go()
        self._tell()
        self.bell.ring()

    def hold(self, timeout: float) -> bool:
        """Let nobody use the file until ``let_go``; false where somebody does for longer than ``timeout``."""
        return self._owner != threading.get_ident() and self._io.acquire(timeout=timeout)

    def let_go(self) -> None:
        """After ``hold``."""
        self._io.release()
