"""``togai-shipper events``: look at events in Togai."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice

import attrs
import click

from togai_shipper import ConfigurationError
from togai_shipper.cli.events_asked import EventRecord, pages, records_of
from togai_shipper.cli.formats import plural
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.options import base_url_option, json_option, look_up_rate_option
from togai_shipper.cli.terminal import print_json, print_line, print_lines
from togai_shipper.cli.togai_asked import TogaiAsked, togai_asked, togai_options

from .following import EVERY, Following
from .records import event_lines, is_billed, is_unprocessed, record_json, record_line, status_of

MOST_PAGES = 1_000
UNBILLED = 1  # exit status


@attrs.frozen
class Rhythm:
    """Says what time it is, and waits from one look to the next."""

    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    wait: Callable[[float], object] = time.sleep


_EVENTS_HELP = """
Look at events in Togai: those with these IDs, or those that it did not process.

Togai has a record of each arrival of an ID; one that came again is a duplicate, and no harm. It is billed
if one of its records is metered.

With --follow it asks for the counts of yesterday and today, once a minute. Run one of them for an
account: all look-ups of an organisation share a quota.

Exit status: 0 if all IDs are billed, or nothing is unprocessed; 1 if not; 3 if Togai does not answer;
2 for wrong usage.

\b
Examples:
  togai-shipper events order-7 order-8
  togai-shipper events --unprocessed --reason ACCOUNT_NOT_FOUND --json
  togai-shipper events --unprocessed --follow
"""


@click.command(help=_EVENTS_HELP)
@click.argument("event_ids", nargs=-1, metavar="[ID]...")
@click.option("--unprocessed", is_flag=True, help="List the events that Togai did not process.")
@click.option("--schema", metavar="NAME", help="Those of this event schema.")
@click.option("--account", metavar="ID", help="Those of this account.")
@click.option("--reason", metavar="REASON", help="Those with this reason: SCHEMA_NOT_DEFINED, for example.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    metavar="N",
    help="Print N events at most.",
)
@click.option(
    "--follow", is_flag=True, help="Count them once a minute, and tell what is new. Ctrl-C ends it."
)
@look_up_rate_option
@base_url_option
@json_option("a line for each record")
@click.pass_context
def events(
    ctx: click.Context,
    /,
    *,
    event_ids: Sequence[str],
    unprocessed: bool,
    schema: str | None,
    account: str | None,
    reason: str | None,
    limit: int,
    follow: bool,
    rate_limit: float,
    base_url: str | None,
    as_json: bool,
) -> None:
    """Look at events in Togai: those with these IDs, or those that it did not process."""
    if bool(event_ids) == unprocessed:
        raise click.UsageError("give IDs, or --unprocessed")
    if event_ids and any((follow, schema, account, reason)):
        raise click.UsageError("--follow, --schema, --account and --reason go with --unprocessed")
    if follow and as_json:
        raise click.UsageError("--follow prints lines: leave out --json")
    try:
        config = togai_options(os.environ, **({} if base_url is None else {"base_url": base_url}))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    status = None if reason is None else status_of(reason)
    with togai_asked(config, rate_limit) as togai:
        if event_ids:
            ctx.exit(0 if _show(togai, event_ids, as_json=as_json) else UNBILLED)
        if follow:
            _follow(Following(togai, schema, account, status), ctx.find_object(Rhythm) or Rhythm())
        found = islice(_unprocessed(togai, schema, account, status), limit)
        count = _list(found, as_json=as_json)
    if count == limit:
        print_line(f"These are {plural(count, 'event')}; there may be more: --limit", err=True)
    ctx.exit(UNBILLED if count else 0)


def _show(togai: TogaiAsked, event_ids: Sequence[str], *, as_json: bool) -> bool:
    """Print what Togai has of these; return whether all are billed."""
    are_billed = True
    for event_id in event_ids:
        records = records_of(togai, event_id)
        are_billed &= is_billed(records)
        if not as_json:
            print_lines(event_lines(event_id, records))
            continue
        print_json(
            {
                "id": event_id,
                "is_billed": is_billed(records),
                "records": [record_json(each) for each in records],
            }
        )
    return are_billed


def _list(records: Iterable[EventRecord], *, as_json: bool) -> int:
    """Print records, and return how many."""
    count = 0
    for record in records:
        count += 1
        if as_json:
            print_json(record_json(record))
        else:
            print_line(record_line(record))
    if not count:
        print_line("Togai has no such event.", err=True)
    return count


def _unprocessed(
    togai: TogaiAsked, schema: str | None, account: str | None, status: str | None
) -> Iterator[EventRecord]:
    """Yield the events that Togai did not process: not the duplicates, which it lists among them."""
    given = {"schema_name": schema, "account_id": account}
    query = {name: value for name, value in given.items() if value}
    for page in pages(togai, MOST_PAGES, status=status or "UNPROCESSED", **query):
        yield from (each for each in page if is_unprocessed(each) and status in (None, each.status))


def _follow(following: Following, rhythm: Rhythm) -> None:
    """Print what is new, until somebody ends it. What is not answered is told, and asked again."""
    while True:
        try:
            print_lines(following.news(rhythm.now()))
        except NotAnswered as error:
            print_line(f"{error.message}; again in {EVERY:.0f} s", err=True)
        rhythm.wait(EVERY)
