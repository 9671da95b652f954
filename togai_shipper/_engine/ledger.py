"""The ledger of one shipper: how many events came to which outcome.

``accepted == delivered + relayed + rejected + dropped + pending`` holds by construction: accepted is the sum
of what was settled and of what is still pending, so no count can drift from the others.
"""

from __future__ import annotations

from togai_shipper._outcome import LEFT_OUT, REFUSALS, Delivered, Rejected, Relayed, Settled

from .effort import Effort
from .receipts import Receipts
from .telling import Telling


class Ledger:
    """Counts what was settled, and answers the receipts for it, in one step.

    Touched only while holding the shipper's lock.
    """

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self.delivered = 0
        self.duplicates = 0
        self.relayed = 0
        self.rejected = 0
        self.dropped: dict[str, int] = {}
        self.refused: dict[str, int] = dict.fromkeys(REFUSALS, 0)
        self.full_at: float | None = None  # monotonic seconds at which there was last no room for an event
        self.left_out: dict[str, int] = dict.fromkeys(LEFT_OUT, 0)
        self.requests = 0
        self.search_requests = 0
        self.effort = Effort()
        self.retries = 0
        self.bytes_sent = 0
        self.replies: dict[int | None, int] = {}
        self.request_seconds = 0.0

    @property
    def settled(self) -> int:
        """Events that have their outcome."""
        return self.delivered + self.relayed + self.rejected + sum(self.dropped.values())

    def record(self, outcome: Settled, telling: Telling | None = None) -> None:
        """Count one outcome, and note it for who holds a receipt; ``telling`` tells of it."""
        self._receipts.record(outcome, telling)
        count = len(outcome.events)
        match outcome:
            case Delivered(duplicates=duplicates):
                self.delivered += count
                self.duplicates += duplicates
            case Relayed():
                self.relayed += count
            case Rejected():
                self.rejected += count
            case _:
                self.dropped[outcome.reason] = self.dropped.get(outcome.reason, 0) + count

    def refuse(self, reason: str, at: float | None = None) -> None:
        """Count an event that was not accepted, ``at`` so many monotonic seconds."""
        self.refused[reason] += 1
        if reason == "full":
            self.full_at = at

    def room_is_told(self) -> None:
        """Note that there is room again, and that this was told."""
        self.full_at = None

    def leave_out(self, reason: str) -> None:
        """Count work that was measured and is no event."""
        self.left_out[reason] += 1

    def request(self, size: int, *, is_retry: bool) -> None:
        """Count a request that begins, with a body of ``size`` bytes."""
        self.requests += 1
        self.retries += is_retry
        self.bytes_sent += size

    def search(self, now: float, *, is_search: bool, is_lane: bool) -> None:
        """Count it by what it is for, too: to find what Togai rejects, in the lane or not; or neither."""
        self.search_requests += is_search or is_lane
        if not is_lane:  # that has its share, whatever happens
            self.effort.note(now, is_search=is_search)

    def replied(self, status: int | None, seconds: float) -> None:
        """Count a request that is over."""
        self.replies[status] = self.replies.get(status, 0) + 1
        self.request_seconds += seconds
