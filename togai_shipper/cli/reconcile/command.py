"""``togai-shipper reconcile``: prove that all events of a day, or a month, were billed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import attrs
import click

from togai_shipper import ConfigurationError
from togai_shipper.cli.options import base_url_option, json_option, look_up_rate_option, relay_name_option
from togai_shipper.cli.private_files import new_file
from togai_shipper.cli.terminal import print_outcome
from togai_shipper.cli.togai_asked import togai_asked, togai_options
from togai_shipper.relay.url import checked_name

from .expectation import read_expectation
from .facts import DAY_RULES, DayRule
from .naming import Named
from .period import days_asked
from .proving import Question, prove
from .sources import journals_in, source_of
from .table import event_json, lines, proof_json
from .verdict import with_neighbours


@attrs.frozen
class Today:
    """Says what time it is."""

    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)


_RECONCILE_HELP = """
Prove a day, or a month: that every event which was tracked is billed.

Our side are the journals of spools (DIR) and of relays (URL), those that "spool journal export" has
written (JOURNAL), and files of counts (--expect): CSV with the columns day, schema, perhaps account, and
count; or id in place of count, for the very ids. All of them add up. Togai's side are its own counts.
Nothing is sent again, and nothing is corrected.

Balanced is said only where both sides agree exactly, nobody else can have sent what fills a gap, and the
day ended over 24 hours ago. Where it cannot be told, that is said, with the number of events.

Exit status: 0 balanced; 1 some events are not billed; 3 it cannot be told; 2 for wrong usage.

\b
Examples:
  togai-shipper reconcile --sole-sender --day-rule event /var/lib/spool
  togai-shipper reconcile --sole-sender --day-rule event redis://redis:6379
  togai-shipper reconcile --month 2026-11 --expect our.csv --others its.csv
  togai-shipper reconcile --day 2026-11-28 --expect ids.csv --ids unbilled
"""


@click.command(help=_RECONCILE_HELP)
@click.argument("places", nargs=-1, metavar="[DIR|URL|JOURNAL]...")
@click.option("--day", metavar="D", help="The day (UTC): 2026-11-28.  [default: the last that can be proven]")
@click.option("--month", metavar="M", help="A month in place of a day: 2026-11.")
@relay_name_option()
@click.option("--expect", multiple=True, metavar="FILE", help="What should be there: a CSV file (see below).")
@click.option("--others", multiple=True, metavar="FILE", help="What other senders have sent: such a file.")
@click.option("--sole-sender", is_flag=True, envvar="TOGAI_SOLE_SENDER", help="Nobody else sends events.")
@click.option(
    "--day-rule",
    type=click.Choice(DAY_RULES),
    envvar="TOGAI_DAY_RULE",
    help="To which day Togai counts an event: to that of its own time, or of its receipt.",
)
@click.option("--free", multiple=True, metavar="SCHEMA", help="Its events are not meant to be metered.")
@look_up_rate_option
@click.option("--ids", "ids_path", metavar="FILE", help="Write the events that are not billed to a new file.")
@base_url_option
@json_option()
@click.pass_context
def reconcile(
    ctx: click.Context,
    /,
    *,
    places: Sequence[str],
    day: str | None,
    month: str | None,
    name: str,
    expect: Sequence[str],
    others: Sequence[str],
    sole_sender: bool,
    day_rule: DayRule | None,
    free: Sequence[str],
    rate_limit: float,
    ids_path: str | None,
    base_url: str | None,
    as_json: bool,
) -> None:
    """Prove a day, or a month: that every event which was tracked is billed."""
    now = (ctx.find_object(Today) or Today()).now()
    try:
        days = days_asked(day, month, now)
        config = togai_options(os.environ, **({} if base_url is None else {"base_url": base_url}))
        journals = [
            source_of(each, with_neighbours(days), now)
            for each in journals_in(places, config.base_url, checked_name(name))
        ]
        ours = [*journals, *(read_expectation(path) for path in expect)]
        theirs = [read_expectation(path) for path in others]
    except (ValueError, ConfigurationError) as error:
        raise click.UsageError(str(error)) from error
    if not ours:
        raise click.UsageError(
            "nothing to compare with: name a directory, a relay, a journal, or a file with --expect"
        )
    question = Question(days, ours, theirs, sole_sender, day_rule, frozenset(free), now)
    with togai_asked(config, rate_limit) as togai:
        proof = prove(question, togai)
    print_outcome(list(lines(question, proof)), proof_json(question, proof) if as_json else None)
    if ids_path is not None:
        _write(Path(ids_path), proof.named)
    ctx.exit(proof.judgement.verdict)


def _write(path: Path, named: Sequence[Named]) -> None:
    """Write a line for each event. Raises ``ClickException``."""
    try:
        with new_file(path) as file:
            file.writelines(json.dumps(event_json(each)).encode() + b"\n" for each in named)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from error
