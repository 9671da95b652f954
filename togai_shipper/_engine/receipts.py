"""Receipts: for the few events whose caller must know what became of them.

An event's receipt is found by its id once the event is settled; while nobody holds one, nothing is looked
for. One that nobody has asked has its outcome at once. Those that somebody watches, by a callback or by
waiting, are resolved outside of the shipper's one lock, since who watches may do anything then: all but
``pop_watched`` is called while holding it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

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
        self._watched: deque[tuple[Receipt, Outcome, Telling | None]] = deque()

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
        """Give those events their outcome that somebody holds a receipt for; ``telling`` waits for it."""
        outcome_of = _outcome_of(settled)
        for event in settled.events:
            if not self._out and not self._more:
                break
            event_id = id_of(event)
            held = self._pop(event_id)
            if held is not None:
                self._settle(held, outcome_of(event_id), telling)

    def _settle(self, held: Receipt, outcome: Outcome, telling: Telling | None = None) -> None:
        if not held.settle_unseen(outcome):
            if telling is not None:
                telling.expect(held)
            self._watched.append((held, outcome, telling))

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
    def is_any_watched(self) -> bool:
        """Whether there are receipts whose outcome is known, and which somebody watches, to be resolved."""
        return bool(self._watched)

    def pop_watched(self) -> tuple[Receipt, Outcome, Telling | None] | None:
        """Return such a receipt and its outcome, if there is one; the caller resolves it, without the lock.

        With it comes the telling that waits until that is done, if there is one.
        """
        try:
            return self._watched.popleft()
        except IndexError:
            return None

    def end_pending(self) -> None:
        """Let every receipt that is left be pending: its event is kept on disk."""
        while self._out:
            event_id, held = self._out.popitem()
            self._settle(held, Outcome(event_id, "pending"))
        while self._more:
            event_id, others = self._more.popitem()
            for held in others:
                self._settle(held, Outcome(event_id, "pending"))


def _outcome_of(settled: Settled) -> Callable[[str], Outcome]:
    """Return what makes of an event's id the outcome of that event."""
    match settled:
        case Delivered(duplicates=duplicates):
            return lambda event_id: Outcome(event_id, "delivered", None, None, duplicates > 0)
        case Relayed():
            return lambda event_id: Outcome(event_id, "relayed")
        case Rejected(error=error):
            return lambda event_id: Outcome(event_id, "rejected", None, error)
        case _:
            return lambda event_id: Outcome(event_id, "dropped", settled.reason, settled.error)
