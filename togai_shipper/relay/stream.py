"""The store of a drainer: what is in the stream is handed on, and removed once it has its outcome.

Nothing is put into it. One thread keeps the lease, reads entries as there is room, hands their events over to
the buffer, and settles each entry once all its events have their outcome. An entry is in the stream exactly
as long as it is not settled: whatever ends this process, the next drainer finds it there.

All that is mutable here is touched while holding the shipper's lock, but for the link and the keeper, which
belong to who holds ``_io``. Nothing waits for Redis while holding the shipper's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from togai_shipper._engine.batching import Batch
from togai_shipper._engine.rounds import Rounds
from togai_shipper._engine.runtime import FOREVER
from togai_shipper._engine.store import Surroundings
from togai_shipper._engine.threads import Threads
from togai_shipper._outcome import Settled
from togai_shipper._plural import counted
from togai_shipper.spool.news import News

from .answers import Done, Removed
from .entries import MOST_EVENTS
from .errors import Forbidden, Foreign, Newer, RelayError
from .figures import Figures
from .journal import counted as counted_by_journal
from .lease import Lease
from .lease_keeper import Keeper
from .link import Link
from .losses import number
from .reader import Reader
from .shelf import Shelf
from .view import Role, View

SETTLE_EVERY = 0.1  # seconds for which entries that are done gather
SETTLE_MOST = 200  # entries that are settled at once
AGAIN_EVERY = 60.0  # seconds until what had to stay is tried again
RETRY_AFTER = 1.0  # seconds, after Redis has failed us
FINISH = 1.0  # seconds that close() waits at most for what is asked of Redis just then
FAILING = 60.0  # seconds without an answer, after which that is a complaint
MAX_DEAD = 50_000  # dead letters that a relay keeps


class Stream:
    """One drainer's part of a relay, in one process."""

    def __init__(
        self, around: Surroundings, link: Link, keeper: Keeper, *, place: str, max_dead: int = MAX_DEAD
    ) -> None:
        self.place = place
        self._config = around.config
        self._clock = around.runtime.clock
        self._wall = around.runtime.wall
        self._lock = around.lock
        self._shutdown = around.shutdown
        self._inlet = around.inlet
        self._saying = around.saying
        self._ended = around.ended
        self._link = link
        self._keeper = keeper
        self._max_dead = max_dead
        self._io = threading.Lock()
        self._rounds = Rounds(
            around.runtime,
            around.lock,
            around.shutdown,
            around.log,
            failing="the relay's thread failed (%s), no event is lost; it goes on",
            wait=self._wait,
            step=lambda: self.step(FOREVER),
        )
        self.bell = self._rounds.bell
        self._thread = Threads(
            1,
            around.runtime,
            around.lock,
            cannot_start="no thread can be started for the relay",
            work=self._work,
            failed=self._thread_failed,
            ended=self._thread_ended,
        )
        self._news = News(around.log, around.callbacks)
        self._shelf = Shelf(self._now_ms)
        self._reader = Reader(
            around, link, keeper, self._shelf, self._news, room=self._room, settled=self.note_settled
        )
        self._figures = Figures(around, link, keeper, self._shelf, self._reader, self._news)
        self._was_held = False
        self._is_saying = False  # that it has said how it stands since it has the lease
        self._settled_at = self._again_at = self._retry_at = 0.0
        self._failing_since: float | None = None
        self._failure = ""  # why Redis could not be asked last
        self._is_refused = False
        self._left = 0  # events that were in memory at the end
        self._is_leaving = False
        self._is_finished = False

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    # --- callers ---

    def put(self, event: bytes) -> Literal["closed"]:  # noqa: ARG002  the seam's
        """Take nothing: what a drainer sends comes from its stream."""
        return "closed"

    def stir(self) -> None:
        """Note soon in the relay how this drainer stands."""
        self.bell.ring()

    def wake(self) -> None:
        """Wake the thread, or start it."""
        self.bell.ring()
        self._thread.start_if(lambda: not self._shutdown.has_begun)
        if not self._thread.alive:
            self._inlet.wake()

    def begin_flush(self, *, works: bool) -> None:
        """Look at the relay; ``works``: this thread may do that."""
        self.wake()
        if works:
            self.work_here()

    def sync(self, timeout: float, *, waits: bool = True) -> bool:  # noqa: ARG002  the seam's
        """Whatever is here is in Redis, too."""
        return True

    # --- what the line asks ---

    @property
    def waiting(self) -> int:
        """Events that were in memory at the end, and are in the relay still."""
        return self._left

    @property
    def coming(self) -> int:
        """What is in the stream belongs to no one until it is read."""
        return 0

    def oldest_since(self) -> None:
        """Nothing waits here."""

    def note_settled(self, outcome: Settled) -> None:
        """Note that these events have their outcome: their entries may be done."""
        was_done = self._shelf.done
        self._shelf.settled(outcome)
        if not was_done and self._shelf.done:
            self._settled_at = self._clock()
            self.bell.ring()

    def take_back(self, left: Sequence[Batch]) -> list[Batch]:
        """Keep all of it: it is in the stream."""
        self._left = sum(map(len, left))
        return []

    def work_here(self) -> bool:
        """Do the thread's work here, if there is no thread; return whether there was some."""
        if self._thread.alive:
            return False
        with self._lock:
            is_due = self._wait() <= 0.0
        return is_due and self.step(0.0)

    # --- how it stands ---

    def complaint(self) -> str | None:
        """Why events of the relay are not sent as they should be."""
        passed = self._shelf.passed
        if self._is_refused or self._is_failing_for_long():
            return self._failure
        if self._thread.failure:
            return self._thread.failure
        if self._shelf.full:
            return f"the relay has {self._max_dead:,} dead letters, and no room for more; look at them, purge"
        if passed.foreign:
            entries = counted(passed.foreign, "entry", "entries")
            return f"{entries} of the relay cannot be read by this version"
        if passed.kept:
            is_known = self._reader.is_time_known
            return (
                f"{counted(passed.kept_events, 'event')} of the relay may have been sent before, and the"
                " clocks do not tell how long ago: kept, not sent, until "
                + ("ours and Togai's agree" if is_known else "Togai says what time it is")
            )
        return None

    def _is_failing_for_long(self) -> bool:
        return self._failing_since is not None and self._clock() - self._failing_since >= FAILING

    def figures(self) -> dict[str, int]:
        """The relay's part of ``Stats``."""
        passed = self._shelf.passed
        return {
            "recovered": self._reader.recovered,
            "stranded": passed.foreign + passed.kept_events,
            "dead_letters": number(self._figures.facts, "dead"),
        }

    def view(self) -> View:
        """Return how all stands."""
        with self._lock:
            lease = self._keeper.lease
            role: Role = "stands by" if lease.is_another_s else "waits"
            return View(
                role="leads" if lease.is_held else role,
                lease=lease,
                facts=self._figures.facts,
                length=self._figures.length,
                passed=self._shelf.passed,
                full=self._shelf.full,
                lost=self._figures.lost,
                is_empty=self._is_empty(lease),
                failure=self._failure,
                is_refused=self._is_refused,
            )

    def _is_empty(self, lease: Lease) -> bool:
        if lease.is_held:
            is_known = not (self._reader.is_time_coming or self._figures.is_counting)
            return is_known and self._reader.is_all_read and len(self._shelf) == self._shelf.full
        facts = self._figures.facts
        return lease.is_another_s and bool(facts) and not number(facts, "events")

    # --- the thread ---

    def _thread_failed(self, error: BaseException) -> None:
        self._rounds.fail(
            "the relay's thread was ended by %s, no event is lost; another takes its place", error
        )

    def _thread_ended(self) -> None:
        if not self._is_finished:
            self.wake()
        self._inlet.progress.ring()
        self._ended()

    def _work(self) -> None:
        self._rounds.go_on(lambda: self._is_finished)

    def _wait(self) -> float:
        """Seconds until there is something to do; called under the lock."""
        if self._is_finished:
            return FOREVER
        now, lease = self._clock(), self._keeper.lease
        times = [lease.due_at(), max(self._retry_at, self._figures.due_at)]
        if lease.is_held:
            if self._shelf.done:
                times.append(max(self._retry_at, self._settle_due_at()))
            if self._room():
                times.append(max(self._retry_at, self._reader.due_at))
            times.append(max(self._retry_at, self._saying.due_at()))
        return max(0.0, min(times) - now)

    def _settle_due_at(self) -> float:
        is_due = self._shelf.done >= SETTLE_MOST or self._shutdown.has_begun
        return 0.0 if is_due else self._settled_at + SETTLE_EVERY

    def _room(self) -> int:
        """How many events may be read now: none, where a whole entry might not fit.

        What is rejected leaves room for others, but there are never more than twice as many as there may be.
        """
        config, inlet = self._config, self._inlet
        is_crammed = inlet.count >= 2 * config.max_queue_size or inlet.size >= config.max_queue_bytes
        if self._is_leaving or self._shutdown.has_begun or is_crammed:
            return 0
        count, size = inlet.room_taken
        room = config.max_queue_size - count - self._shelf.letters
        is_full = size >= config.max_queue_bytes // 2 or room < MOST_EVENTS
        if is_full and inlet.seeks_unlike:
            return MOST_EVENTS
        return 0 if is_full else room

    def step(self, timeout: float) -> bool:
        """Do all that is due, once, on this thread; return false where another is at it for too long."""
        if not self._hold(timeout):
            return False
        try:
            if not self._is_finished:  # pragma: no branch  it was finished while we waited
                self._step()
        finally:
            self._io.release()
            if self._news.tell():
                self._inlet.wake()
        return True

    def _hold(self, timeout: float) -> bool:
        return self._io.acquire(timeout=-1 if timeout == FOREVER else timeout)

    def _step(self) -> None:
        try:
            self._keeper.step()
            self._heed_lease()
            if self._clock() < self._retry_at:
                return
            self._keeper.tell_key()
            self._figures.look()
            self._try_again()
            if self._keeper.lease.is_held:
                self._settle()
                self._reader.heed_time()
                self._reader.read()
                self._say()
        except RelayError as error:
            self._failed(error)
        else:
            self._failing_since, self._failure, self._is_refused = None, "", False

    def _say(self) -> None:
        """Note in the relay how this drainer stands, where that is due: it drains, whether it can or not."""
        self._saying.stir()
        text = self._saying.text() if self._is_saying else self._saying.begin()
        self._is_saying = True
        if text is not None:
            try:
                self._link.note_report(self._keeper.lease.owner, text)
            except RelayError:  # a Redis that is full, for one, which is drained all the same
                self._saying.failed()

    def _failed(self, error: RelayError) -> None:
        now = self._clock()
        self._retry_at = now + RETRY_AFTER
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._failure, self._is_refused = str(error), _is_refusal(error)
        say = self._news.error if self._is_refused else self._news.warning
        why = "%s; nothing is sent meanwhile, and all is kept"
        say(f"relay: {type(error).__name__}", why, self._failure)

    # --- the lease ---

    def _heed_lease(self) -> None:
        """Begin at the start where it has just become ours; forget all where it is another's."""
        lease = self._keeper.lease
        with self._lock:
            has_come = lease.is_held and not self._was_held
            self._was_held = lease.is_held
            if has_come:
                self._is_saying = False
                self._reader.rewind()
                self._figures.look_at_once()
            is_forgotten = lease.is_another_s and bool(len(self._shelf))
            count = self._inlet.count
            if is_forgotten:
                self._shelf.forget()
                self._inlet.withdraw()
        if has_come:
            self._news.info("this drainer leads from now on: %s", lease.owner)
        if is_forgotten:
            self._news.info(
                "%s leads from now on; %s in memory left to it", lease.holder, counted(count, "event")
            )
            self._inlet.progress.ring()

    def tell_key(self) -> None:
        """Tell Redis at once what is new about the key; on any thread."""
        if self._keeper.trial.word is None or not self._hold(FINISH):
            return
        try:
            self._keeper.tell_key()
        except RelayError as error:
            self._failed(error)
        finally:
            self._io.release()

    def _try_again(self) -> None:
        """Let what had to stay in the stream be looked at again, now and then."""
        now = self._clock()
        if now < self._again_at:
            return
        self._again_at = now + AGAIN_EVERY
        with self._lock:
            self._shelf.try_full_again()
            if self._shelf.passed.kept:
                self._reader.rewind()

    # --- out ---

    def _settle(self) -> None:
        """Remove the entries that are done, and keep their dead letters."""
        while True:
            with self._lock:
                if self._clock() < self._settle_due_at():
                    return
                done = self._shelf.next_done(SETTLE_MOST)
            doubt = self._figures.doubt
            if not done and not doubt:
                return
            removed = self._settled(done, doubt)
            if removed.lost_to is not None:
                self._keeper.note_lost(removed.lost_to)
                self._heed_lease()
                return
            with self._lock:
                lost = self._shelf.removed(done, removed.removed, removed.kept)
                self._figures.note_left(done, removed)
            self._figures.note_written()
            if lost:
                self._figures.note_uncounted(lost)
            if removed.not_counted:
                self._news.warning(
                    "no journal",
                    "the relay's journal does not count what is delivered: %s",
                    removed.not_counted,
                )
            if removed.kept:
                self._news.error(
                    "too many dead letters",
                    "the relay has %d dead letters, and no room for more: %s of the stream cannot leave it;"
                    " look at them (togai-shipper spool show), replay or purge them",
                    self._max_dead,
                    counted(len(removed.kept), "entry", "entries"),
                )

    def _settled(self, done: Sequence[Done], doubt: str) -> Removed:
        counts = counted_by_journal((each.delivered for each in done), "delivered", self._now_ms(), doubt)
        try:
            return self._link.settle(self._keeper.owner, done, self._max_dead, counts)
        except RelayError:
            with self._lock:
                self._shelf.note_unsure(done)
            raise

    # --- the end ---

    def leave(self) -> None:
        """Read no more, and leave to the next drainer all that is not on its way to Togai."""
        with self._lock:
            self._is_leaving = True
            self._inlet.withdraw(on_its_way=False)

    def save(self) -> None:
        """Settle what can be, since the end is near."""
        with suppress(Exception):  # all of it is in the stream
            self.step(FINISH)

    def finish(self) -> None:
        """Settle what is done, let another one lead, and close the connection: nothing is sent any more."""
        if not self._hold(FINISH):
            self._is_finished = True  # Redis hangs: the lease is taken over as if we had been killed
            return
        try:
            self._is_finished = True
            with suppress(Exception):  # what is not settled is sent again, with the same ids
                self._settle()
                self._figures.look_at_once()
                self._figures.look()
                self._figures.look()  # again only where the first one has corrected something
            with suppress(Exception):  # it is taken over ten seconds later
                self._keeper.release()
            self._link.close()
        finally:
            self._io.release()
        self._news.tell()
        self.bell.ring()


def _is_refusal(error: RelayError) -> bool:
    return isinstance(error, (Foreign, Forbidden, Newer))
