"""The balance at the end of the demo: what the sandbox has, compared with what was tracked.

Everything is counted by the sandbox's ledger. What the application was told decides only whether an event
that is not billed is rejected or lost. What the library itself counted is compared, and never relied on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from togai_shipper import Event, EventRejected, Stats
from togai_shipper.testing import Answered, BillingLedger


class ToldErrors:
    """An ``on_error`` that keeps why events will not be delivered. Flushers call it, on their threads."""

    def __init__(self) -> None:
        self.rejected: dict[str, str] = {}  # id -> why
        self.dropped: dict[str, str] = {}

    def __call__(self, error: Exception, events: tuple[Event, ...]) -> None:
        """Keep why these events will not be delivered."""
        book = self.rejected if isinstance(error, EventRejected) else self.dropped
        book.update((event.id, str(error)) for event in events)


@attrs.frozen(kw_only=True)
class Balance:
    """What became of all events, by the sandbox's count.

    Attributes:
        handed: how often ``track()`` was called.
        tracked: how many of these calls returned an id.
        delivered: how many ids are billed, once or more often.
        rejected: how many ids are not billed, and the application was told so; by reason.
        dropped: how many ids the library gave up, billed or not, and the application was told so; by reason.
        lost: how many ids are not billed, and the application was not told.
        billed_twice: how many ids are billed more than once.
        told_wrongly: how many ids are billed though the application was told that they were rejected.
        requests: how many requests reached the sandbox, by the status of the reply (``None``: no reply).
        copies: how many copies came of events that were there already; they are not billed.
        retries: how many requests held an event that had come before.
        disagreements: where the library's own counts differ from these.

    """

    handed: int
    tracked: int
    delivered: int
    rejected: Mapping[str, int] = attrs.field(factory=dict)
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    lost: int = 0
    billed_twice: int = 0
    told_wrongly: int = 0
    requests: Mapping[int | None, int] = attrs.field(factory=dict)
    copies: int = 0
    retries: int = 0
    disagreements: Sequence[str] = ()

    @property
    def problems(self) -> list[str]:
        """Why it does not balance, a phrase for each reason; empty if it does."""
        told = sum(self.rejected.values())
        counts = {
            "not accepted": self.handed - self.tracked,
            "given up": sum(self.dropped.values()),
            "lost": self.lost,
            "billed twice": self.billed_twice,
            "reported as rejected, but billed": self.told_wrongly,
        }
        problems = [f"{count:,} {what}" for what, count in counts.items() if count]
        if self.tracked != self.delivered + told:
            problems.append(
                f"{self.tracked:,} tracked are not {self.delivered:,} delivered + {told:,} rejected"
            )
        return [*problems, *self.disagreements]

    @property
    def balances(self) -> bool:
        """Whether every event is accounted for, once."""
        return not self.problems


def balance_of(
    ids: Sequence[str | None],
    told: ToldErrors,
    stats: Stats,
    *,
    ledger: BillingLedger,
    requests: Sequence[Answered],
) -> Balance:
    """Compare what was tracked with what the sandbox has.

    Args:
        ids: what each call of ``track()`` returned.
        told: what the application was told.
        stats: what the library counted.
        ledger: what the sandbox bills.
        requests: the requests that reached the sandbox.

    """
    tracked = [event_id for event_id in ids if event_id is not None]
    missing = ledger.lost(tracked)
    rejected = told.rejected.keys() & missing
    delivered = len(tracked) - len(missing)
    return Balance(
        handed=len(ids),
        tracked=len(tracked),
        delivered=delivered,
        rejected=Counter(told.rejected[event_id] for event_id in rejected),
        dropped=Counter(told.dropped.values()),
        lost=len(missing - rejected - told.dropped.keys()),
        billed_twice=len(ledger.billed_twice),
        told_wrongly=len(told.rejected.keys() - missing),
        requests=Counter(request.status for request in requests),
        copies=ledger.duplicates,
        retries=_retries(requests),
        disagreements=[
            f"the library counts {theirs:,} {what}, not {ours:,}"
            for what, theirs, ours in (
                ("accepted", stats.accepted, len(tracked)),
                ("delivered", stats.delivered, delivered),
                ("rejected", stats.rejected, len(rejected)),
                ("dropped", sum(stats.dropped.values()), len(told.dropped)),
                ("pending", stats.pending, 0),
            )
            if theirs != ours
        ],
    )


def _retries(requests: Sequence[Answered]) -> int:
    seen: set[str] = set()
    retries = 0
    for request in requests:
        retries += not seen.isdisjoint(request.ids)
        seen.update(request.ids)
    return retries
