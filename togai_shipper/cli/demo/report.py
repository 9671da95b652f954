"""The balance of the demo, printed for a person or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from rich.table import Table

from togai_shipper.cli.screen import Screen, styled

from .balance import Balance


def show(screen: Screen, balance: Balance, seconds: float, past: Mapping[str, int]) -> None:
    """Print the balance; ``past`` says how many requests met which faults."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()

    def row(what: str, count: int, note: str = "", *, ill: bool = False) -> None:
        style = "bold red" if ill and count else "bold"
        table.add_row(what, styled(f"{count:,}", style), styled(note, "dim"))

    row("tracked", balance.tracked, "events that track() accepted")
    row("delivered", balance.delivered, "of them are billed by the sandbox")
    if not balance.rejected:
        row("rejected", 0)
    for why, count in balance.rejected.items():
        row("rejected", count, f"reason: {why}")
    for why, count in balance.dropped.items():
        row("given up", count, f"reason: {why}", ill=True)
    row("lost", balance.lost, "neither billed nor reported", ill=True)
    row("billed twice", balance.billed_twice, ill=True)
    row("requests", sum(balance.requests.values()), _replies(balance.requests))
    row("retries", balance.retries, "of them had events that had come before")
    row("copies", balance.copies, "of events that had come before, recognised by id and not billed")

    screen.say()
    screen.say(
        styled("What became of the events, by the sandbox's count", "bold"), f", after {seconds:.1f} s"
    )
    screen.say()
    screen.draw(table)
    if past:
        screen.say()
        screen.say(styled("What went wrong, and for how many requests", "bold"))
        screen.say()
        table_of_faults = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table_of_faults.add_column(justify="right", style="bold")
        table_of_faults.add_column(style="dim")
        for title, count in past.items():
            table_of_faults.add_row(f"{count:,}", title)
        screen.draw(table_of_faults)
    screen.say()
    if balance.balances:
        told = sum(balance.rejected.values())
        screen.say(
            styled("It balances:", "bold green"),
            f" {balance.tracked:,} tracked = {balance.delivered:,} delivered"
            f" + {told:,} rejected, and stats() agrees.",
        )
    else:
        screen.say(styled("It does not balance:", "bold red"), f" {'; '.join(balance.problems)}.")


def _replies(requests: Mapping[int | None, int]) -> str:
    statuses = sorted(requests.items(), key=lambda item: item[0] or 1000)  # no reply comes last
    return ", ".join(f"{count:,} x {status or 'no reply'}" for status, count in statuses)


def as_json(balance: Balance, seconds: float) -> dict[str, Any]:
    """Return the balance, for JSON."""
    facts: dict[str, Any] = attrs.asdict(balance, recurse=False)
    facts["requests"] = {str(status or "no reply"): count for status, count in balance.requests.items()}
    return {**facts, "seconds": round(seconds, 3), "balances": balance.balances}
