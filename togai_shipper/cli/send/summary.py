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
    told = f"{read}: {outcome_of(tally)}"
    if tally.recovered:
        told += f"; among them {tally.recovered:,} that an earlier run had left"
    rate = tally.lines / max(tally.seconds, 0.001)
    yield f"{told} ({tally.seconds:.1f} s, {rate:,.0f} lines/s)"
    if tally.stopped_by is not None:
        yield f"Stopped, because {tally.stopped_by}"
    elif not tally.complete:
        yield "Not everything was read."
    if tally.can_go_on:
        yield "Run the same command again to continue: nothing is billed twice."
    if tally.kept:
        yield f"{plural(tally.kept, 'event is', 'events are')} kept until then in {tally.spool}."


def outcome_of(tally: Tally) -> str:
    """Say what came of the lines."""
    bad = f", {tally.bad:,} bad" if tally.bad else ""
    bad += f", {tally.unfinished:,} unfinished" if tally.unfinished else ""
    if tally.dry_run:
        return f"{tally.lines - tally.bad - tally.unfinished:,} good{bad}; nothing was sent"
    refused = f", {tally.refused:,} refused by Togai" if tally.refused else ""
    undelivered = f", {tally.undelivered:,} not delivered" if tally.undelivered else ""
    return f"{tally.delivered:,} delivered{refused}{undelivered}{bad}"


def as_json(tally: Tally, results: LineResults) -> dict[str, Any]:
    """Return the tally for JSON, with the first problems of each kind."""
    told: dict[str, Any] = attrs.asdict(tally)
    told["seconds"] = round(tally.seconds, 3)
    told["bad_lines"] = [each.as_json() for each in results.bad_lines]
    told["recorded"] = results.recorded
    told["grown_files"] = results.grown
    told["unfinished_lines"] = [each.as_json() for each in results.unfinished_lines]
    told["refused_events"] = [each.as_json() for each in results.refused_events]
    return told
