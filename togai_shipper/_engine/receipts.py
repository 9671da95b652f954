"""Receipts: for the few events whose caller must know what became of them.

An event's receipt is found by its id once the event is settled; while nobody holds one, nothing is looked
for. Everything here is touched only while holding the shipper's one lock, but for ``pop_resolved``: the
futures are resolved outside of it, since whoever waits for one may do anything then.
"""

from __future__ import annotations

from collections import deque

from togai_shipper._event import id_of
from togai_shipper._outcome import Delivered, Outcome, Rejected, Relayed, Settled

from .receipt import Receipt
from .telling import Telling


class Receipts:
    """Keeps the receipts of one shipper in one process whose events have no outcome yet."""

    def __init__(self) -> None:
        self._out: dict[str, Receipt] = {}
        # Several calls may hand over one id; each has its own outcome, in whatever order.
        self._more: dict[str, list[Receipt]] = {}
        self._resolved: deque[tuple[Receipt, str, Settled | None, Telling | None]] = deque()

    def expect(self, event_id: str, held: Receipt) -> None:
        """Keep a receipt of an event that is about to be put into the buffer."""
        if self._out.setdefault(event_id, held) is not held:
            self._more.setdefault(event_id, []).append(held)

    def forget(self, event_id: str, held: Receipt) -> None:
        """Let go of a receipt whose event did not get into the buffer after all."""
        if self._out.get(event_id) is held:
            del self._out[event_id]
        else:
            self._put_back(event_id, [each for each in self._more.pop(event_id, ()) if each is not held])

    def record(self, settled: Settled, telling: Telling | None = None) -> None:
        """Note the outcome of those events that somebody holds a receipt for; ``telling`` waits for it."""
        for event in settled.events:
            if not self._out and not self._more:
                break
            event_id = id_of(event)
            held = self._pop(event_id)
            if held is not None:
                if telling is not None:
                    telling.expect(held)
                self._resolved.append((held, event_id, settled, telling))

    def _pop(self, event_id: str) -> Receipt | None:
        others = self._more.pop(event_id, None) if self._more else None
        if not others:
            return self._out.pop(event_id, None)
        held = others.pop()
        self._put_back(event_id, others)
        return held

    def _put_back(self, event_id: str, others: list[Receipt]) -> None:
        # Not left in place meanwhile: a signal handler, on this very thread, may add one in between.
        if others:
            self._more.setdefault(event_id, []).extend(others)

    @property
    def is_any_resolved(self) -> bool:
        """Whether there are receipts whose outcome is known, to be resolved."""
        return bool(self._resolved)

    def pop_resolved(self) -> tuple[Receipt, Outcome, Telling | None] | None:
        """Return a receipt and its outcome, if one is known; the caller resolves it, without the lock.

        With it comes the telling that waits until that is done, if there is one.
        """
        try:
            held, event_id, settled, telling = self._resolved.popleft()
        except IndexError:
            return None
        outcome = Outcome(event_id, "pending") if settled is None else _outcome(event_id, settled)
        return held, outcome, telling

    def end_pending(self) -> None:
        """Resolve every receipt that is left as pending: its event is kept on disk."""
        while self._out:
            event_id, held = self._out.popitem()
            self._resolved.append((held, event_id, None, None))
        while self._more:
            event_id, others = self._more.popitem()
            self._resolved += [(held, event_id, None, None) for held in others]


def _outcome(event_id: str, settled: Settled) -> Outcome:
    match settled:
        case Delivered(duplicates=duplicates):
            return Outcome(event_id, "delivered", duplicate=duplicates > 0)
        case Relayed():
            return Outcome(event_id, "relayed")
        case Rejected(error=error):
            return Outcome(event_id, "rejected", error=error)
        case _:
            return Outcome(event_id, "dropped", settled.reason, settled.error)
