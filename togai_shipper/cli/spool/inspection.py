"""``spool ls``, ``dead``, ``show`` and ``verify``: what waits in a spool, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring as quoted
from typing import Any

import click

from togai_shipper.cli.formats import now_ms, plural
from togai_shipper.cli.options import json_option
from togai_shipper.cli.terminal import print_json, print_lines

from .causes import Group, grouped
from .events import StoredEvent
from .selection import Selection, chosen, filters
from .source import Source, opened, source_arguments
from .verification import Findings
from .view import (
    MOST_FILES,
    event_json,
    event_lines,
    exit_with_problems,
    group_json,
    group_lines,
    letter_lines,
)

_LS_HELP = """
List the files of a spool, or what a relay holds; or dead letters.

Each process has a file of its own, and is its owner. The next process that starts takes over the files
that have no owner. Dead letters are events that Togai refused, or that are too old to be sent again
without the risk that they are billed twice.

\b
Examples:
  togai-shipper spool ls /var/lib/app/togai-spool
  togai-shipper spool ls --dead --reason rejected --newer-than 1d DIR
  togai-shipper spool ls --json DIR
  togai-shipper spool ls redis://redis.example.com
"""


@click.command(help=_LS_HELP)
@source_arguments
@click.option("--dead", is_flag=True, help="List dead letters: those that match the options below.")
@filters
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"Print N files at most, or {MOST_FILES}, what is not well first; with --dead, N dead letters.",
)
@json_option("for dead letters, a line for each")
@click.pass_context
def ls(
    ctx: click.Context,
    /,
    *,
    directory: str,
    name: str,
    dead: bool,
    limit: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """List the files of a spool, or what a relay holds; or dead letters."""
    selection = Selection(**given)
    with opened(directory, name) as source:
        if dead:
            _list_dead(ctx, source, selection, limit, as_json=as_json)
        elif selection.is_everything:
            source.show(as_json=as_json, most=limit or MOST_FILES)
        else:
            raise click.UsageError("these options choose dead letters: add --dead")


def _list_dead(
    ctx: click.Context, source: Source, selection: Selection, limit: int | None, *, as_json: bool
) -> None:
    count = 0
    for event in chosen(source.dead(), selection, now_ms()):
        count += 1
        if limit is not None and count > limit:
            continue
        if as_json:
            print_json(event_json(event))
        else:
            print_lines(letter_lines(event, now_ms()))
    if not as_json:
        shown = "" if limit is None or count <= limit else f", {limit:,} of them shown"
        total = f"{plural(count, 'dead letter')}{shown}."
        print_lines(["", total] if count else ["No dead letter matches."])
    exit_with_problems(ctx, source.problems)


_DEAD_COMMAND_HELP = """
Say why events are dead: a line for each cause, with how many, since when, and until when.

