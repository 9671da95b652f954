"""Learns from what becomes of requests how many bytes one may have. Pure.

It is learnt in two ways. *Refused*: a batch is halved that somebody finds too large, Togai or a gateway
before it. Where both halves are taken, the larger one shows what fits. *No whole reply*: the next request is
half as long, on trial, and so on. Where one of those is taken, it shows what fits. If not even one event
gets through, size is not the cause, and batches are whole again.

What is learnt may be wrong, or the limit may be lifted. So one of twice the size goes from time to time:
after the first full one that is taken, and, while those of twice the size fail, less and less often.
"""

from __future__ import annotations

import attrs

from .batching import Batch
from .verdict import Accepted, Park, Partly, Refused, Verdict, is_refused_for_size, may_be_too_long, words_of

LEAST = 1024  # bytes; a batch holds one event at least, so this bounds how many requests small ones cost
MAX_INTERVAL = 32  # full requests taken between two of twice the size, of which all have failed so far
MAX_DIVISIONS = 100  # divided batches of which one half is remembered; arbitrary, few are under way at once


@attrs.frozen
class Learnt:
    """Requests are shorter from now on: one of ``failed`` bytes was too long, ``most`` are sent.

    ``is_refused``: somebody said so, with ``refusal``; else it got no whole reply.
    """

    failed: int
    most: int
    is_refused: bool
    refusal: str = ""


class ByteCap:
    """Bytes that the body of the next request may have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._least = min(LEAST, most)
        self.bytes = most  # what is known to fit, or believed to
        self._trial: int | None = None  # instead of that, while longer ones get no whole reply
        self._taken_full = 0  # since the last request of twice the size
        self._interval = 1  # how many of those it takes until the next
        self._refused = 0  # bytes of the latest request that somebody found too large
        self._refusal = ""  # what was said to it
        self._told = most  # the least that was told since all was well
        self._splits = 0
        self._first_halves: dict[int, int] = {}  # split -> bytes of the half that was taken first

    @property
    def limit(self) -> int:
        """Bytes of the next request."""
        if self._trial is not None:
            return min(self._trial, self.bytes)
        return min(self._most, 2 * self.bytes) if self._taken_full >= self._interval else self.bytes

    def note_cut(self, batch: Batch) -> None:
        """Note that ``batch`` goes: if it is longer than what is known to fit, others wait for its reply."""
        if batch.size > self.bytes:
            self._taken_full = 0

    def division(self, batch: Batch) -> int:
        """Return a name for the division of ``batch``; 0 where its halves can teach nothing."""
        if batch.size > self.bytes:  # known to be too long
            return 0
        self._splits += 1
        return self._splits

    def learn(self, batch: Batch, verdict: Verdict) -> Learnt | None:
        """Learn from what became of ``batch``; return what is worth telling: that requests are shorter now.

        That longer ones get no reply is told once it is seen again, while shorter ones are taken: what was
        learnt at the end of an outage is wrong.
        """
        is_longer, before = len(batch) > 1 and batch.size > self.bytes, self.bytes
        is_refused, is_late = is_refused_for_size(verdict), may_be_too_long(verdict)
        if isinstance(verdict, Accepted):
            self._on_taken(batch)
        elif isinstance(verdict, Partly):
            self._on_through(batch)
        elif is_longer and (is_refused or is_late):
            self._interval = min(MAX_INTERVAL, 2 * self._interval)
        if is_late:
            self._try_shorter(batch)
        if is_refused and len(batch) > 1:
            self._refused, self._refusal = batch.size, words_of(verdict)
        if is_refused or isinstance(verdict, Partly | Refused | Park):
            self._first_halves.pop(batch.split, None)
        if is_late and is_longer:
            return self._told_once(Learnt(batch.size, self.bytes, is_refused=False))
        if batch.split and self.bytes < before:
            return self._told_once(Learnt(self._refused, self.bytes, is_refused=True, refusal=self._refusal))
        return None

    def _told_once(self, learnt: Learnt) -> Learnt | None:
        if learnt.most >= self._told:
            return None
        self._told = learnt.most
        return learnt

    def _on_taken(self, batch: Batch) -> None:
        self._on_through(batch)
        if batch.fills > self.bytes:
            self._raise(batch.fills)
            self._interval = self._taken_full = 1
        elif batch.size > self.bytes:
            self._raise(batch.size)
        elif batch.split:
            self._on_half_taken(batch)
        elif batch.fills:
            self._taken_full += 1

    def _on_through(self, batch: Batch) -> None:
        """End the trial: shorter requests get through, if this one was cut for it; or longer ones do."""
        if self._trial is not None and batch.size <= self._trial < self.bytes:
            self._lower(self._trial)
        self._trial = None

    def _on_half_taken(self, batch: Batch) -> None:
        if batch.split in self._first_halves:
            self._lower(max(self._first_halves.pop(batch.split), batch.size))
            return
        self._first_halves[batch.split] = batch.size
        if len(self._first_halves) > MAX_DIVISIONS:  # the other half of the oldest was never accepted
            del self._first_halves[next(iter(self._first_halves))]

    def _try_shorter(self, batch: Batch) -> None:
        if len(batch) > 1 and batch.size > self._least:
            half = max(self._least, batch.size // 2)
            shorter = self.bytes if half < self.bytes < batch.size else half  # what is known to fit, if so
            self._trial = shorter if self._trial is None else min(self._trial, shorter)
        elif not batch.single:  # nobody answers: size is not the cause
            self._trial = None

    def _raise(self, size: int) -> None:
        self.bytes = min(self._most, size)
        if self.bytes == self._most:
            self._told = self._most

    def _lower(self, size: int) -> None:
        if size < self.bytes:
            self.bytes = max(self._least, size)
            self._interval = self._taken_full = 1
