"""The closing ledger: what the receiving end has, held against what was handed over.

Everything is counted by the sandbox's books. What the application was told decides only whether an event that
is not billed is rejected or lost; what the library itself counted is compared, and never taken over.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from togai_shipper import Event, EventRejected, Stats
from togai_shipper.testing import Answered, Ledger


class Told:
    """What ``on_error`` was told of events: a place to put it. Called on flusher threads."""

    def __init__(self) -> None:
        self.rejected: dict[str, str] = {}  # id -> why
        self.dropped: dict[str, str] = {}

    def __call__(self, error: Exception, events: tuple[Event, ...]) -> None:
        """Note why these events will not be delivered."""
        book = self.rejected if isinstance(error, EventRejected) else self.dropped
        book.update((event.id, str(error)) for event in events)


@attrs.frozen(kw_only=True)
class Closing:
    """The ledger at the end.

    Attributes:
        handed: calls of ``track()``.
        tracked: those of them that returned an id.
        delivered: ids that are billed, once or more.
        rejected: how many ids are not billed as the application was told, by reason.
        dropped: how many ids the library gave up, as the application was told, by reason; billed or not.
        lost: ids that are neither billed nor told of.
        billed_twice: ids that are billed more than once.
        told_wrongly: ids told of as rejected that are billed all the same.
        requests: how many reached the sandbox, by the status of the reply (``None``: it sent none).
        copies: how many copies came of events that were there already, and were not billed.
        retries: requests that held an event which had come before.
        disagreements: where the library's counts differ from these.

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
        """Why it does not balance; empty if it does."""
        told = sum(self.rejected.values())
        counts = {
            "not accepted": self.handed - self.tracked,
            "given up": sum(self.dropped.values()),
            "lost": self.lost,
            "billed twice": self.billed_twice,
            "told of as rejected, yet billed": self.told_wrongly,
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


def reckon(
    ids: Sequence[str | None], told: Told, stats: Stats, *, ledger: Ledger, requests: Sequence[Answered]
) -> Closing:
    """Close the books.

    Args:
        ids: what each call of ``track()`` returned.
        told: what the application was told.
        stats: what the library counted.
        ledger: whom the sandbox bills what.
        requests: what reached the sandbox.

    """
    tracked = [event_id for event_id in ids if event_id is not None]
    missing = ledger.lost(tracked)
    rejected = told.rejected.keys() & missing
    delivered = len(tracked) - len(missing)
    return Closing(
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


# --- shown ------------------------------------------------------------------------------------------------


def show(console: Console, closing: Closing, seconds: float, past: Mapping[str, int]) -> None:
    """Print it for a person; ``past`` is what the sandbox did to requests, and to how many."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()

    def row(what: str, count: int, note: str = "", *, ill: bool = False) -> None:
        style = "bold red" if ill and count else "bold"
        table.add_row(what, Text(f"{count:,}", style), Text(note, "dim"))

    row("tracked", closing.tracked, "events that track() accepted")
    row("delivered", closing.delivered, "of them are on the sandbox's bill")
    if not closing.rejected:
        row("rejected", 0)
    for why, count in closing.rejected.items():
        row("rejected", count, f"told: {why}")
    for why, count in closing.dropped.items():
        row("given up", count, f"told: {why}", ill=True)
    row("lost", closing.lost, "neither billed nor told of", ill=True)
    row("billed twice", closing.billed_twice, ill=True)
    row("requests", sum(closing.requests.values()), _replies(closing.requests))
    row("retries", closing.retries, "of them brought events that had come before")
    row("copies", closing.copies, "of events it had, known by their ids and not billed")

    console.print(f"\n[bold]The ledger, by the sandbox's count[/], after {seconds:.1f} s\n")
    console.print(table)
    if past:
        console.print("\n[bold]What the sandbox did to requests[/]\n")
        weather = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        weather.add_column(justify="right", style="bold")
        weather.add_column(style="dim")
        for title, count in past.items():
            weather.add_row(f"{count:,}", title)
        console.print(weather)
    console.print()
    if closing.balances:
        told = sum(closing.rejected.values())
        console.print(
            f"[bold green]It balances:[/] {closing.tracked:,} tracked = {closing.delivered:,} delivered"
            f" + {told:,} rejected, and stats() agrees."
        )
    else:
        console.print(f"[bold red]It does not balance:[/] {'; '.join(closing.problems)}.")


def _replies(requests: Mapping[int | None, int]) -> str:
    statuses = sorted(requests.items(), key=lambda item: item[0] or 1000)  # those without one come last
    return ", ".join(f"{count:,} x {status or 'no reply'}" for status, count in statuses)


def as_json(closing: Closing, seconds: float) -> str:
    """The same for a program."""
    facts: dict[str, Any] = attrs.asdict(closing, recurse=False)
    facts["requests"] = {str(status or "no reply"): count for status, count in closing.requests.items()}
    return json.dumps({**facts, "seconds": round(seconds, 3), "balances": closing.balances}, indent=2)
