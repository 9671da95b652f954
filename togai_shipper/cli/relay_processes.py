"""Who works on a relay, as processes: who drains it, and those that hand over. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .formats import plural
from .processes import FAILURES, WARNINGS, Process, word

if TYPE_CHECKING:
    from togai_shipper.relay.survey import Survey

MAY_BE_MORE = "more processes hand over than are shown: there is no room for what they say of themselves"


def drainer(found: Survey, owner: str) -> Process:
    """Return who drains; whether it lives is for who calls to know."""
    return Process(
        name=owner, is_alive=True, report=found.report_of(owner), is_counted=False, is_drainer=True
    )


def producing(found: Survey, now_ms: int) -> list[Process]:
    """Return those that hand over, as far as they say how they stand."""
    known = found.producers.by_clock(now_ms) if found.producers else ()
    short = Counter(_short(each.name) for each in known)
    return [
        Process(
            name=_short(each.name) if short[_short(each.name)] == 1 else each.name,
            is_alive=True,
            report=each.report,
            dead=each.report.dead_letters,
            is_producer=True,
        )
        for each in known
    ]


def _short(name: str) -> str:
    """Return the host and the pid alone, which is enough unless a process has two shippers."""
    return name.rpartition("/")[0] or name


def in_trouble(processes: list[Process], now_ms: int) -> list[Process]:
    """Return those with which something is wrong."""
    return [each for each in processes if word(each, now_ms) in (*FAILURES, *WARNINGS)]


def told(found: Survey, now_ms: int) -> Iterator[str]:
    """Say in a few words how many hand over, and how many of them are in trouble."""
    if found.producers is None:
        yield "unknown: what they say of themselves cannot be read"
        return
    known = producing(found, now_ms)
    if known:
        bad = in_trouble(known, now_ms)
        text = plural(len(known), "process says how it stands", "processes say how they stand")
        yield text + (f", {len(bad)} in trouble" if bad else "")
    if found.producers.is_full:
        yield MAY_BE_MORE
