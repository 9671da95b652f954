"""The summary at the end of ``send``, as a text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from togai_shipper.cli.formats import plural

from .results import LineResults, Tally


def lines_of(tally: Tally) -> Iterator[str]:
    """Return the tally in a few lines."""
    read = plural(tally.lines, "line")
    bad = f", {tally.bad:,} bad" if tally.bad else ""
    if tally.dry_run:
        told = f"{read}: {tally.lines - tally.bad:,} good{bad}; nothing was sent"
    else:
        refused = f", {tally.refused:,} refused by Togai" if tally.refused else ""
        undelivered = f", {tally.undelivered:,} not delivered" if tally.undelivered else ""
        told = f"{read}: {tally.delivered:,} delivered{refused}{undelivered}{bad}"
        if tally.recovered:
            told += f"; among them {tally.recovered:,} that an earlier run had left"
    rate = tally.lines / max(tally.seconds, 0.001)
    yield f"{told} ({tally.seconds:.1f} s, {rate:,.0f} lines/s)"
    if tally.stopped_by is not None:
        yield f"Stopped, because Togai accepts nothing more: {tally.stopped_by}"
    elif not tally.complete:
        yield "Not everything was read."
    if tally.can_go_on:
        yield "Run the same command again to continue: nothing is billed twice."


def as_json(tally: Tally, results: LineResults) -> dict[str, Any]:
    """Return the tally for JSON, with the first problems of each kind."""
    told: dict[str, Any] = attrs.asdict(tally)
    told["seconds"] = round(tally.seconds, 3)
    told["bad_lines"] = [
        {"file": each.file, "line": each.line, "reason": each.reason} for each in results.bad_lines
    ]
    told["refused_events"] = [attrs.asdict(each) for each in results.refused_events]
    return told