The last word of a line names the group of these events, for --group of ls --dead, replay, export and
purge. Causes differ by reason, status, message (but for the event's id) and schema.

\b
Examples:
  togai-shipper spool dead DIR
  togai-shipper spool dead --newer-than 1d DIR
  togai-shipper spool replay --group 1a2b3c DIR
"""


@click.command("dead", help=_DEAD_COMMAND_HELP)
@source_arguments
@filters
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Print N causes at most; JSON has all.",
)
@json_option("a line for each cause")
@click.pass_context
def dead_command(
    ctx: click.Context, /, *, directory: str, name: str, limit: int, as_json: bool, **given: Any
) -> None:
    """Say why events are dead: a line for each cause, with how many, since when, and until when."""
    now = now_ms()
    with opened(directory, name) as source:
        groups = grouped(chosen(source.dead(), Selection(**given), now))
    if as_json:
        for group in groups:
            print_json(group_json(group))
    elif groups:
        print_lines(group_lines(groups[:limit], now))
        print_lines(_what_to_do(source.place, groups, limit))
    else:
        print_lines(["No dead letter matches."])
    exit_with_problems(ctx, source.problems)


def _what_to_do(place: str, groups: Sequence[Group], limit: int) -> Iterator[str]:
    count = sum(group.count for group in groups)
    shown = "" if len(groups) <= limit else f", {limit:,} of them shown"
    yield ""
    yield f"{plural(count, 'dead letter')} of {plural(len(groups), 'cause')}{shown}; times are UTC."
    yield "Of one group:"
    name = groups[0].cause.group
    yield f"  togai-shipper spool ls --dead --limit 5 --group {name} {place}"
    yield f"  togai-shipper spool replay --group {name} {place}"
    yield f"  togai-shipper spool export --group {name} {place}"


_SHOW_HELP = """
Show the event with this ID: its content, where it is, and why.

It is looked for among the pending events and the dead letters. If it is in neither (exit status 1), it
was delivered, or never was in this spool or relay.

\b
Examples:
  togai-shipper spool show 9f86d081884c7d659a2feaa0c55ad015 DIR
  TOGAI_SPOOL=DIR togai-shipper spool show order-7
"""


@click.command(help=_SHOW_HELP)
@click.argument("event_id", metavar="ID")
@source_arguments
@json_option("a line for each place where it is")
@click.pass_context
def show(ctx: click.Context, /, *, event_id: str, directory: str, name: str, as_json: bool) -> None:
    """Show the event with this ID: its content, where it is, and why."""
    found = 0
    written = quoted(event_id).encode()  # as it stands in a body: so few bodies need decoding
    with opened(directory, name) as source:
        for events in (source.dead(), source.pending()):
            for event in events:
                if (event.letter or written in event.body) and event.id == event_id:
                    found += 1
                    _show(event, as_json=as_json)
    if found:
        return
    nowhere = f"{source.place}: no event {event_id!r} is here"
    exit_with_problems(ctx, [*dict.fromkeys(source.problems), nowhere])  # each file was read twice


def _show(event: StoredEvent, *, as_json: bool) -> None:
    if as_json:
        print_json({**event_json(event), "event": event.wire or None})
    else:
        print_lines(event_lines(event, now_ms()))


_VERIFY_COMMAND_HELP = """
Check each file, and the checksum of every event in it; or each entry and dead letter of a relay.

It reads everything and changes nothing; 1 GB takes about a minute. A damaged event is never sent; the
application keeps it as a dead letter, and logs that. What is in a relay and is not ours is named; no
drainer sends or deletes it.

Exit status: 0 if all is whole, 1 if anything is not, or if an earlier process has set a file aside.

\b
Examples:
  togai-shipper spool verify DIR
  togai-shipper spool verify --json DIR
"""


@click.command("verify", help=_VERIFY_COMMAND_HELP)
@source_arguments
@json_option("a line for each file")
@click.pass_context
def verify_command(ctx: click.Context, /, *, directory: str, name: str, as_json: bool) -> None:
    """Check each file, and the checksum of every event in it; or each entry and dead letter of a relay."""
    wrong = checked = 0
    with opened(directory, name) as source:
        for findings in source.findings():
            checked += 1
            wrong += bool(findings.problems)
            if as_json:
                print_json(_findings_json(findings))
            else:
                print_lines(_findings_lines(findings))
    if not as_json:
        verdict = ["", *_verdict(source, checked, wrong)]
        print_lines(verdict if checked else [f"{source.place}: no spool file is here."])
    ctx.exit(1 if wrong else 0)


def _verdict(source: Source, checked: int, wrong: int) -> list[str]:
    count = plural(checked, source.part)
    if not wrong:
        return [f"{count} checked: all is whole."]
    first, *rest = source.advice()
    return [f"{count} checked, {wrong} with a problem. {first}", *rest]


def _findings_lines(findings: Findings) -> Iterator[str]:
    counts = f": {plural(findings.pending, 'pending event')}, {plural(findings.dead, 'dead letter')}"
    mark = "PROBLEM" if findings.problems else "ok     "
    yield f"{mark}  {findings.path.name}{counts if findings.is_readable else ''}"
    for problem in findings.problems:
        yield f"         {problem}"


def _findings_json(findings: Findings) -> dict[str, Any]:
    return {
        "path": str(findings.path),
        "ok": not findings.problems,
        "pending": findings.pending,
        "dead": findings.dead,
        "problems": findings.problems,
    }
