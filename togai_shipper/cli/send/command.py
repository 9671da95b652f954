"""``togai-shipper send``: its options, and how it is put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from togai_shipper import ConfigurationError, Shipper
from togai_shipper._config import Config
from togai_shipper._secret import hidden
from togai_shipper.cli.beside_a_relay import has_relay, shipping_to_togai
from togai_shipper.cli.options import base_url_option, json_option
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.spool.trial import why_unusable
from togai_shipper.cli.terminal import print_json, print_lines, print_outcome

from . import summary
from .catalog_warnings import warnings_by
from .chosen import check_for_csv, check_inputs, check_rejects, chosen_inputs, is_csv
from .claiming import Refused
from .delimiters import delimiter_of
from .event_fields import FieldSource, map_of
from .first_lines import FIRST, why_all_bad
from .inputs import LineFormat
from .jobs import as_json as json_of_jobs
from .jobs import lines_of as lines_of_jobs
from .jobs import read_jobs
from .keeping import Keeping
from .meaning import NULL
from .recorded import Ending, recorded
from .rejects import RejectsFile
from .results import LineResults, Tally
from .sending import say_on, send_all
from .shipment import Shipment
from .state import NoPlace, default_spool, record_of_jobs

QUEUE = 20_000  # events in memory: 40 batches, ten for each that is being sent
FOR_EVER = 1_000_000.0  # seconds (12 days) that track() waits while the buffer is full


def _map(_ctx: click.Context, _option: click.Parameter, given: Sequence[str]) -> dict[str, FieldSource]:
    try:
        return map_of(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _delimiter(_ctx: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    try:
        return None if given is None else delimiter_of(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_SEND_HELP = """
Send the events of files: NDJSON or CSV, packed by gzip or not; - is standard input.

A line of NDJSON is an event as Togai writes it, or as track() takes it:

\b
  {"schemaName": "api_call", "accountId": "acme",
   "timestamp": "2026-01-31T23:59:59Z",
   "attributes": [{"name": "ms", "value": "9", "unit": "Milliseconds"}],
   "dimensions": {"region": "eu"}}
  {"schema_name": "api_call", "account_id": "acme",
   "timestamp": "2026-01-31T23:59:59Z",
   "attributes": {"count": 1, "ms": [9, "Milliseconds"]}}

It may have an id, or an idempotency_key. Objects in an array, one after another, or over several lines
are sent, too; each counts as a line.

The columns of a CSV file are named schema_name, account_id,
timestamp, id, idempotency_key, attributes.NAME, attributes.NAME.unit and dimensions.NAME, or --map says
which columns these are. An empty cell, or --null, means that the row does not have the field.

Lines of NDJSON may have another shape: --map account_id=customer.id leads into nested objects, and
usage.0.calls into lists. A dot of a name is written \\., as in 'app\\.version'.

A timestamp names its zone: 2026-01-31T23:59:59Z, 2026-01-31 23:59:59 UTC, or an offset as +0000 or -08.
Numbers, and times without a zone, are not guessed at.

You can stop it (Ctrl-C, SIGTERM, SIGHUP) and run it again. A line without an id gets one that is made
from the job's name, the line itself, and how often the same line has come before: it is the same in each
run. Togai counts an id once in 45 days.

A record of what was sent is kept, without its content. A job that was sent with another mapping is
refused, and so is a line that has the id of another file's line: then --job gives new ids, and
--same-events keeps them. A file that was sent under another name is refused, unless --job says which
ids its lines have. --jobs shows what was sent.

The lines go to Togai itself, also where TOGAI_RELAY is set: then at 5 requests a second, so that the
relay's drainer keeps its share of the quota, or at TOGAI_RATE_LIMIT.

A last row of CSV without a line end may be the beginning of a longer one, where the file is still being
written or its writer has died. It is left for the next run, unless --complete says that it is all there.
So is half an object of JSON, and the end of an array that is not closed.

