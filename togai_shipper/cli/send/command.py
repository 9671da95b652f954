"""``togai-shipper send``: its options, and how it is put together."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from togai_shipper import ConfigurationError, Shipper
from togai_shipper._secret import Secret, hidden
from togai_shipper.cli.captured_log import captured_log
from togai_shipper.cli.display import display_on, shown_by_a_thread
from togai_shipper.cli.terminal import Screen, print_json, print_line, print_lines

from . import summary
from .columns import BadHeader, FieldSource, map_of
from .inputs import Input, LineFormat, Unreadable, total
from .progress import SendLines, SendPicture, SendProgress
from .rejects import RejectsFile
from .results import LineResults, Tally
from .shipment import Shipment, job_of

QUEUE = 20_000  # events in memory: 40 batches, ten for each that is being sent
FOR_EVER = 1_000_000.0  # seconds (12 days) that track() waits while the buffer is full


def _map(_ctx: click.Context, _option: click.Parameter, given: Sequence[str]) -> dict[str, FieldSource]:
    try:
        return map_of(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--job", help="A name that the ids of lines are made from.  [default: the file's name]")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv"]),
    help="What the files hold.  [default: CSV if the name ends in .csv, else NDJSON]",
)
@click.option(
    "--map",
    "mapped",
    metavar="FIELD=COLUMN",
    multiple=True,
    callback=_map,
    help="Which column of a CSV file is FIELD. FIELD==TEXT: the same text in each row. May be repeated.",
)
@click.option("--ignore-unknown", is_flag=True, help="Ignore unknown CSV columns.")
@click.option(
    "--rejects",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write bad lines to this file, as they are. It is replaced, and only you can read it.",
)
@click.option("--dry-run", is_flag=True, help="Check every line, send nothing. Needs no key.")
@click.option("--base-url", metavar="URL", help="Where to send to.  [default: TOGAI_BASE_URL, or Togai]")
@click.option(
    "--spool",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Keep events there until they are settled.  [default: a directory for this user and key]",
)
@click.option("--no-spool", is_flag=True, help="Keep events in memory only.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def send(
    ctx: click.Context,
    *,
    files: Sequence[str],
    job: str | None,
    format_: str | None,
    mapped: dict[str, FieldSource],
    ignore_unknown: bool,
    rejects: Path | None,
    dry_run: bool,
    base_url: str | None,
    spool: str | None,
    no_spool: bool,
    as_json: bool,
) -> None:
    """Send the events of files: NDJSON or CSV, gzipped if named .gz; - is standard input.

    A line of NDJSON is an event as Togai writes it, or as track() takes it:

    \b
      {"schemaName": "api_call", "accountId": "acme",
       "timestamp": "2026-01-31T23:59:59Z",
       "attributes": [{"name": "ms", "value": "9", "unit": "Milliseconds"}],
       "dimensions": {"region": "eu"}}
      {"schema_name": "api_call", "account_id": "acme",
       "timestamp": "2026-01-31T23:59:59Z",
       "attributes": {"count": 1, "ms": [9, "Milliseconds"]}}

    It may have an id, or an idempotency_key. The columns of a CSV file are named schema_name, account_id,
    timestamp, id, idempotency_key, attributes.NAME, attributes.NAME.unit and dimensions.NAME, or --map says
    which columns these are. An empty cell means that the row does not have the field.

    You can stop it (Ctrl-C, SIGTERM) and run it again. A line without an id gets one that is made from the
    job's name, the line itself, and how often the same line has come before: it is the same in each run.
    Togai counts an id once in 45 days.

    A bad line is printed with its number and the reason, and the others are sent. The API key is read from
    TOGAI_API_KEY.

    Exit status: 0 if all is delivered, 1 if something is not, 2 for wrong usage.

    \b
    Examples:
      togai-shipper send usage.ndjson
      togai-shipper send --dry-run --rejects bad.csv january.csv.gz
      producer | togai-shipper send --job "producer of 2026-01-31" -
      togai-shipper send calls.csv --map account_id=customer --map timestamp=at
          --map attributes.count=n --map dimensions.region=region
          --map schema_name==api_call
    """  # noqa: D301  \b is click's sign for "keep these lines"
    inputs = _inputs(files, job, format_, mapped, ignoring=ignore_unknown)
    sources = [source for source, _ in inputs]
    if mapped and not any(source.form.is_csv for source in sources):
        raise click.UsageError("--map is for CSV, and no file is CSV; see --format.")
    _check(sources)
    if rejects is not None:
        _check_rejects(rejects, sources, files)
    if spool is not None and no_spool:
        raise click.UsageError("--spool and --no-spool exclude each other.")

    screen = Screen(stderr=True)
    say = _say(screen)

    def make(**hooks: Any) -> Shipper:
        options: dict[str, Any] = {} if base_url is None else {"base_url": base_url}
        options["relay"] = None  # each line's outcome is told, and a relay does not know it
        return Shipper(
            enabled=not dry_run,
            strict=True,
            overflow="block",
            block_timeout=FOR_EVER,
            max_queue_size=QUEUE,
            spool=None if no_spool or dry_run else spool or default_spool(hidden(os.environ), base_url),
            **hooks,
            **options,
        )

    kept = None if rejects is None else RejectsFile(rejects)
    results = LineResults(say, kept)
    try:
        sent = Shipment(make, results)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    with kept or nullcontext():
        tally = _send_all(sent, results, inputs, screen, say, dry_run=dry_run)
    if as_json:
        print_json(summary.as_json(tally, results), indent=2)
    else:
        print_lines(summary.lines_of(tally))
    ctx.exit(tally.exit_status)


def _send_all(
    sent: Shipment,
    results: LineResults,
    inputs: Sequence[tuple[Input, str]],
    screen: Screen,
    say: Callable[[str], None],
    *,
    dry_run: bool,
) -> Tally:
    """Send everything, and show the progress; Ctrl-C and SIGTERM end it early."""
    sources = [source for source, _ in inputs]
    began = time.monotonic()
    size = total(sources)

    def look() -> SendProgress:
        stats = sent.shipper.stats()
        return SendProgress(
            seconds=time.monotonic() - began,
            lines=results.lines,
            delivered=stats.delivered,
            bad=results.bad + stats.rejected,
            done=sum(source.position() for source in sources),
            total=size,
            trouble=stats.last_error,
        )

    complete = False
    # Log lines are not shown: problems of events are printed with their lines, all else is in the progress.
    with _sigterm_as_ctrl_c(), captured_log():
        try:
            with (
                display_on(screen, SendPicture().draw, SendLines(say).print) as show,
                shown_by_a_thread(show, look),
            ):
                complete = sent.run(inputs)
        except KeyboardInterrupt:
            say("Stopping. Waiting for what is being sent; press Ctrl-C again to stop at once.")
        finally:
            _close(sent.shipper)
    stats = sent.shipper.stats()
    return results.close(stats, complete=complete, dry_run=dry_run, seconds=time.monotonic() - began)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _close(shipper: Shipper) -> None:
    with suppress(KeyboardInterrupt):  # a second Ctrl-C: the library has given up what was left
        shipper.close()


# --- the inputs -----------------------------------------------------------------------------------


def _inputs(
    files: Sequence[str],
    job: str | None,
    format_: str | None,
    mapped: dict[str, FieldSource],
    *,
    ignoring: bool,
) -> list[tuple[Input, str]]:
    """Return the inputs, each with the name of its job."""
    if "-" not in files:
        return [
            (
                Input(
                    click.format_filename(name), Path(name), _form(name, format_, mapped, ignoring=ignoring)
                ),
                job or job_of(Path(name)),
            )
            for name in files
        ]
    if len(files) > 1:
        raise click.UsageError("- (standard input) cannot be combined with files.")
    if not job:
        raise click.UsageError("- (standard input) has no name to make ids from: give it one with --job.")
    form = _form("", format_, mapped, ignoring=ignoring)
    return [(Input("-", None, form, stdin=sys.stdin.buffer), job)]


def _form(name: str, format_: str | None, mapped: dict[str, FieldSource], *, ignoring: bool) -> LineFormat:
    is_csv = format_ == "csv" if format_ else name.removesuffix(".gz").lower().endswith(".csv")
    return LineFormat(is_csv=is_csv, mapped=mapped, ignoring=ignoring)


def _check(sources: Sequence[Input]) -> None:
    """Check before anything is sent that each input can be opened, and has columns that make events."""
    for source in sources:
        try:
            source.check()
        except (Unreadable, BadHeader) as error:
            raise click.UsageError(f"{source.name}: {error}") from error


def _check_rejects(rejects: Path, sources: Sequence[Input], files: Sequence[str]) -> None:
    """Check that bad lines can be kept in this file, and sent from it."""
    if rejects.exists() and any(Path(name).exists() and rejects.samefile(name) for name in files):
        raise click.UsageError(f"--rejects {rejects}: is one of the files to send.")
    if len({(source.form.is_csv, source.header) for source in sources}) > 1:
        raise click.UsageError(
            "--rejects takes lines of one format: send files with other columns separately."
        )


def default_spool(environ: Secret[Mapping[str, str]], base_url: str | None) -> str:
    """Return this user's spool for this key and URL: no other key may deliver what this one has left."""
    state = environ.reveal().get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    url = base_url or environ.reveal().get("TOGAI_BASE_URL", "")
    whose = hashlib.blake2b(f"{url}\0".encode(errors="surrogateescape"), digest_size=8)
    whose.update(environ.reveal().get("TOGAI_API_KEY", "").encode(errors="surrogateescape"))
    return str(Path(state) / "togai-shipper" / "spool" / whose.hexdigest())


def _say(screen: Screen) -> Callable[[str], None]:
    """Return what prints a line; beside a picture that is redrawn, only its screen may."""
    return screen.say if screen.is_interactive else partial(print_line, err=True)
