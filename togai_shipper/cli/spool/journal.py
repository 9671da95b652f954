"""``spool journal``: show what was delivered from a spool by day and schema, or write it down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

import click
from rich.table import Table

from togai_shipper._journal import Fate, Journal, JournalError, read_journals, written
from togai_shipper.cli.relay_journal import journal_of_relay
from togai_shipper.cli.screen import Screen, styled
from togai_shipper.cli.terminal import print_line, print_lines
from togai_shipper.relay.url import checked_name, is_url, shown

from .directory import open_folder
from .source import source_arguments

FATES: tuple[Fate, ...] = ("delivered", "waiting", "dead", "purged", "dropped")


class _ShowsByItself(click.Group):
    """A group whose first word may be left out: then it shows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


_JOURNAL_HELP = """
Show what was delivered from a spool, or a relay, by day and schema.

It is counted as the events leave, and kept for 90 days: of a spool by every process that has or had a
file there, of a relay by its drainers. With journal="ids", a spool keeps the ids as well, for 35 days.
Days are those of UTC, by the events' own time.

\b
Examples:
  togai-shipper spool journal DIR
  togai-shipper spool journal export DIR > journal.jsonl
  togai-shipper spool journal redis://redis:6379

Exit status: 0; 1 if something cannot be read, or may be counted twice or not at all.
"""


@click.group(cls=_ShowsByItself, help=_JOURNAL_HELP)
def journal() -> None:
    """Show what was delivered from a spool, or a relay, by day and schema."""


_SHOW_HELP = "Show how many events of each day and schema there were, and what became of them."


@journal.command(help=_SHOW_HELP)
@source_arguments
@click.pass_context
def show(ctx: click.Context, /, *, directory: str, name: str) -> None:
    """Show how many events of each day and schema there were, and what became of them."""
    journals = _read(directory, name)
    screen = Screen()
    if not any(each.counts for each in journals):
        screen.say(f"{shown(directory) if is_url(directory) else directory}: nothing is counted here.")
    else:
        screen.draw(_table(journals))
    print_lines(
        f"{_who(each)}: {each.since:%Y-%m-%dT%H:%MZ} to {each.until:%Y-%m-%dT%H:%MZ}"
        for each in sorted(journals, key=lambda each: each.since)
        if each.counts
    )
    _exit(ctx, journals)


_EXPORT_HELP = """
Write the journals as JSON lines, to be proven elsewhere.

Each has an id of its own: of two exports that hold the same one, the later counts.
"""


@journal.command(help=_EXPORT_HELP)
@source_arguments
@click.pass_context
def export(ctx: click.Context, /, *, directory: str, name: str) -> None:
    """Write the journals as JSON lines, to be proven elsewhere."""
    journals = _read(directory, name)
    for line in written(journals):
        print_line(line)
    _exit(ctx, journals)


def _who(each: Journal) -> str:
    return (
        f"relay {each.host}" if each.kind == "relay" else f"{each.host or '?'}, process {each.process or '?'}"
    )


def _read(directory: str, name: str) -> list[Journal]:
    try:
        if is_url(directory):
            return [journal_of_relay(directory, checked_name(name))]
        open_folder(directory)
        return read_journals(directory)
    except JournalError as error:
        raise click.ClickException(str(error)) from error


def _table(journals: Sequence[Journal]) -> Table:
    rows: dict[tuple[date, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in journals:
        for count in each.counts:
            rows[count.event_day, count.schema][count.fate] += count.count
    fates = [fate for fate in FATES if any(row[fate] for row in rows.values())]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("day", "schema"):
        table.add_column(name, overflow="fold")
    for fate in fates:
        table.add_column(fate, justify="right")
    for (day, schema), row in sorted(rows.items()):
        table.add_row(
            day.isoformat() if day != date.min else "?",
            styled(schema or "?"),
            *(f"{row[fate]:,}" for fate in fates),
        )
    return table


def _exit(ctx: click.Context, journals: Sequence[Journal]) -> None:
    doubts = [f"{each.why_not}" for each in journals if not each.is_complete]
    doubts += [why for each in journals if each.is_complete for why in each.in_doubt()]
    print_lines((f"Not complete: {why}" for why in doubts), err=True)
    ctx.exit(1 if doubts else 0)
