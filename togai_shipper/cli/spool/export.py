"""``spool export``: write dead letters, or pending events, as NDJSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from togai_shipper.cli.formats import now_ms, plural
from togai_shipper.cli.private_files import NotReplaced, new_file
from togai_shipper.cli.streams import stop_if_lost
from togai_shipper.cli.terminal import print_line, printable_line
from togai_shipper.spool.rows import CORRUPT, is_past_window

from .selection import Selection, chosen, filters
from .source import Source, opened, source_arguments
from .view import exit_with_problems

_EXPORT_HELP = """
Write dead letters as NDJSON: one event a line, in Togai's own JSON.

All of them, or those that match every option. They stay where they are. You can correct what is written,
and send it with togai-shipper send; an event that keeps its id is billed once. What is damaged on disk is
left out.

\b
Examples:
  togai-shipper spool export DIR > dead.ndjson
  togai-shipper spool export --schema api_call --output dead.ndjson DIR
  togai-shipper spool export --pending DIR | wc -l
"""


@click.command(help=_EXPORT_HELP)
@source_arguments
@filters
@click.option("--pending", is_flag=True, help="Pending events, instead of dead letters.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this new file instead of standard output.",
)
@click.pass_context
def export(
    ctx: click.Context, /, *, directory: str, name: str, pending: bool, output: Path | None, **given: Any
) -> None:
    """Write dead letters as NDJSON: one event a line, in Togai's own JSON."""
    selection = Selection(**given)
    if pending and selection.is_of_dead_letters:
        option = "--reason" if selection.reasons else "--group"
        raise click.UsageError(f"{option} chooses dead letters, and pending events are not dead")
    with opened(directory, name) as source:
        _write(source, selection, output, pending=pending)
    exit_with_problems(ctx, source.problems)


def _write(source: Source, selection: Selection, output: Path | None, *, pending: bool) -> None:
    now, count, damaged, old = now_ms(), 0, 0, 0
    events = source.pending() if pending else source.dead()
    with _written_to(output) as write:
        for event in chosen(events, selection, now):
            if event.letter and event.letter.reason == CORRUPT:
                damaged += 1
                continue
            count += 1
            old += bool(event.letter and is_past_window(event.letter, now))
            write(event.body)
    print_line(f"{plural(count, 'event')} written to {output or 'standard output'}.", err=True)
    if old:
        print_line(
            f"{old:,} of them were accepted over 40 days ago: if Togai has them, sending them again may bill"
            " them twice.",
            err=True,
        )
    if damaged:
        print_line(f"{damaged:,} damaged on disk, and left out.", err=True)


@contextmanager
def _written_to(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Give what writes a line to standard output, or to a new file."""
    if output is None:
        yield _on_standard_output(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        stop_if_lost()
        return
    try:
        with new_file(output) as stream:
            yield lambda line: stream.write(line + b"\n")
    except NotReplaced as error:
        raise click.ClickException(f"{output}: {error.strerror}") from error
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from error


def _on_standard_output(stream: BinaryIO) -> Callable[[bytes], object]:
    made = printable_line if stream.isatty() else bytes

    def write(line: bytes) -> None:
        stream.write(made(line) + b"\n")
        stop_if_lost()

    return write
