"""Put what is in a spool into words, and into JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.table import Table
from rich.text import Text

from togai_shipper.cli.formats import age, moment, plural, size
from togai_shipper.cli.processes import FAILURES, WARNINGS, grouped, process_json, remedy, sentence, word
from togai_shipper.cli.screen import Screen, styled
from togai_shipper.cli.terminal import print_line
from togai_shipper.spool.rows import CORRUPT

from .causes import Group, time_of
from .events import StoredEvent
from .files import ASIDE, DAMAGED, FOREIGN, LEFT, OK, UNREADABLE, FileFacts, owner_text

MOST_CAUSES = 5  # that are listed beside the files
MOST_FILES = 200  # that are listed, unless another number is asked for: a terminal's table takes its time
_ADVICE = {
    ASIDE: "No process reads it any more: remove it once the damage has been examined.",
    DAMAGED: "The next process that starts saves what can be read, and sets it aside.",
    FOREIGN: "It is not opened from here, nor sent.",
    LEFT: "It is left alone.",
    UNREADABLE: "Are you allowed to read it?",
}


def reasons_text(reasons: Mapping[str, int]) -> str:
    """List how many there are for each reason: ``3 rejected, 1 past dedupe window``."""
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())


def exit_with_problems(ctx: click.Context, problems: Sequence[str], *, failed: bool = False) -> NoReturn:
    """Print the problems, and exit: with status 1 if there are any, or if the command has ``failed``."""
    for problem in problems:
        print_line(f"Error: {problem}", err=True)
    ctx.exit(1 if problems or failed else 0)


# --- the files --------------------------------------------------------------------------------------------


def totals(directory: str, files: Sequence[FileFacts]) -> FileFacts:
    """Add up all files, as if they were one."""
    dead: Counter[str] = Counter()
    for facts in files:
        dead.update(facts.dead)
    return FileFacts(
        path=Path(directory),
        pending=sum(facts.pending for facts in files),
        oldest_ms=min((facts.oldest_ms for facts in files if facts.oldest_ms is not None), default=None),
        disk_bytes=sum(facts.disk_bytes for facts in files),
        dead=dict(dead.most_common()),
    )


def show_files(
    screen: Screen,
    directory: str,
    files: Sequence[FileFacts],
    groups: Sequence[Group],
    now_ms: int,
    most: int = MOST_FILES,
) -> None:
    """Print a row for each file, ``most`` of them at most, and remarks below.

    ``groups``: the dead letters in all files, by cause.
    """
    if not files:
        screen.say(f"{directory}: no spool file is here.")
        return
    total = totals(directory, files)
    table = Table(box=None, padding=(0, 2, 0, 0), show_footer=len(files) > 1, footer_style="bold")
    table.add_column("file", plural(len(files), "file"), overflow="fold")
    table.add_column("owner")
    table.add_column("pending", f"{total.pending:,}", justify="right")
    table.add_column("oldest", _oldest(total, now_ms), justify="right")
    table.add_column("dead", f"{sum(total.dead.values()):,}", justify="right")
    table.add_column("disk", size(total.disk_bytes), justify="right")
    table.add_column("state")
    listed, others = _listed(files, most, now_ms)
    for facts in listed:
        table.add_row(*_cells(facts, now_ms), style="" if _is_well(facts, now_ms) else "yellow")
    screen.draw(table)
    if others:
        states = Counter(_state(facts, now_ms) for facts in others)
        screen.say(
            f"{plural(len(others), 'more file')}: {reasons_text(dict(states.most_common()))}."
            f" To list them: --limit {len(files)}, or --json."
        )
    troubles = [f"{f.path.name}: {f.why}. {_ADVICE[f.state]}" for f in files if f.state != OK]
    show_causes(screen, directory, groups, now_ms)
    for remark in (troubles, *_processes(directory, files, now_ms), *_remarks(directory, files)):
        for line in ["", *remark] if remark else []:
            screen.say(line)


def _listed(
    files: Sequence[FileFacts], most: int, now_ms: int
) -> tuple[Sequence[FileFacts], Sequence[FileFacts]]:
    """Divide them into those with a row, at first what is not well, in their order; and the others."""
    if len(files) <= most:
        return files, ()
    worst = sorted(range(len(files)), key=lambda place: _is_well(files[place], now_ms))
    chosen = set(worst[:most])
    return (
        [facts for place, facts in enumerate(files) if place in chosen],
        [facts for place, facts in enumerate(files) if place not in chosen],
    )


def show_causes(screen: Screen, place: str, groups: Sequence[Group], now_ms: int) -> None:
    """Print the first causes of dead letters, and how to see all; nothing where there are none."""
    if not groups:
        return
    reasons = Counter[str]()
    for group in groups:
        reasons[group.cause.reason] += group.count
    screen.say("")
    screen.say(f"Dead letters: {reasons_text(dict(reasons.most_common()))}; times are UTC.")
    for line in group_lines(groups[:MOST_CAUSES], now_ms):
        screen.say(line)
    screen.say("See all causes:" if len(groups) > MOST_CAUSES else "See what to do:")
    screen.say(f"  togai-shipper spool dead {place}")


def group_lines(groups: Sequence[Group], now_ms: int) -> Iterator[str]:
    """Say each cause in a line: how many, why, of what schema, since and until when, and the group's name."""
    width = max(len(f"{group.count:,}") for group in groups)
    for group in groups:
        schema = group.cause.schema_name
        parts = [
            f"{group.count:{width},}",
            str(group.cause),
            *([schema] if schema else []),
            f"first {time_of(group.first_ms, now_ms)}",
            f"last {time_of(group.last_ms, now_ms)}",
            group.cause.group,
        ]
        yield "  ".join(parts)


