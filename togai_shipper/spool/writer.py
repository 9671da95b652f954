"""The durable store: a thread that writes events to disk before they reach the buffer.

``put`` gathers events; every 10 ms one commit takes what has gathered, and hands it over to the buffer, or,
where memory is full or older events wait on disk, leaves it there, to be read back in order. A row is on disk
exactly as long as its event is not settled.

All that is mutable here is touched while holding the shipper's lock, but for the file, which belongs to who
holds ``_io``. Nothing waits for the disk while holding the shipper's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.buffer import PutAnswer
from togai_shipper._engine.callbacks import Callbacks
from togai_shipper._engine.lane_part import LANE_PART
from togai_shipper._engine.log import Log
from togai_shipper._engine.rounds import Rounds
from togai_shipper._engine.runtime import FOREVER, Runtime
from togai_shipper._engine.saying import Saying
from togai_shipper._engine.server_clock import ServerClock
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.store import Inlet
from togai_shipper._engine.threads import Threads
from togai_shipper._event import ChosenId, id_of
from togai_shipper._outcome import Dropped, Settled
from togai_shipper._plural import counted
from togai_shipper._process import forks
from togai_shipper._process.this_process import this_process

from .disk import Disk
from .errors import SpoolError, SpoolFull
from .file import SpoolFile
from .folder import Folder
from .gathering import Gathering
from .holdings import Holdings
from .journal import day_of
from .news import News
from .recovery import Recovery
from .rows import DeadLetter
from .shelf import Dying, Leaving
from .shrinking import Shrinking
from .tally import Tally
from .upkeep import Upkeep

# Seconds for which settled events gather until they are forgotten: where that is lost, they are sent once
# more, with the same ids.
FORGET_EVERY = 0.1
FORGET_MOST = 2000  # settled events that are forgotten at once without waiting longer
UNCOUNTED_MOST = 20_000  # delivered events that are in memory still where the disk fails
FINISH = 1.0  # seconds that close() waits for a commit under way, or as long as it has time, if that is more
FAILING = "the spool's writer failed (%s), no event is lost; it goes on"
HANGS = 1.0  # seconds after which, while closing, the disk is not waited for any longer


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
        saying: Saying,
        *,
        ended: Callable[[], None],
    ) -> None:
        self.process = this_process()
        self.place = directory
        self._config = config
        self._clock = clock = runtime.clock
        self._wall = runtime.wall
        self._lock = lock
        self._shutdown = shutdown
        self._inlet = inlet
        self._saying = saying
        self._ended = ended  # called when the writer has ended: it may have been the last thread of all
        self._rounds = Rounds(
            runtime,
            lock,
            shutdown,
            log,
            failing=FAILING,
            wait=self._wait,
            step=lambda: self.step(FOREVER),
        )
        self.bell = self._rounds.bell  # rung when there may be something to do
        self._io = threading.Lock()
        self._owner: int | None = None  # the thread that holds it
        self._writer = Threads(
            1,
            runtime,
            lock,
            cannot_start="no thread can be started for the spool's writer",
            work=self._work,
            failed=self._writer_failed,
            ended=self._writer_ended,
        )
        folder = Folder(directory)
        self._news = News(log, callbacks)
        self._gathering = Gathering(clock, config.max_spool_bytes)
        self._holdings = holdings = Holdings(config, shutdown, inlet)
        self.disk = disk = Disk(
            folder, config.base_url, config.max_spool_bytes, runtime, config.journal, saying
        )
        self.recovery = Recovery(
            config, runtime, lock, shutdown, inlet, holdings, folder, disk, self._news, server_clock
        )
        self._upkeep = Upkeep(
            clock,
            lock,
            inlet,
            self._gathering,
            holdings,
            disk,
            self.recovery,
            self._news,
            config.max_spool_bytes,
        )
        self._shrinking = Shrinking(clock)
        self._aside_most = config.max_spool_bytes // LANE_PART  # bytes for which the lane has no room
        self._settled_at = 0.0  # since when something may leave the shelf
        self._is_finished = False
        self._end_by = 0.0  # monotonic seconds until which close() waits for a commit under way
        forks.watch(self)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    # --- callers ---

    def put(self, event: bytes) -> PutAnswer:
        """Take one encoded event, or say why not; say, too, whether somebody has to be woken for it."""
        with self._lock:
            if self._shutdown.has_begun:
                return "closed"
            gathering = self._gathering
            size = gathering.size + len(event)
            if (
                not self._inlet.has_room(len(gathering.events), size)
                or self._holdings.shelf.bytes + size > self._config.max_spool_bytes
            ):
                return "full"
            if self._holdings.shelf.aside_bytes + size > self._aside_most and self._inlet.is_caused(event):
                return "full"
            wakes = gathering.add(event)
            if self._shutdown.has_begun_by_now() and gathering.take_back(event):
                return "closed"  # a signal handler interrupted us, and closed: as in Buffer.put
            return "wake" if wakes or not self._writer.alive else None

    def wake(self) -> None:
        """Wake the writer, or start it; where it cannot be started, let flushers do its work."""
        self.bell.ring()
        self._writer.start_if(lambda: not self._shutdown.has_begun)
        if not self._writer.alive:  # flushers, and who flushes or closes, do its work
            self._inlet.wake()

    def begin_flush(self, *, works: bool) -> None:
        """Look for what earlier processes have left; ``works``: this thread may do the writer's work."""
        self.wake()
        if works:
            self._try_to_work_here()

    def sync(self, timeout: float, *, waits: bool = True) -> bool:
        """Return whether all that was accepted so far is on disk; wait ``timeout`` seconds for it at most."""
        with self._lock:
            deadline = self._clock() + timeout
            target = self._gathering.hurry()
        self.wake()
        while True:
            self._try_to_work_here()
            with self._lock:
                rings = self._inlet.progress.rings
                left = deadline - self._clock()
                is_written = self._gathering.written >= target
                if is_written or self.disk.failure or left <= 0 or not waits:
                    return is_written and self.disk.failure is None
            self._inlet.progress.wait(rings, left)

    def stir(self) -> None:
        """Note soon in the file how this process stands."""
        self.bell.ring()

    # --- what the line asks ---

    @property
    def waiting(self) -> int:
        """Events accepted that are not in the buffer."""
        return self.coming + self._holdings.shelf.aside + self._holdings.in_left_files

    @property
    def coming(self) -> int:
        """How many of them come into it; those in a file that had to be left do when that is adopted."""
        return len(self._gathering) + self._holdings.shelf.behind

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which about the oldest of those was accepted."""
        times = [self._holdings.left_since(), self._holdings.waiting_since()]
        if self._gathering:
            times.append(self._gathering.since)
        return min((since for since in times if since is not None), default=None)

    def note_settled(self, outcome: Settled) -> None:
        """Forget these events, or keep them as dead letters: they have their outcome."""
        shelf = self._holdings.shelf
        is_first = not shelf.leaving
        if is_first:
            self._settled_at = self._clock()
        shelf.settled(outcome)
        if shelf.uncounted > UNCOUNTED_MOST:
            shelf.condense(day_of(self._now_ms()), kept_ids=self._config.journal == "ids")
        has_room = self._holdings.may_return()
        if is_first or self._is_forgetting_due(self._settled_at) or has_room:
            self.bell.ring()

    def take_back(self, left: Sequence[Batch]) -> list[Batch]:
        """Return what is not on disk, and so is lost; what a disk that hangs is writing may be either."""
        return self._holdings.shelf.kept(left) + self._gathering.give_up()

    def work_here(self) -> bool:
        """Do the writer's work on this thread, if there is no writer; return whether there was some."""
        if not self._writer.alive:
            with self._lock:
                is_due = bool(self._gathering) or self._wait() <= 0.0
            try:
                if is_due and self.step(0.0):
                    return True
            except Exception as error:  # a bug, no memory: each time, perhaps
                if not self._pass_by_the_disk(0.0):
                    raise
                self._rounds.complain(FAILING, error)
                return True
        return self._pass_by_the_disk(HANGS)

    def _try_to_work_here(self) -> None:
        """Do it on the thread of a caller, who has nothing to do with what is raised; it is told."""
        try:
            self.work_here()
        except Exception as error:  # a bug, no memory
            self._rounds.complain(FAILING, error)

    def _pass_by_the_disk(self, patience: float) -> bool:
        """While closing, let events be delivered that are not on disk; return whether there were some.

        ``patience``: seconds for which the disk had time for them. If it takes them after all, they stay in
        the file, and are sent once more, with the same ids.
        """
        with self._lock:
            is_stuck = self._gathering and self._clock() - self._gathering.since >= patience
            if not (self._shutdown.has_begun and is_stuck):
                return False
            for part in self._gathering.give_up():
                self._inlet.add(part.events, part.since, known=part.maybe_read)
        self._inlet.wake()
        return True

    # --- how it stands ---

    def complaint(self) -> str | None:
        """Why events are not as safe as they should be."""
        if self.disk.failure:
            return f"the spool does not work, events are kept in memory alone: {self.disk.failure}"
        if self.disk.wal.pinned:
            return self.disk.why_pinned()
        if self._writer.failure:
            return self._writer.failure
        if in_left_files := self._holdings.in_left_files:
            waiting = counted(in_left_files, "event waits", "events wait")
            return f"{waiting} in a file that failed, until it can be read"
        if complaint := self.recovery.adoption.complaint():
            return complaint
        return None

    def figures(self) -> dict[str, int | bool]:
        """The spool's part of ``Stats``."""
        holdings = self._holdings
        return {
            "spooled": len(holdings.shelf),
            "spool_bytes": holdings.shelf.bytes + self.disk.wal.pinned,
            "durable": self.disk.failure is None,  # before the first event, there is no file
            "recovered": holdings.recovered,
            "stranded": self.recovery.stranded,
            "corrupt_rows": holdings.corrupt_rows,
            "dead_letters": holdings.dead_letters,
        }

    # --- the thread ---

    def _writer_failed(self, error: BaseException) -> None:
        self._rounds.fail(
            "the spool's writer was ended by %s, no event is lost; another takes its place", error
        )

    def _writer_ended(self) -> None:
        """Start another one for what is left to be done; nobody may ever track an event again."""
        with self._lock:
            is_work_left = self._wait() < FOREVER
        if is_work_left:
            self.wake()
        self._inlet.progress.ring()
        self._ended()

    def _work(self) -> None:
        self._rounds.go_on(self._is_over)

    def _is_over(self) -> bool:
        with self._lock:
            pending = self._inlet.count + self.waiting
            return self._is_finished or (self._shutdown.has_begun and not pending)

    def _wait(self) -> float:
        """Seconds until there is something to do; called under the lock."""
        if self._is_finished:
            return FOREVER
        now, is_closing = self._clock(), self._shutdown.has_begun
        times = [self.recovery.due_at(now), FOREVER if is_closing else self._shrinking.due_at]
        if self._gathering:
            times.append(self._gathering.due_at(now, is_closing=is_closing))
        if self.disk.failure is not None:
            times.append(self.disk.retry_at)
        elif self.disk.wal.pinned:
            times.append(self.disk.wal.try_at)
        elif self._holdings.shelf.leaving:
            times.append(now if self._is_forgetting_due(now) else self._settled_at + FORGET_EVERY)
        if self.disk.file is not None and not is_closing:
            times.append(self._saying.due_at())
        return max(0.0, min(times) - now)

    def _is_forgetting_due(self, now: float) -> bool:
        return (
            self._holdings.shelf.leaving >= FORGET_MOST
            or now >= self._settled_at + FORGET_EVERY
            or self._shutdown.has_begun
        )

    def step(self, timeout: float) -> bool:
        """Do all that is due, once, on this thread; return false where another is at it for too long."""
        me = threading.get_ident()
        if self._owner == me:  # a signal handler, or __del__, in the middle of it
            return False
        if not self._io.acquire(timeout=-1 if timeout == FOREVER else timeout):
            return False
        self._owner = me
        try:
            if not self._is_finished:
                self._step()
        finally:
            self._owner = None
            self._io.release()
            self._tell()
        return True

    def _step(self) -> None:
        self._saying.stir()
        if self.disk.failure is not None or self.disk.wal.pinned:
            self._upkeep.ready()
        self._commit()
        for work in (
            self.disk.note_wall_clock,
            self._forget,
            self._upkeep.look,
            self._shrink,
            self.recovery.read_back,
            self.recovery.read_aside,
            lambda: self.recovery.adopt(self._upkeep.ready),
            self.recovery.merge,
            self.recovery.do_requests,
            self.disk.say,
        ):
            try:
                work()
            except SpoolError as error:
                self._upkeep.failed(error)

    def _tell(self) -> None:
        if self._news.tell():
            self._inlet.wake()  # a flusher makes the callbacks

    # --- in ---

    def _commit(self) -> None:
        """Write what has gathered, and hand it over."""
        while True:
            with self._lock:
                events = self._gathering.begin_commit()
            if not events:
                return
            first, is_perhaps_there = self._append(events)
            with self._lock:
                since = self._gathering.end_commit(len(events))
                if since is None:
                    return
                into = events
                if first is not None:
                    shelf = self._holdings.shelf
                    room = self._holdings.room()
                    coming_in = events[: 0 if shelf.behind else room]
                    over = self._inlet.over_lane(coming_in)
                    self._inlet.note_set_aside(coming_in, over)
                    into = shelf.written(events, first, room, since, over)
                if into:
                    self._inlet.add(into, since, known=is_perhaps_there)
                self._inlet.progress.ring()
                is_last = not self._gathering.is_a_commits_worth
            if into:
                self._inlet.wake()
            if is_last:
                return

    def _append(self, events: Sequence[bytes]) -> tuple[int | None, bool]:
        """Write events; return the first one's row, or ``None`` where the disk does not work.

        And whether they may be in a file all the same, that was left: the disk has failed as it wrote.
        """
        file = self._upkeep.ready()
        if file is None:
            return None, False
        begun = self._clock()
        now = file.clock.time(begun)
        rows = [(now, type(event) is ChosenId, event) for event in events]
        try:
            first = self._write(file, rows)
            self.disk.wal.note_commit(file, self._clock() - begun)
        except SpoolError as error:
            self._upkeep.failed(error)
            return None, not isinstance(error, SpoolFull)
        return first, False

    def _write(self, file: SpoolFile, rows: Sequence[tuple[int, bool, bytes]]) -> int:
        """Write rows; in the same commit, do what else is due: remove those delivered, say how we stand."""
        with self._lock:
            shelf = self._holdings.shelf
            is_due = shelf.leaving and self._is_forgetting_due(self._clock())
            leaving = shelf.take_delivered() if is_due else Leaving()
        if not leaving.gone:
            with self._lock:
                shelf.put_back(leaving)
            leaving = Leaving()
        report = self.disk.due_report()
        if not leaving.gone and report is None:
            return file.append(rows)
        try:
            first = file.exchange(rows, leaving.gone, self._tally(leaving), self._now_ms(), report)
        except BaseException:
            with self._lock:
                shelf.put_back(leaving)
            if report is not None:
                self.disk.report_failed()
            raise
        if leaving.gone:
            self._shrinking.note_removed()
        return first

    # --- out ---

    def _forget(self, *, is_last: bool = False) -> None:
        """Remove the rows of settled events; those that were not delivered become dead letters.

        Those of delivered ones are left to the next commit, where events have gathered for one.
        """
        with self._lock:
            file, shelf = self.disk.file if self.disk.works else None, self._holdings.shelf
            if file is None or not shelf.leaving or not self._is_forgetting_due(self._clock()):
                return
            if self._gathering and not shelf.dying and not is_last:
                return
            leaving = shelf.take_leaving()
        try:
            tally, now_ms = self._tally(leaving), self._now_ms()
            if leaving.gone or tally:
                file.settle(leaving.gone, tally, now_ms)
                self._shrinking.note_removed()
                leaving = Leaving(dying=leaving.dying)
            if leaving.dying:
                letters = [self._letter(file, one) for one in leaving.dying]
                file.bury(letters, [seq for seq, _, _ in leaving.dying if seq])
        except BaseException:  # whatever it is: they are on disk still
            with self._lock:
                shelf.put_back(leaving)
            raise
        with self._lock:
            self._holdings.count(dead_letters=len(leaving.dying))

    def _shrink(self) -> None:
        if not self._shutdown.has_begun:
            self._shrinking.go_on(self.disk.file if self.disk.works else None)

    def _tally(self, leaving: Leaving) -> Tally:
        """Count what was delivered: by the day on which it is noted, a tenth of a second later."""
        tally, today = Tally(self._config.journal), day_of(self._now_ms())
        for each in (leaving.delivered, leaving.rowless):
            tally.add(each.events, today, "delivered")
            for counted_before in each.counted:
                tally.merge(counted_before)
        return tally

    def _letter(self, file: SpoolFile, dying: Dying) -> DeadLetter:
        seq, event, outcome = dying
        now, error = self._now_ms(), outcome.error
        row = file.read_one(seq) if seq else None
        reason = outcome.reason if isinstance(outcome, Dropped) else "rejected"
        return DeadLetter(
            id_of(event),
            row.accepted_ms if row else now,
            event,
            reason,
            error.status,
            error.message,
            error.attempts,
            now,
        )

    # --- the end ---

    def save(self) -> None:
        """Write what is in memory still, if the disk lets us."""
        now, deadline = self._clock(), self._shutdown.deadline
        self._end_by = now + FINISH if deadline == FOREVER else max(now + FINISH, deadline)
        try:
            self.step(self._end_by - now)
        except Exception as error:  # a bug, no memory: close() gives up, and tells, what is not on disk
            self._rounds.complain("the spool could not be written at the end (%s)", error)

    def finish(self) -> None:
        """Forget what was settled last, and let go of the files: the buffer is closed."""
        if not self.hold(max(0.0, self._end_by - self._clock())):
            return  # the disk hangs; the file is left as if the process had been killed
        try:
            if not self._is_finished:
                self._forget_the_last()
                self._is_finished = True
                self.recovery.adoption.pause()
                self.disk.close()
        finally:
            self.let_go()
        self._tell()
        self.bell.ring()

    def _forget_the_last(self) -> None:
        try:
            self._forget(is_last=True)
        except Exception as error:  # what is on disk still is sent again, by who adopts it, with the same ids
            self._rounds.complain("the spool could not forget what was settled last (%s)", error)
        with suppress(SpoolError):
            self._upkeep.make_room()
        with suppress(Exception):  # a bug, no memory: the journal then says less than Togai
            self._count_the_last()

    def _count_the_last(self) -> None:
        """Count what was delivered while there was no file."""
        if self.disk.file is None:
            with self._lock:
                leaving = self._holdings.shelf.take_leaving()
            if tally := self._tally(leaving):
                self.disk.carry(tally)

    def hold(self, timeout: float) -> bool:
        """Let nobody use the file until ``let_go``; return false where somebody does for longer."""
        return self._owner != threading.get_ident() and self._io.acquire(timeout=timeout)

    def let_go(self) -> None:
        """After ``hold``, let others use the file again."""
        self._io.release()
