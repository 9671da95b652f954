"""What the relay says of itself, at each look: whether it is another one by now, or something of it is gone.

All that is mutable here is touched while holding the shipper's lock, but for the census, ``doubt`` and
``due_at``, which belong to who may ask Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from togai_shipper._engine.store import Surroundings
from togai_shipper._plural import counted
from togai_shipper.spool.news import News

from .answers import Done, Removed, Server
from .census import Census
from .lease_keeper import Keeper
from .link import Link
from .losses import Sight, another_server, loss, missing, number
from .reader import Reader
from .shelf import Shelf

LOOK_EVERY = 2.0  # seconds
AGAIN = "; producers hand over again what they still hold"


class Figures:
    """The relay's figures, as they were seen last, and what Redis has lost since they were seen first."""

    def __init__(
        self, around: Surroundings, link: Link, keeper: Keeper, shelf: Shelf, reader: Reader, news: News
    ) -> None:
        self._clock = around.runtime.clock
        self._lock = around.lock
        self._link = link
        self._keeper = keeper
        self._shelf = shelf
        self._reader = reader
        self._news = news
        self.facts: Mapping[str, str] = {}
        self.length = 0  # entries of the stream, ours or not
        self.lost = 0  # events, at least
        self.doubt = ""  # what the journal is to say of that
        self.due_at = 0.0
        self._server: Server | None = None
        self._sight = Sight()
        self._spared = 0  # events that had their outcome, and whose entries were gone, since the last loss
        self._census: Census | None = None  # under way

    @property
    def is_counting(self) -> bool:
        """Whether it is not known yet what another Redis lacks."""
        return self._census is not None

    def look_at_once(self) -> None:
        """Be due."""
        self.due_at = 0.0

    def note_left(self, done: Sequence[Done], removed: Removed) -> None:
        """Note what has its outcome, so that it is not told as lost. Called under the lock."""
        left, kept = {*removed.removed}, {*removed.kept}
        self._sight = self._sight.left(sum(each.count for each in done if each.id in left))
        self._spared += sum(each.count for each in done if each.id not in left | kept)

    def note_written(self) -> None:
        """Note that the journal says so."""
        self.doubt = ""

    def note_uncounted(self, events: int) -> None:
        """Note that so many were delivered of which the journal knows nothing."""
        self.doubt = f"Redis had lost {counted(events, 'event')} before their delivery could be counted"

    def look(self) -> None:
        """Look, if that is due. Raises ``RelayError``."""
        now = self._clock()
        if now < self.due_at:
            return
        facts, length, server = self._link.facts(), self._link.length(), self._link.server()
        sight = Sight.of(facts)
        with self._lock:
            gone = loss(self._sight, sight, self._shelf.events + self._spared)
            is_another_server = server != self._server
            is_another = is_another_server or sight.epoch != self._sight.epoch
            is_taken_over = self._is_taken_over(sight, server) and not gone
            self._sight, self._server = sight.after(self._sight), server
            self.facts, self.length = facts, length
            if is_another or gone:
                self._reader.rewind()
            if gone:
                self._sight, self._spared = sight, 0
                self.lost += gone.at_least
            if is_taken_over:
                self._census = self._shelf.look_for_all()
        self._tell_census()
        if gone:  # each time: no other line tells how many these were
            self.doubt = gone.line()
            self._news.loss("%s%s", gone.line(), AGAIN if is_another_server else "")
        is_corrected = not gone and self._recount(facts, length)
        self._keeper.check(facts)
        self.due_at = now if is_corrected else now + LOOK_EVERY  # at once, where there is news

    def _is_taken_over(self, sight: Sight, server: Server | None) -> bool:
        """Whether another server has the same relay, with something in it that may be lost."""
        is_another = None not in (server, self._server) and server != self._server
        return is_another and bool(sight.came) and sight.epoch == self._sight.epoch

    def _tell_census(self) -> None:
        """Tell what another server has lost, as far as that is known: a standby knows nothing of it."""
        lease, census = self._keeper.lease, self._census
        if census is None or not (census.is_over(lease.renewed) or not lease.is_held):
            return
        self._census = None
        if not lease.is_held or not census.missing:
            self._news.warning("another Redis", "%s", another_server(census.known if lease.is_held else 0))
            return
        with self._lock:
            self.lost += census.missing
        self.doubt = missing(census.missing).line()
        self._news.loss("%s%s", self.doubt, AGAIN)

    def _recount(self, facts: Mapping[str, str], length: int) -> bool:
        """Correct what the relay says that it holds, where all of it was read: others may write there."""
        with self._lock:
            stock, last = self._shelf.stock, self._shelf.cursor
        said = number(facts, "events"), number(facts, "bytes")
        right = stock.corrected(*said)
        if not self._keeper.lease.is_held or length != stock.entries or right == said:
            return False
        if not self._link.recount(self._keeper.owner, last, stock.entries, *right):
            return False
        if right[0] != said[0]:
            text = "the relay said that it holds %s, and it holds %d: somebody else writes there; corrected"
            self._news.warning("recounted", text, counted(said[0], "event"), right[0])
        return True
