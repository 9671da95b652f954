"""Reads the stream of a relay on from where it has stopped, and hands over what may be sent.

The link is asked without the shipper's lock; all else is touched while holding it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from togai_shipper._engine.store import Surroundings
from togai_shipper._outcome import Dropped, Settled
from togai_shipper._plural import counted
from togai_shipper.exceptions import EventDropped
from togai_shipper.spool.news import News
from togai_shipper.spool.rows import PAST_WINDOW

from .entries import Entry, NotOurs, claimed_by, parted
from .errors import Forbidden
from .lease_keeper import Keeper
from .link import Link
from .reading import Judge, Judged, ours
from .shelf import Shelf, Waiting
from .strangers import Strangers

READ_EVERY = 0.25  # seconds between looks for new entries: those that come in between go together
READ_MOST = 2000  # events that are looked at in one go, about: the lease is kept in between
ENTRIES_MOST = 100  # likewise, entries


class Reader:
    """Reads for one drainer.

    ``room`` is asked how many events may be handed over now; ``settled`` is told of outcomes.
    """

    def __init__(
        self,
        around: Surroundings,
        link: Link,
        keeper: Keeper,
        shelf: Shelf,
        news: News,
        *,
        room: Callable[[], int],
        settled: Callable[[Settled], None],
    ) -> None:
        self._clock = around.runtime.clock
        self._lock = around.lock
        self._inlet = around.inlet
        self._link = link
        self._keeper = keeper
        self._shelf = shelf
        self._news = news
        self._room = room
        self._settled = settled
        self._server_clock = around.server_clock
        self._is_time_told = False  # and what was kept, since nobody knew it, is judged by it
        self._judge = Judge(around.runtime.clock, around.runtime.wall, around.server_clock)
        self._strangers = Strangers()
        self._may_part = True  # until Redis says that this user may not
        self._count = 10  # entries to be read next
        self._parted = 0  # of those that were read last, entries that were parted
        self.due_at = 0.0  # monotonic seconds before which nothing is read
        self.is_all_read = False  # nothing stands behind the cursor
        self.recovered = 0  # events that were taken out of the stream, ever

    def rewind(self) -> None:
        """Begin at the start again. Called under the lock."""
        self._shelf.rewind()
        self.is_all_read = False
        self.due_at = 0.0

    @property
    def is_time_news(self) -> bool:
        """Whether Togai has said what time it is, and what was kept without that is to be judged anew."""
        return not self._is_time_told and self.is_time_known

    @property
    def is_time_known(self) -> bool:
        """Whether Togai has said what time it is."""
        return self._server_clock.now() is not None

    @property
    def is_time_coming(self) -> bool:
        """Whether what was kept may be judged anew soon, since somebody asks Togai what time it is."""
        return self.is_time_news or (bool(self._shelf.passed.kept) and self._server_clock.is_awaited)

    def heed_time(self) -> None:
        """Judge anew what was kept, once Togai has said what time it is."""
        with self._lock:
            if self.is_time_news:
                self._is_time_told = True
                if self._shelf.passed.kept:
                    self.rewind()

    def read(self) -> None:
        """Read on from the cursor, as there is room, and hand over what is found; and what has waited.

        So much is looked at in one go, whatever becomes of it: the lease is kept in between.
        """
        looked = self._read_waiting()
        while looked < READ_MOST and (found := self._read_some()) is not None:
            looked += found
        if looked:  # a flusher asks what time it is, too, where some are kept
            self._inlet.wake()

    def _read_some(self) -> int | None:
        """Read some entries; return how many events were looked at, ``None`` where it is enough for now."""
        with self._lock:
            room, after, now = self._room(), self._shelf.cursor, self._clock()
            if not room or now < self.due_at:
                return None
        length = self._link.length()
        found = self._link.read(after, self._count)
        if found:
            self.is_all_read = False
        events = looked = self._parted = 0
        for entry_id, fields in found:
            looked += max(1, claimed_by(fields)[0])
            taken = self._take(entry_id, fields, room - events)
            if taken is None:
                self.due_at = now + READ_EVERY
                break
            events += taken
        else:
            self._note_read(len(found), length, now)
        if found:
            self._count = max(1, min(ENTRIES_MOST, READ_MOST * len(found) // max(1, looked)))
        return looked

    def _note_read(self, count: int, length: int, now: float) -> None:
        """Note that all that was found is read; see whether something stands before the cursor, unread."""
        with self._lock:
            if count >= self._count:
                return  # there may be more: read on at once
            self.due_at = now + READ_EVERY
            length -= self._parted  # before these were, and others stand behind
            entries = self._shelf.stock.entries
            if length > entries or length < entries - count:
                self.rewind()
                return
            self._shelf.note_all_read(now)
            self.is_all_read = not count
            foreign = self._shelf.passed.foreign
        if self._strangers.is_news(foreign, now):
            stay = counted(foreign, "entry", "entries")
            self._news.error("not ours", "%s of the relay that cannot be read: not sent, they stay", stay)

    def _take(self, entry_id: str, fields: Mapping[bytes, bytes], room: int) -> int | None:
        """Take one entry, whatever is in it; return how many events it has, ``None`` where it has to wait."""
        place = entry_id, fields.get(b"k", b"")
        with self._lock:
            if self._shelf.read_again(place):
                return 0
        try:
            entry = ours(entry_id, fields)
        except NotOurs as error:
            why = str(error)  # alone: the error has all that was unpacked
            with self._lock:
                self._shelf.pass_over(entry_id, *claimed_by(fields))
            if self._strangers.is_new(why, self._clock()):
                text = "entry %s of the relay is not sent, and stays: %s"
                self._news.error(f"not ours: {why}", text, entry_id, why)
            return 0
        return self._take_ours(entry, room)

    def _take_ours(self, entry: Entry, room: int, waiting: Waiting | None = None) -> int | None:
        """As ``_take``; ``waiting``: it was read before, and has waited in the stream since."""
        judged = self._judge.judge(entry, is_reply_expected=self._inlet.count > 0)
        if len(entry.events) > room or judged.decision == "wait":
            return None
        over = self._hand_in(judged, is_new=waiting is None)
        if not over:
            return len(entry.events)
        if len(over) == len(entry.events):
            return None if waiting else 0
        return self._part(entry, over, waiting)

    def _part(self, entry: Entry, over: Collection[int], waiting: Waiting | None) -> int | None:
        """Let events for which there is no room wait in an entry of their own; the others are read again."""
        try:
            if not self._link.part(self._keeper.owner, entry, parted(entry, over)):
                return None  # the lease is another's, which the keeper will see
        except Forbidden:
            self._may_part = False
            self._news.warning(
                "may not part",
                "this user of Redis may not write to the relay's stream (XADD): where Togai rejects every"
                " event of one account, those of others may wait for them",
            )
            return None
        self._parted += 1
        if waiting is not None:
            with self._lock:
                self._shelf.note_parted(waiting)
        return 0

    def _read_waiting(self) -> int:
        """Hand over what has waited for room beside others of its cause; return how many were looked at."""
        looked = 0
        while looked < READ_MOST:
            with self._lock:
                if self._shelf.forget_more_waiting():
                    self.rewind()
                room, waiting = self._room(), self._shelf.next_waiting()
                if waiting is None or self._inlet.lane_room(room) < waiting.count:
                    break
            looked += waiting.count
            entry_id, mark = waiting.place
            fields = self._link.entry(entry_id)
            if fields is None or fields.get(b"k") != mark:
                with self._lock:
                    self._shelf.note_gone(waiting)
                continue
            if self._take_ours(ours(entry_id, fields), room, waiting) is None:
                break
        return looked

    def _hand_in(self, judged: Judged, *, is_new: bool) -> Collection[int]:
        """Hand over an entry, or do what becomes of it; return the identities of events without room.

        Where there are some, nothing was done, but that an entry waits of which no event has room.
        """
        entry, count = judged.entry, len(judged.entry.events)
        error = EventDropped(None, PAST_WINDOW, 0, maybe_delivered=True)
        outcome = Dropped(entry.events, PAST_WINDOW, error)
        with self._lock:
            over = self._over(judged)
            if 0 < len(over) < count:
                return over
            if is_new:
                self._shelf.read_up_to(entry.id, count, entry.size)
            if over and is_new:
                self._shelf.leave(entry)
            if over:
                return over
            if judged.decision == "keep":
                self._shelf.keep(entry)
                self._server_clock.want()
                return ()
            self._shelf.take(entry)
            self.recovered += count
            if judged.decision == "send":
                self._inlet.add(entry.events, self._clock() - judged.seconds, known=True)
                return ()
            self._settled(outcome)
            self._inlet.settle(outcome)
        self._news.error(
            "expired",
            "%s of the relay may be older than Togai's memory of ids: not sent, kept with the dead letters",
            counted(count, "event"),
        )
        self._news.undelivered(error, outcome.events)
        return ()

    def _over(self, judged: Judged) -> Collection[int]:
        """The identities of the events that are of a known cause, and for which the lane has no room."""
        if judged.decision != "send" or not self._may_part:
            return ()
        over = self._inlet.over_lane(judged.entry.events)
        if self._inlet.seeks_unlike and len(over) < len(judged.entry.events):
            return ()  # what is looked for is in it
        if over:
            self._inlet.over_lane(())  # the others do not come in now
        return over