def group_json(group: Group) -> dict[str, Any]:
    """Return the events of one cause, for JSON."""
    return {
        "group": group.cause.group,
        "count": group.count,
        "reason": group.cause.reason,
        "status": group.cause.status,
        "message": group.cause.message,
        "schema_name": group.cause.schema_name or None,
        "first": moment(group.first_ms),
        "last": moment(group.last_ms),
    }


def _cells(facts: FileFacts, now_ms: int) -> Iterator[Text]:
    known = facts.state == OK
    yield styled(facts.path.name)
    yield styled("" if facts.state == ASIDE else owner_text(facts.owner))
    yield styled(f"{facts.pending:,}" if known else "?")
    yield styled(_oldest(facts, now_ms))
    yield styled(f"{sum(facts.dead.values()):,}" if known else "?")
    yield styled(size(facts.disk_bytes))
    yield styled(_state(facts, now_ms))


def _state(facts: FileFacts, now_ms: int) -> str:
    """Say what is wrong with the file, or how its process stands."""
    return word(facts.process, now_ms) if facts.state == OK else facts.state


def _is_well(facts: FileFacts, now_ms: int) -> bool:
    return _state(facts, now_ms) not in (*FAILURES, *WARNINGS) and facts.state == OK


def _oldest(facts: FileFacts, now_ms: int) -> str:
    return "" if facts.oldest_ms is None else age((now_ms - facts.oldest_ms) / 1000)


def _processes(directory: str, files: Sequence[FileFacts], now_ms: int) -> Iterator[list[str]]:
    """Say how living processes stand, where that is not well, and what to do."""
    living = [facts.process for facts in files if facts.state == OK and facts.owner is not None]
    for alike in grouped(living, now_ms):
        what = word(alike[0], now_ms)
        if what in (*FAILURES, *WARNINGS):
            advice = remedy(alike[0], directory, now_ms).splitlines()
            yield [f"{sentence(alike, now_ms)}.", *(f"  {line}" for line in advice)]
        elif what == "unknown":
            yield [f"{sentence(alike, now_ms)}."]


def _remarks(directory: str, files: Sequence[FileFacts]) -> Iterator[list[str]]:
    """Say what the table does not, a few lines at a time."""
    left = sum(facts.pending for facts in files if facts.owner is None)
    if left:
        are = "event is" if left == 1 else "events are"
        yield [
            f"{left:,} {are} in files whose process is gone. The next process that starts",
            "with this spool sends them; if none will, send them yourself:",
            f"  togai-shipper drain {directory}",
        ]
    words = {facts.report.why for facts in files if facts.owner is None and facts.pending and facts.report}
    for why in sorted(filter(None, words)):
        yield [f"What such a process has said last: {why}."]
    ways = {way for facts in files if (way := _way(facts))}
    if len(ways) == 1:
        yield [f"Events go to {ways.pop()}."]
    for way in sorted(ways):
        names = ", ".join(facts.path.name for facts in files if _way(facts) == way)
        yield [f"To {way}: {names}."]


