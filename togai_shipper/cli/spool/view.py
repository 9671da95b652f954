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
from togai_shipper.cli.terminal import Screen, print_line, styled
from togai_shipper.spool.rows import CORRUPT

from .events import StoredEvent
from .files import ASIDE, DAMAGED, FOREIGN, LEFT, OK, UNREADABLE, FileFacts

_ADVICE = {
    ASIDE: "No process reads it any more: remove it once the damage has been examined.",
    DAMAGED: "The next process that starts saves what can be read, and sets it aside.",
    FOREIGN: "It is not opened from here, nor sent.",
    LEFT: "It is left alone.",
    UNREADABLE: "Are you allowed to read it?",
}


def owner_text(owner: int | None) -> str:
    """Name the owner of a file: ``pid 4711``."""
    if owner is None:
        return "none"
    return f"pid {owner}" if owner else "alive"  # in another container, whose pids cannot be seen


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


def show_files(screen: Screen, directory: str, files: Sequence[FileFacts], now_ms: int) -> None:
    """Print a row for each file, and remarks below."""
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
    for facts in files:
        table.add_row(*_cells(facts, now_ms), style="" if facts.state == OK else "yellow")
    screen.print(table)
    troubles = [f"{f.path.name}: {f.why}. {_ADVICE[f.state]}" for f in files if f.state != OK]
    for remark in (troubles, *_remarks(directory, files, total)):
        for line in ["", *remark] if remark else []:
            screen.say(line)


def _cells(facts: FileFacts, now_ms: int) -> Iterator[Text]:
    known = facts.state == OK
    yield styled(facts.path.name)
    yield styled("" if facts.state == ASIDE else owner_text(facts.owner))
    yield styled(f"{facts.pending:,}" if known else "?")
    yield styled(_oldest(facts, now_ms))
    yield styled(f"{sum(facts.dead.values()):,}" if known else "?")
    yield styled(size(facts.disk_bytes))
    yield styled(facts.state)


def _oldest(facts: FileFacts, now_ms: int) -> str:
    return "" if facts.oldest_ms is None else age((now_ms - facts.oldest_ms) / 1000)


def _remarks(directory: str, files: Sequence[FileFacts], total: FileFacts) -> Iterator[list[str]]:
    """Say what the table does not, a few lines at a time."""
    if total.dead:
        see = f"togai-shipper spool ls --dead {directory}"
        yield [f"Dead letters: {reasons_text(total.dead)}. See them:", f"  {see}"]
    left = sum(facts.pending for facts in files if facts.owner is None)
    if left:
        are = "event is" if left == 1 else "events are"
        yield [
            f"{left:,} {are} in files whose process is gone. The next process that starts",
            "with this spool sends them; if none will, send them yourself:",
            f"  togai-shipper drain {directory}",
        ]
    urls = {facts.base_url for facts in files if facts.base_url}
    if len(urls) == 1:
        yield [f"Events go to {urls.pop()}."]
    for url in sorted(urls):
        names = ", ".join(facts.path.name for facts in files if facts.base_url == url)
        yield [f"To {url}: {names}."]


def files_json(directory: str, files: Sequence[FileFacts]) -> dict[str, Any]:
    """Return the files and their totals, for JSON."""
    return {
        "directory": directory,
        "files": [
            {
                "path": str(facts.path),
                "state": facts.state,
                "why": facts.why,
                "owner_alive": facts.owner is not None,
                "owner_pid": facts.owner or None,
                "base_url": facts.base_url or None,
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
    since = f", {age((now_ms - letter.dead_ms) / 1000)} ago" if letter.dead_ms else ""
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
