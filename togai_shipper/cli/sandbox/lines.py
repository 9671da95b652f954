"""The line of a request, and the line of an event. Pure.

A line is made of parts, each a text and its style. On a terminal it is as long as the terminal is wide: what
does not fit stands on the next line. Elsewhere it is one line, for ``grep``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from togai_shipper.cli.formats import plural, size
from togai_shipper.sandbox import faults as kinds
from togai_shipper.sandbox.event_outcome import EventOutcome
from togai_shipper.sandbox.journal import Answered

from .random_faults import FAULTS

Part: TypeAlias = tuple[str, str]  # a text, and its style
Line: TypeAlias = list[Part]

GOOD, DIM, WARNING, BAD = "", "dim", "yellow", "bold red"

_NAMES: Mapping[kinds.Fault | None, str] = {fault: name for name, fault in FAULTS.items()}
_SINGLE_AND_BATCH = ("/ingest", "/ingestBatch")
_STYLES = {"billed": GOOD, "known": DIM, "refused": WARNING, "not billed": BAD}
_MOST_SCHEMAS = 3  # named in a line
_MOST_TEXT = 60  # characters of a name or value
_REQUEST_INDENT, _EVENT_INDENT = " " * 5, " " * 17


def request_lines(request: Answered, width: int | None) -> list[Line]:
    """Return the line of a request; on a terminal of this width, as many as it needs."""
    head = _head(request)
    if not request.events:
        reason = [(request.reason, BAD)] if request.reason else []
        return _fitted([(head, _style(request)), *reason], width, _REQUEST_INDENT)
    parts = [(head, _style(request)), (_content(request.events), GOOD), *_trouble(request)]
    return _fitted(parts, width, _REQUEST_INDENT)


def event_lines(event: dict[str, Any], outcome: EventOutcome | None, width: int | None) -> list[Line]:
    """Return the line of an event, which stands below that of its request."""
    kind = outcome.kind if outcome is not None else "open"
    style = _STYLES.get(kind, DIM)
    reason = [(outcome.reason, style)] if outcome is not None and outcome.reason else []
    parts = [(f"{_REQUEST_INDENT}{kind:10}", style), (_text(event.get("id")), DIM), *reason]
    return _fitted([*parts, (" ".join(_words(event)), DIM)], width, _EVENT_INDENT)


def fault_of(request: Answered) -> str | None:
    """Return the name of the fault that it met; the latency that all requests have is none."""
    fault = request.fault
    if isinstance(fault, kinds.Slow) and fault not in _NAMES:
        fault = fault.then
    return _NAMES.get(fault)


# --- parts of a line --------------------------------------------------------------------------------------


def _head(request: Answered) -> str:
    where = request.path if request.path in _SINGLE_AND_BATCH and request.method == "POST" else ""
    where = where or f"{request.method} {_short(request.path)}"
    head = f"{request.status or '---'}  {where}"
    if not request.events:
        return head
    count, _, events = plural(len(request.events), "event").partition(" ")
    return f"{head:17} {count:>5} {events:6} {size(request.size):>7}"


def _content(events: Sequence[Mapping[str, Any]]) -> str:
    """Say of which schemas the events are, and for whom."""
    schemas = Counter(_text(event.get("schemaName")) for event in events)
    accounts = {_text(event.get("accountId")) for event in events}
    named = schemas.most_common(_MOST_SCHEMAS)
    what = ", ".join(name if len(schemas) == 1 else f"{name} {count:,}" for name, count in named)
    if len(schemas) > len(named):
        what += f", {len(schemas) - len(named):,} more"
    return f"{what} for {accounts.pop() if len(accounts) == 1 else plural(len(accounts), 'account')}"


def _trouble(request: Answered) -> Iterable[Part]:
    """Say what became of the events, unless all are billed and nothing went wrong."""
    fault = fault_of(request)
    if fault is not None:
        yield f"fault {fault}", WARNING
    counts: Counter[str] = Counter(outcome.kind for outcome in request.outcomes if outcome is not None)
    if fault is not None or len(counts) > 1:
        yield from [(f"{counts['billed']:,} billed", GOOD)] if counts["billed"] else []
    if counts["known"]:
        yield f"{counts['known']:,} known already", DIM
    for kind, style in (("refused", _style(request)), ("not billed", BAD)):
        if counts[kind]:
            why = Counter(each.reason for each in request.outcomes if each is not None and each.kind == kind)
            reason, count = why.most_common(1)[0]
            more = "" if len(why) == 1 else f" ({count:,}), and {plural(len(why) - 1, 'other reason')}"
            yield f"{counts[kind]:,} {kind}: {reason}{more}", style


def _style(request: Answered) -> str:
    """Return the style of the status: what comes again by itself is less bad than what does not."""
    status = request.status
    if status is None or status >= 500 or status in (207, 429):  # noqa: PLR2004  statuses
        return WARNING
    return BAD if status >= 400 else GOOD  # noqa: PLR2004  a status


def _words(event: Mapping[str, Any]) -> Iterable[str]:
    yield f"{_text(event.get('schemaName'))} for {_text(event.get('accountId'))}"
    attributes, dimensions = event.get("attributes"), event.get("dimensions")
    for each in attributes if isinstance(attributes, list) else []:
        if isinstance(each, dict):
            yield f"{_text(each.get('name'))}={_text(each.get('value'))}"
    for name, value in dimensions.items() if isinstance(dimensions, dict) else ():
        yield f"{_short(name)}={_text(value)}"


def _text(value: object) -> str:
    """Return a text as it is, and any other value as JSON, neither of them long."""
    return _short(value if isinstance(value, str) else json.dumps(value))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


# --- lines of a terminal's width --------------------------------------------------------------------------


def _fitted(parts: Sequence[Part], width: int | None, indent: str) -> list[Line]:
    """Put as many parts on each line as fit, two blanks between them; a part that is longer is divided."""
    lines: list[Line] = [[]]
    used = 0
    for text, style in parts:
        for piece in (
            [text] if width is None else _pieces(text, max(width - len(indent), 1), is_first=not used)
        ):
            gap = "  " if lines[-1] else ""
            if width is not None and lines[-1] and used + len(gap) + len(piece) > width:
                lines.append([(indent, "")])
                used, gap = len(indent), ""
            lines[-1].append((gap + piece, style))
            used += len(gap) + len(piece)
    return lines


def _pieces(text: str, room: int, *, is_first: bool) -> list[str]:
    """Divide a text at its blanks into pieces that fit into the room; what has no blank stays whole."""
    if is_first or len(text) <= room:
        return [text]
    pieces = [""]
    for word in text.split(" "):
        if pieces[-1] and len(pieces[-1]) + 1 + len(word) > room:
            pieces.append("")
        pieces[-1] += f" {word}" if pieces[-1] else word
    return pieces
