"""What came of it, as a table for people, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from togai_shipper._engine.findings import remedy_of
from togai_shipper._engine.look_ups import COMPLETED, FAILED
from togai_shipper.cli.formats import plural

from .facts import Ours, Theirs
from .naming import Named
from .period import shown_days
from .proving import Proof, Question
from .verdict import (
    APART,
    DEAD,
    DROPPED,
    METERING,
    MISSING,
    MORE,
    NOT_METERED,
    OTHER_DAY,
    PURGED,
    RECENT,
    REPEATED,
    UNPROCESSED,
    UNSEEN,
    UNSETTLED,
    WAITING,
    Verdict,
)

WIDTH = 79  # columns, of a terminal that has 80
_FIGURE = 14
_MOST_NAMED = 5  # events of a status that are shown; the file has all of them
_RULES = {"event": "by the events' own time", "receipt": "by the day of delivery"}
_WORDS = {
    Verdict.BALANCED: "BALANCED",
    Verdict.UNBILLED: "NOT BALANCED",
    Verdict.CANNOT_TELL: "CANNOT TELL",
}
_UNBILLED = {
    UNPROCESSED: "Togai has them, and has not processed them",
    NOT_METERED: "Togai has processed them, and no usage meter counts them",
    MISSING: "Togai shows no record of them",
    DEAD: "they are dead letters: togai-shipper spool ls --dead",
    PURGED: "somebody has deleted them here, before they were delivered",
    DROPPED: "there was no room for them here",
}
_OPEN = {
    WAITING: "they wait here, and are not delivered yet",
    RECENT: "Togai may not show them yet",
    REPEATED: "Togai has fewer, and as many duplicates: ids may have been used twice",
    MORE: "Togai has more than we know of: somebody else sends, or a journal is missing",
    UNSETTLED: "in progress, corrected, or unknown to Togai itself",
    METERING: "processed; Togai does not tell whether they are metered",
    UNSEEN: "Togai shows no record of them",
    APART: "missing on a day, and too many on one that is not next to it",
    OTHER_DAY: "Togai has fewer on this day, and may count them on another",
}
_REMEDIES = {
    NOT_METERED: "name schemas that are not meant to be billed with --free SCHEMA",
    MISSING: "ask Togai's support with the ids; never send them again under new ids",
    DEAD: "look why, and have them sent again: togai-shipper spool replay",
    REPEATED: 'with journal="ids", or an --expect with ids, it can be told which',
    METERING: "look at one: togai-shipper events ID; or use --free SCHEMA",
    WAITING: "deliver them: togai-shipper drain --once DIR",
}


def lines(question: Question, proof: Proof) -> Iterator[str]:
    """Yield the lines that people read."""
    rule = _RULES[question.used_rule]
    yield f"Usage of {shown_days(question.days)} (UTC, {rule}), by Togai's counts"
    yield ""
    yield from _sums(proof)
    yield ""
    yield from _schemas(question, proof)
    yield from _told("Not billed", proof.judgement.unbilled, _UNBILLED)
    yield from _reasons(question, proof)
    yield from _told("Open", proof.judgement.open, _OPEN)
    yield from _named(proof)
    yield from _listed("In doubt", proof.judgement.doubts)
    yield from _listed("Covered", [source.covers for source in (*question.sources, *question.others)])
    yield ""
    yield verdict_line(proof)


def verdict_line(proof: Proof) -> str:
    """Return the verdict, in a line."""
    judgement = proof.judgement
    unbilled, left_open = sum(judgement.unbilled.values()), judgement.open_count
    match judgement.verdict:
        case Verdict.BALANCED:
            told = f"{plural(_ours(proof).tracked, 'event')} tracked, delivered, processed and metered"
        case Verdict.UNBILLED:
            told = f"{plural(unbilled, 'event')} not billed"
            told += f"; it is open of {left_open:,}" if left_open else ""
        case _:
            told = f"it is open of {plural(left_open, 'event')}"
    return f"{_WORDS[judgement.verdict]}: {told}"


def _ours(proof: Proof) -> Ours:
    total = Ours()
    for each in proof.ours.values():
        total += each
    return total


def _theirs(proof: Proof) -> Theirs:
    total = Theirs()
    for each in proof.theirs.values():
        total += each
    return total


def _sums(proof: Proof) -> Iterator[str]:
    ours, theirs, judgement = _ours(proof), _theirs(proof), proof.judgement
    yield _row("tracked", ours.tracked)
    yield _row("  delivered to Togai", ours.delivered)
    if proof.is_metering_told:
        yield _row("    processed and metered", theirs.metered)
        yield _row("    processed, and not metered", theirs.not_metered)
        yield _row("    unprocessed", theirs.failed)
    else:
        yield _row("    processed (metering unknown)", theirs.processed)
        yield _row("    unprocessed, or duplicates", theirs.unprocessed)
    yield _row("    in progress, corrected or unknown", theirs.unsettled)
    yield _row("    missing", judgement.unbilled.get(MISSING, 0))
    yield _row("  waiting here", ours.waiting)
    yield _row("  dead letters", ours.dead)
    yield _row("  purged here", ours.purged)
    yield _row("  dropped here", ours.dropped)
    yield _row("more at Togai than we know of", judgement.open.get(MORE, 0))
    if proof.is_metering_told:
        yield _row("duplicates, which Togai does not bill", theirs.duplicates)


def _row(name: str, count: int) -> str:
    return f"  {name:<48}{count:>{_FIGURE},}"


def _schemas(question: Question, proof: Proof) -> Iterator[str]:
    ours: dict[str, Ours] = {}
    theirs: dict[str, Theirs] = {}
    wrong: dict[str, int] = {}
    for cell, mine in proof.ours.items():
        ours[cell.schema] = ours.get(cell.schema, Ours()) + mine
    for cell, its in proof.theirs.items():
        theirs[cell.schema] = theirs.get(cell.schema, Theirs()) + its
    for cell, each in proof.judgement.cells.items():
        wrong[cell.schema] = wrong.get(cell.schema, 0) + sum(each.unbilled.values())
        wrong.setdefault(cell.schema, 0)
    opened: dict[str, int] = {}
    for cell, each in proof.judgement.cells.items():
        opened[cell.schema] = opened.get(cell.schema, 0) + sum(each.open.values())
    billed = "metered" if proof.is_metering_told else "processed"
    yield f"  {'event schema':<27}{'tracked':>12}{billed:>12}{'not billed':>12}{'open':>12}"
    for schema in sorted({*ours, *theirs}):
        its = theirs.get(schema, Theirs())
        figures = (
            ours.get(schema, Ours()).tracked,
            its.metered + its.processed,
            wrong.get(schema, 0),
            opened.get(schema, 0),
        )
        free = " (free)" if schema in question.free else ""
        name = _cut(schema, 26 - len(free)) + free
        yield f"  {name:<27}{''.join(f'{each:>12,}' for each in figures)}"


def _told(title: str, counts: Mapping[str, int], words: Mapping[str, str]) -> Iterator[str]:
    if not counts:
        return
    yield ""
    yield title
    for kind, count in counts.items():
        yield from _wrapped(f"{count:,}", f"{words[kind]}")
        if kind in _REMEDIES:
            yield from _wrapped("", f"-> {_REMEDIES[kind]}")


def _reasons(question: Question, proof: Proof) -> Iterator[str]:
    found = [
        (schema, status, count)
        for schema, statuses in proof.reasons.items()
        for status, count in sorted(statuses.items())
        if count and _is_told(status, schema, question)
    ]
    if not found:
        return
    yield ""
    yield "By reason"
    for schema, status, count in found:
        yield from _wrapped(f"{count:,}", f"{_cut(schema, 26)}: {status}")
    yield ""
    yield "What helps"
    for status in sorted({status for _, status, _ in found}):
        yield f"  {status}"
        yield from _wrapped("", remedy_of(status), 4)


def _is_told(status: str, schema: str, question: Question) -> bool:
    if status.startswith(FAILED):
        return not status.endswith("_DUPLICATE_EVENT")
    if status.startswith(COMPLETED):
        return not status.endswith("_EVENT_METERED") and schema not in question.free
    return True


def _named(proof: Proof) -> Iterator[str]:
    if not proof.named and not proof.not_named:
        return
    yield ""
    yield f"By name ({plural(len(proof.named), 'event')}; --ids FILE writes all)"
    by_status: dict[str, list[Named]] = {}
    for each in proof.named:
        by_status.setdefault(each.status, []).append(each)
    for status, named in by_status.items():
        yield f"  {status}"
        yield from (f"    {each.id:<36}  {_cut(each.account, 34)}".rstrip() for each in named[:_MOST_NAMED])
        if len(named) > _MOST_NAMED:
            yield f"    and {len(named) - _MOST_NAMED:,} more"
    if proof.not_named:
        yield from _wrapped("-", f"others are not known by name: {proof.not_named}", 4)


def _listed(title: str, texts: Sequence[str]) -> Iterator[str]:
    told = [text for text in texts if text]
    if told:
        yield ""
        yield title
    for text in told:
        yield from _wrapped("-", text, 4)


def _wrapped(head: str, text: str, indent: int = _FIGURE + 2) -> Iterator[str]:
    """Yield a text in lines that a terminal need not wrap; ``head`` stands before the first."""
    line, room = "", WIDTH - indent
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > room:
            yield f"{head:>{indent - 2}}  {line}".rstrip()
            head, line = "", word
        else:
            line = f"{line} {word}" if line else word
    yield f"{head:>{indent - 2}}  {line}".rstrip()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


# --- for programs -------------------------------------------------------------------------------------------


def proof_json(question: Question, proof: Proof) -> dict[str, Any]:
    """Return all of it as JSON has it."""
    judgement = proof.judgement
    return {
        "days": [str(day) for day in question.days],
        "day_rule": question.used_rule,
        "verdict": judgement.verdict.name.lower().replace("_", " "),
        "unbilled": judgement.unbilled,
        "open": judgement.open,
        "open_count": judgement.open_count,
        "doubts": list(judgement.doubts),
        "is_metering_told": proof.is_metering_told,
        "cells": [
            {
                "day": str(cell.day),
                "schema": cell.schema,
                "tracked": each.ours.tracked,
                "delivered": each.ours.delivered,
                "metered": each.theirs.metered,
                "duplicates": each.theirs.duplicates,
                "unbilled": each.unbilled,
                "open": each.open,
            }
            for cell, each in judgement.cells.items()
        ],
        "reasons": proof.reasons,
        "events": [event_json(each) for each in proof.named],
        "not_named": proof.not_named,
        "covered": [source.covers for source in (*question.sources, *question.others)],
        "requests": proof.requests,
    }


def event_json(each: Named) -> dict[str, str]:
    """Return an event that is not billed as JSON has it, with what helps."""
    helps = _REMEDIES[MISSING] if each.status == MISSING else remedy_of(each.status)
    return {
        "id": each.id,
        "schema": each.schema,
        "account": each.account,
        "timestamp": each.happened,
        "status": each.status,
        "description": each.description,
        "remedy": helps,
    }
