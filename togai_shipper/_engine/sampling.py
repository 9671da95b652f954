"""Which delivered events are looked up at Togai, and when. Pure.

Wanted are, in this order:

1. the first event of each schema; then another one once a day, of the schema that was looked at longest ago;
2. an event of which Togai had no last word, once more after 1, 5 and 30 minutes, and 6 hours;
3. where nothing of that waits: one of an account that was not looked at yet, a backdated one, or the newest.

There is one look in ``60 / per_minute`` seconds at most. The first one, and each after a time without any,
comes by chance 30 to 600 seconds after the sample was taken: many processes that start, or go on, together do
not ask together. Which of several new schemas comes first is left to chance, too, so that the processes of
one application look at different ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import attrs

from .look_ups import DUPLICATE, IN_PROGRESS, UNSEEN, Answer, Found, NotAnswered, NoWord

MOST = 20  # samples that wait
MOST_AGAIN = 10  # of those, samples that were looked at already: new ones need room
MAX_ID = 50  # characters of an id that Togai looks up
# Seconds after its delivery before which an event is not looked at, for Togai needs some; and those within
# which chance decides when a look comes that nothing else holds back.
SOONEST, LATEST = 30.0, 600.0
DAY = 86_400.0
AGAIN_AFTER = (60.0, 300.0, 1800.0, 21_600.0)  # seconds after a look without a last word
LATER = 60.0  # seconds after a look without any word
LONGEST_INTERVAL = 3600.0  # seconds between looks, where Togai has no time for more
MAX_SCHEMAS, MAX_ACCOUNTS = 1000, 10_000  # that are remembered
SCANNED = 100  # events of a batch among which another account is looked for
BACKDATED = timedelta(days=1)
SCHEMA, AGAIN, OTHER = 1, 2, 3  # the three kinds, as they are listed above
NEVER, ALWAYS = float("inf"), float("-inf")  # as the time from which something may be
_HEAD_END, _ACCOUNT, _ACCOUNT_END = b',"id":', b',"accountId":', b',"attributes":'
_NAME_AT = len(b'{"schemaName":"')
_NOT_YET = (IN_PROGRESS, UNSEEN, DUPLICATE)


def heads_of(events: Sequence[bytes]) -> set[bytes]:
    """Return what encoded events begin with, up to their ids: each stands for a schema."""
    end, start = _HEAD_END, _NAME_AT  # asked of every event that is delivered: locals are quicker
    return {event[: event.find(end, start)] for event in events}


@attrs.frozen
class Sample:
    """An event that is to be looked up.

    Attributes:
        head: what stands for its schema.
        event_id: by which it is looked up.
        schema_name: its schema.
        account_id: its account.
        timestamp: when it happened.
        is_original: its delivery should have brought Togai the first event with this id: we made the id, or
            it was sent only once.
        kind: ``SCHEMA``, ``AGAIN`` or ``OTHER``.
        ready_at: monotonic seconds before which it is not looked at.
        order: what decides among samples of one kind; the least goes first.
        looks: how often it was looked at without a last word.

    """

    head: bytes
    event_id: str
    schema_name: str
    account_id: str
    timestamp: str
    is_original: bool
    kind: int
    ready_at: float
    order: tuple[float, float]
    looks: int = 0

    @property
    def rank(self) -> tuple[int, tuple[float, float]]:
        """Of the samples that are ready, the one with the least of this is looked at."""
        return self.kind, self.order


@attrs.frozen
class Ended:
    """A sample that is not looked at again, and what was found."""

    sample: Sample
    found: Found


class Sampler:
    """Takes samples of what is delivered. Used under the shipper's lock, but for ``may_want``."""

    def __init__(self, per_minute: float, random: Callable[[], float]) -> None:
        self._interval = self._every = 60.0 / per_minute
        self._random = random
        self._waiting: list[Sample] = []
        self._under_way: Sample | None = None
        self._open_at = ALWAYS  # monotonic seconds before which no look begins
        self._ended_at: dict[bytes, float] = {}  # by schema: when the last look at it was over
        self._settled: set[bytes] = set()  # schemas of which no sample is wanted now
        self._accounts: set[int] = set()  # hashes of those of which there was a sample
        self._had_backdated = False
        self._wanted_from = ALWAYS  # monotonic seconds from which a sample is wanted of any batch
        self._is_full = False

    # --- what is taken ---

    def may_want(self, heads: set[bytes], now: float) -> bool:
        """Whether there may be a sample in a batch, by ``heads_of`` its events. Asked without the lock."""
        return not self._is_full and (now >= self._wanted_from or not heads <= self._settled)

    def take(self, events: Sequence[bytes], now: float, today: datetime, *, first: bool) -> bool:
        """Take samples of a batch that is delivered now; return whether there are any.

        ``today``: the time in UTC. ``first``: these events were sent only once.
        """
        self._want_old_ones_again(now)
        before = len(self._waiting)
        for event in events:
            head = event[: event.find(_HEAD_END, _NAME_AT)]
            if head not in self._settled and self._count < MOST:
                self._add(event, SCHEMA, now, first=first)
        if not self._count:
            self._add(self._other(events, today), OTHER, now, first=first)
        self._plan()
        return len(self._waiting) > before

    @property
    def _count(self) -> int:
        return len(self._waiting) + (self._under_way is not None)

    def _want_old_ones_again(self, now: float) -> None:
        while len(self._ended_at) > MAX_SCHEMAS:
            oldest = min(self._ended_at, key=lambda head: self._ended_at[head])
            del self._ended_at[oldest]
            self._settled.discard(oldest)
        self._settled -= {head for head, at in self._ended_at.items() if now - at >= DAY}
        self._settled |= {sample.head for sample in self._samples()}

    def _samples(self) -> list[Sample]:
        return [*self._waiting, *([self._under_way] if self._under_way else [])]

    def _add(self, event: bytes, kind: int, now: float, *, first: bool) -> None:
        fields = json.loads(event)
        event_id = fields["id"]
        if len(event_id) > MAX_ID or not event_id.strip("."):
            return  # Togai looks up none that is longer; and dots alone would lead to another path
        head = event[: event.find(_HEAD_END, _NAME_AT)]
        if self._open_at <= now:
            self.delay(now)
        self._waiting.append(
            Sample(
                head,
                event_id,
                fields["schemaName"],
                fields["accountId"],
                fields["timestamp"],
                is_original=first or type(event) is bytes,
                kind=kind,
                ready_at=now + min(SOONEST, self._interval),
                order=(self._ended_at.get(head, ALWAYS), self._random()),
            )
        )
        self._settled.add(head)
        if len(self._accounts) >= MAX_ACCOUNTS:
            self._accounts.clear()
        self._accounts.add(hash(_account_of(event)))

    def _other(self, events: Sequence[bytes], today: datetime) -> bytes:
        scanned = events[-SCANNED:]
        for event in scanned:
            if hash(_account_of(event)) not in self._accounts:
                return event
        if not self._had_backdated:
            before = (today - BACKDATED).isoformat()[:19]
            for event in scanned:
                if json.loads(event)["timestamp"] < before:
                    self._had_backdated = True
                    return event
        return events[-1]

    def _plan(self) -> None:
        self._is_full = self._count >= MOST
        settled = self._settled - {sample.head for sample in self._samples()}
        ended = [at for head, at in self._ended_at.items() if head in settled]
        self._wanted_from = min(ended, default=NEVER) + DAY if self._count else ALWAYS

    # --- when it is looked at ---

    def delay(self, now: float) -> None:
        """Let no look begin until some time from now, which is left to chance."""
        least = min(SOONEST, self._interval)
        most = max(least, min(LATEST, self._interval))
        self._open_at = max(self._open_at, now + least + self._random() * (most - least))

    def next(self, now: float) -> Sample | float | None:
        """Return the sample that is to be looked at now; else the seconds until then; ``None``: none waits.

        ``note`` is to be called with what comes of it, before this is called again.
        """
        if not self._waiting:
            return None
        opens_at = max(self._open_at, min(sample.ready_at for sample in self._waiting))
        if now < opens_at:
            return opens_at - now
        ready = [sample for sample in self._waiting if sample.ready_at <= now]
        self._under_way = sample = min(ready, key=lambda sample: sample.rank)
        self._waiting.remove(sample)
        self._open_at = now + self._every
        return sample

    def note(self, answer: Answer, now: float) -> Ended | None:
        """Note what came of the look under way; return its end, if that was its last."""
        sample, self._under_way = self._under_way, None
        assert sample  # noqa: S101  next() has returned it
        ended = None
        if isinstance(answer, Found):
            self._every = max(self._interval, self._every / 2)
            ended = self._note_found(sample, answer, now)
        elif isinstance(answer, NotAnswered):
            self._waiting.clear()
        else:  # it waits where it stood
            self._waiting.append(attrs.evolve(sample, ready_at=now + LATER))
            if isinstance(answer, NoWord) and answer.throttled:
                self._every = min(max(LONGEST_INTERVAL, self._interval), 2 * self._every)
                self._open_at = now + max(self._every, answer.after)
        self._plan()
        return ended

    def _note_found(self, sample: Sample, found: Found, now: float) -> Ended | None:
        if found.status not in _NOT_YET or sample.looks == len(AGAIN_AFTER):
            self._ended_at[sample.head] = now
            return Ended(sample, found)
        ready_at = now + AGAIN_AFTER[sample.looks]
        again = [each for each in self._waiting if each.kind == AGAIN]
        if len(again) >= MOST_AGAIN:
            oldest = max(again, key=lambda each: each.looks)
            self._waiting.remove(oldest)
            self._ended_at[oldest.head] = now  # its schema is looked at again in a day
        self._waiting.append(
            attrs.evolve(sample, kind=AGAIN, ready_at=ready_at, order=(ready_at, 0.0), looks=sample.looks + 1)
        )
        return None


def _account_of(event: bytes) -> bytes:
    start = event.find(_ACCOUNT, _NAME_AT)
    return event[start : event.find(_ACCOUNT_END, start)]