def _way(facts: FileFacts) -> str:
    """Say where the events of a file go: to a relay first, if its process hands them over."""
    relay = _relay(facts)
    return f"the relay {relay}, and from there to {facts.base_url}" if relay else facts.base_url


def _relay(facts: FileFacts) -> str:
    return facts.report.relay if facts.owner is not None and facts.report else ""


def files_json(
    directory: str, files: Sequence[FileFacts], now_ms: int, why_not_written: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the files and their totals, for JSON."""
    return {
        "directory": directory,
        "remarks": list(why_not_written),
        "files": [
            {
                "path": str(facts.path),
                "state": facts.state,
                "why": facts.why,
                "owner_alive": facts.owner is not None,
                "owner_pid": facts.owner or None,
                "base_url": facts.base_url or None,
                "relay": _relay(facts) or None,
                "process": process_json(facts.process, now_ms) if facts.owner is not None else None,
                **_counts(facts),
            }
            for facts in files
        ],
        "totals": _counts(totals(directory, files)),
    }


def _counts(facts: FileFacts) -> dict[str, Any]:
    return {
        "pending": facts.pending,
        "oldest": None if facts.oldest_ms is None else moment(facts.oldest_ms),
        "dead": sum(facts.dead.values()),
        "dead_by_reason": dict(facts.dead),
        "disk_bytes": facts.disk_bytes,
    }


# --- events -----------------------------------------------------------------------------------------------


def event_json(event: StoredEvent) -> dict[str, Any]:
    """Return an event, and where it is, for JSON."""
    facts: dict[str, Any] = {
        "id": event.id,
        "state": "dead" if event.letter else "pending",
        "schema_name": event.schema_name or None,
        "account_id": event.account_id or None,
        "accepted": moment(event.accepted_ms),
        "file" if isinstance(event.path, Path) else "key": str(event.path),
        "number": event.number,
    }
    if event.letter:
        facts |= {
            "reason": event.letter.reason,
            "status": event.letter.status,
            "message": event.letter.message,
            "attempts": event.letter.attempts,
            "dead_since": moment(event.letter.dead_ms),
        }
    return facts


def letter_lines(event: StoredEvent, now_ms: int) -> Iterator[str]:
    """Say in two or three lines which event it is, why it is dead, and what Togai replied."""
    letter = event.letter
    assert letter  # noqa: S101  only dead letters are passed
    what = " for ".join(filter(None, (event.schema_name, event.account_id))) or "what it was cannot be read"
    status = "" if letter.status is None else f" ({letter.status})"
    yield f"{letter.id}  {what}"
    since = f", {_when(letter.dead_ms, now_ms)}" if letter.dead_ms else ""
    yield f"  {letter.reason}{status}{since}"
    if letter.message:
        yield f"  {letter.message}"


def event_lines(event: StoredEvent, now_ms: int) -> Iterator[str]:
    """Say everything about one event."""
    letter = event.letter
    if letter:
        yield f"{event.id} is dead: {letter.reason}"
    else:
        yield f"{event.id} is pending: it will be sent"
    facts = {
        "status": "" if letter is None or letter.status is None else str(letter.status),
        "message": letter.message if letter else "",
        "requests": str(letter.attempts) if letter else "",
        "accepted": _when(event.accepted_ms, now_ms),
        "dead": _when(letter.dead_ms, now_ms) if letter else "",
        "file" if isinstance(event.path, Path) else "key": f"{event.path}, number {event.number}",
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:10}{value}"
    if event.wire:
        if letter and letter.reason == CORRUPT:
            yield "  What follows is damaged: it is not what was accepted."
        yield from json.dumps(event.wire, indent=2, ensure_ascii=False).split("\n")
    else:
        yield f"  {'remains':10}{event.body!r}"


def _when(milliseconds: int, now_ms: int) -> str:
    return f"{moment(milliseconds)}, {age((now_ms - milliseconds) / 1000)} ago"