A bad line is printed with its number and the reason, and the others are sent. Where the first 20 lines of
a file are all bad for the same reason, nothing is sent, unless you --keep-going. The API key is read from
TOGAI_API_KEY.

What is read is kept on disk until it is settled, and is sent by the next run if this one is killed. Where
that cannot be, it says so and goes on, but not where --spool names the directory. A file is read as far
as it goes when the command begins: what is appended meanwhile is left for the next run, and told.

Exit status: 0 if all that the files hold is delivered, 1 if something is not, 2 for wrong usage.

\b
Examples:
  togai-shipper send usage.ndjson
  togai-shipper send --dry-run --rejects bad.csv january.csv.gz
  togai-shipper send --dry-run --catalog togai-schemas.json january.csv.gz
  togai-shipper send --jobs
  producer | togai-shipper send --job "producer of 2026-01-31" -
  togai-shipper send usage.ndjson --map account_id=customer.id
  togai-shipper send calls.csv --map account_id=customer --map timestamp=at
      --map attributes.count=n --map dimensions.region=region
      --map schema_name==api_call
"""


@click.command(help=_SEND_HELP)
@click.argument("files", metavar="FILE...", nargs=-1)
@click.option(
    "--job", metavar="NAME", help="A name that the ids of lines are made from.  [default: the file's name]"
)
@click.option(
    "--same-events",
    is_flag=True,
    help="Keep the ids of a job that was sent with another mapping, or from another file.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv"]),
    help="What the files hold; ndjson: JSON, whether it is one object a line or not."
    "  [default: CSV if the name ends in .csv or .tsv, else JSON]",
)
@click.option(
    "--map",
    "mapped",
    metavar="FIELD=SOURCE",
    multiple=True,
    callback=_map,
    help="Which column is FIELD, or for NDJSON which path (customer.id, items.0.count). FIELD==TEXT: the same"
    " text in each line. May be repeated.",
)
@click.option(
    "--ignore-unknown", is_flag=True, help="Ignore columns, or members of objects, that are no fields."
)
@click.option(
    "--null", metavar="TEXT", help="A cell of CSV with this text is as an empty one.  [default: \\N]"
)
@click.option(
    "--delimiter",
    metavar="CHARACTER",
    callback=_delimiter,
    help="What separates the columns of a CSV file; tab: a tab."
    "  [default: what a line sep=; at its beginning says, a tab if the name ends in .tsv, else a comma]",
)
@click.option(
    "--complete",
    is_flag=True,
    help="Send the last row of a CSV file also if no line end follows it: the file is all there.",
)
@click.option(
    "--keep-going",
    is_flag=True,
    help=f"Send what is good also where the first {FIRST} lines of a file are all bad for the same reason.",
)
@click.option(
    "--rejects",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write bad lines to this file, as they are. It is replaced, and only you can read it.",
)
@click.option("--dry-run", is_flag=True, help="Check every line, send nothing. Needs no key.")
@click.option(
    "--catalog",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help='With --dry-run: warn of what Togai would not bill, by its event schemas in FILE; see "catalog".',
)
@base_url_option
@click.option(
    "--spool",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Keep events there until they are settled.  [default: a directory for this user and key]",
)
@click.option("--no-spool", is_flag=True, help="Keep events in memory only.")
@json_option("the summary")
@click.option("--jobs", is_flag=True, help="Show what was sent with this key, send nothing.")
@click.pass_context
def send(
    ctx: click.Context,
    *,
    files: Sequence[str],
    job: str | None,
    same_events: bool,
    format_: str | None,
    mapped: dict[str, FieldSource],
    delimiter: str | None,
    ignore_unknown: bool,
    null: str | None,
    complete: bool,
    keep_going: bool,
    rejects: Path | None,
    dry_run: bool,
    catalog: Path | None,
    base_url: str | None,
    spool: str | None,
    no_spool: bool,
    as_json: bool,
    jobs: bool,
) -> None:
    """Send the events of files: NDJSON or CSV, packed by gzip or not; - is standard input."""
    record_place = partial(record_of_jobs, hidden(os.environ), base_url, spool)
    if jobs:
        _show_jobs(record_place, as_json=as_json)
        return
    inputs = chosen_inputs(
        files,
        job,
        lambda name: LineFormat(
            is_csv=is_csv(name, format_),
            mapped=mapped,
            ignoring=ignore_unknown,
            delimiter=delimiter,
            null=NULL if null is None else null,
            complete=complete,
        ),
    )
    sources = [source for source, _ in inputs]
    for option, given in (("--null", null), ("--delimiter", delimiter)):
        check_for_csv(option, sources if given is not None else ())
    check_inputs(sources)
    if rejects is not None:
        check_rejects(rejects, sources, files)
    warnings = warnings_by(catalog, dry_run=dry_run)
    if spool is not None and no_spool:
        raise click.UsageError("--spool and --no-spool exclude each other.")

    screen = Screen(stderr=True)
    say = say_on(screen)
    # Without a relay: each line's outcome is told, and a relay does not know it.
    options = shipping_to_togai(os.environ, {} if base_url is None else {"base_url": base_url})
    place = None if no_spool or dry_run else spool or _spool_at_home(base_url)

    def make(**hooks: Any) -> Shipper:
        return Shipper(
            enabled=not dry_run,
            strict=True,
            overflow="block",
            block_timeout=FOR_EVER,
            max_queue_size=QUEUE,
            spool=place,
            before_send=warnings.look,
            **hooks,
            **options,
        )

    kept = None if rejects is None else RejectsFile(rejects)
    results = LineResults(say, kept)
    try:
        if not keep_going and (stopped_by := why_all_bad(sources)) is not None:
            _stop(stopped_by, results, as_json=as_json, dry_run=dry_run)
        sent = Shipment(make, results)
    except ConfigurationError as error:
        hint = " (a relay does not take the lines: send ships to Togai itself)"
        is_told = has_relay(os.environ) and str(error).startswith("api_key:")
        raise click.UsageError(f"{error}{hint if is_told else ''}") from error
    keeping = _keeping(place, say, options, is_asked_for=spool is not None)
    record = recorded(
        record_place, inputs, results, say, job_is_named=job is not None, same_events=same_events
    )
    try:
        with nullcontext(Ending()) if dry_run else record as ending, kept or nullcontext():
            tally = send_all(sent, results, inputs, screen, say, keeping, dry_run=dry_run)
            ending.note(tally)
    except Refused as error:
        sent.shipper.close()
        raise click.UsageError(str(error)) from error
    print_lines(warnings.lines(), err=True)
    print_outcome([*summary.lines_of(tally)], summary.as_json(tally, results) if as_json else None)
    ctx.exit(tally.exit_status)


def _keeping(
    place: str | None, say: Callable[[str], None], options: Mapping[str, Any], *, is_asked_for: bool
) -> Keeping:
    """Say whether the spool can be used; one that was asked for has to be."""
    keeping = Keeping(place, say)
    if place is not None and (why := why_unusable(place, Config.load(os.environ, **options))) is not None:
        if is_asked_for:
            raise click.UsageError(f"--spool {why}")
        keeping.fail(why)
    return keeping


def _stop(stopped_by: str, results: LineResults, *, as_json: bool, dry_run: bool) -> NoReturn:
    if as_json:
        tally = Tally(complete=False, stopped_by=stopped_by, dry_run=dry_run)
        print_json(summary.as_json(tally, results), indent=2)
    raise click.ClickException(stopped_by)


def _spool_at_home(base_url: str | None) -> str | None:
    with suppress(NoPlace):  # it is told with the record, which is there, too
        return default_spool(hidden(os.environ), base_url)
    return None


def _show_jobs(place: Callable[[], Path], *, as_json: bool) -> None:
    known = read_jobs(place)
    if as_json:
        print_json(json_of_jobs(known), indent=2)
    else:
        print_lines(lines_of_jobs(known))
