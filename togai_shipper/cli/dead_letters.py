"""Dead letters: send them again, write them down, or forget them."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

from togai_shipper.spool.requests import What
from togai_shipper.spool.rows import CORRUPT, is_past_window

from . import errand as errands
from .amounts import now_ms, plural
from .errand import Errand, Result, Waiting
from .inventory import Entry, Reading, directory_argument, open_folder
from .selection import Selection, chosen, filters
from .spool_view import owner_text, reasons_text


def conclude(ctx: click.Context, problems: Sequence[str], *, failed: bool = False) -> None:
    """Tell what could not be read; that is exit status 1, since nothing is passed over silently."""
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    ctx.exit(1 if problems or failed else 0)


# --- replay ---


@click.command()
@directory_argument
@filters
@click.option(
    "--past-dedupe-window",
    "risky",
    is_flag=True,
    help="Also what was accepted over 40 days ago, which Togai may bill twice.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_context
def replay(ctx: click.Context, /, *, directory: str, risky: bool, as_json: bool, **given: Any) -> None:
    """Make dead letters pending again, so that they are sent once more.

    All of them, or those that fit every option. They keep their ids. Togai counts one id once in 45 days; if
    an older event did arrive at the time, it is billed a second time, so these are left unless
    --past-dedupe-window is given: look first whether Togai has them. What is damaged on disk is always left.

    A file that a process has is changed by that process, within about a second. In a file that nobody has
    they wait for the next process that starts, or for togai-shipper drain DIR.

    Exit status: 0 if all is done or left to its process, else 1.

    \b
    Examples:
      togai-shipper spool replay DIR
      togai-shipper spool replay --schema api_call --newer-than 2d DIR
      togai-shipper spool replay --id order-7 DIR
    """  # noqa: D301  \b is click's sign for "keep these lines"
    reading, selection, now = Reading(open_folder(directory)), Selection(**given), now_ms()
    numbers: dict[Path, list[int]] = {}
    left: Counter[str] = Counter()
    for entry in chosen(reading.dead(), selection, now_ms()):
        why = _why_left(entry, now, risky=risky)
        if why:
            left[why] += 1
        else:
            numbers.setdefault(entry.path, []).append(entry.number)
    results = _run(ctx, directory, "replay", numbers)
    if as_json:
        click.echo(_results_json(results, "replayed", left))
    else:
        for line in (*_told(results, "pending again"), *_told_left(left), *_told_where(directory, results)):
            click.echo(line)
    conclude(ctx, reading.problems, failed=_have_failed(results))


def _why_left(entry: Entry, now: int, *, risky: bool) -> str:
    """Why a dead letter is not replayed; empty if it is."""
    assert entry.letter  # noqa: S101  it is about dead ones alone
    if entry.letter.reason == CORRUPT:
        return "damaged"
    return "past dedupe window" if not risky and is_past_window(entry.letter, now) else ""


@click.command()
@directory_argument
@filters
@click.option("--all", "everything", is_flag=True, help="Every dead letter; needed where no option chooses.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_context
def purge(
    ctx: click.Context, /, *, directory: str, everything: bool, yes: bool, as_json: bool, **given: Any
) -> None:
    """Delete dead letters for ever; what they were is never billed.

    Those that fit every option. Export them first, if there is doubt. Pending events are not touched.

    Exit status: 0 if all is done or left to its process, else 1.

    \b
    Examples:
      togai-shipper spool purge --reason rejected --older-than 30d DIR
      togai-shipper spool purge --all --yes DIR
    """  # noqa: D301  \b is click's sign for "keep these lines"
    reading, selection = Reading(open_folder(directory)), Selection(**given)
    if selection.is_everything and not everything:
        raise click.UsageError("say which (--reason, --older-than, ...), or --all for every dead letter")
    numbers: dict[Path, list[int]] = {}
    reasons: Counter[str] = Counter()
    for entry in chosen(reading.dead(), selection, now_ms()):
        numbers.setdefault(entry.path, []).append(entry.number)
        reasons[entry.letter.reason if entry.letter else ""] += 1
    if numbers and not yes:
        question = f"Delete {plural(reasons.total(), 'dead letter')} for ever ({reasons_text(reasons)})?"
        click.confirm(question, abort=True, err=True)
    results = _run(ctx, directory, "purge", numbers)
    if as_json:
        click.echo(_results_json(results, "purged", Counter()))
    else:
        for line in _told(results, "deleted"):
            click.echo(line)
    conclude(ctx, reading.problems, failed=_have_failed(results))


def _run(ctx: click.Context, directory: str, what: What, numbers: dict[Path, list[int]]) -> list[Result]:
    errand = Errand(open_folder(directory), ctx.find_object(Waiting) or Waiting())
    return [errand.run(path, what, its) for path, its in numbers.items()]


def _have_failed(results: Sequence[Result]) -> bool:
    return any(result.state in (errands.GONE, errands.FAILED) for result in results)


def _told(results: Sequence[Result], done: str) -> Iterator[str]:
    count = sum(result.count for result in results if result.state == errands.DONE)
    if count or not results:
        yield (
            f"{plural(count, 'dead letter is', 'dead letters are')} {done}."
            if count
            else "No dead letter fits."
        )
    for result in results:
        letters = plural(result.count, "dead letter")
        match result.state:
            case errands.ASKED:
                yield (
                    f"{result.path.name}: {letters}: its process ({owner_text(result.by)}) has been asked,"
                    " and will do it later."
                )
            case errands.GONE:
                yield (
                    f"{result.path.name}: is gone meanwhile, with {letters}; another process may have taken"
                    " them over: try again."
                )
            case errands.FAILED:
                yield f"{result.path.name}: {letters} left as before: {result.why}"


def _told_left(left: Counter[str]) -> Iterator[str]:
    if left["past dedupe window"]:
        yield (
            f"{left['past dedupe window']:,} left: accepted over 40 days ago. If Togai did get one, it may"
            " bill it again.\nIf Togai has none of them, replay them with --past-dedupe-window."
        )
    if left["damaged"]:
        yield f"{left['damaged']:,} left: damaged on disk (reason {CORRUPT}), and never sent."


def _told_where(directory: str, results: Sequence[Result]) -> Iterator[str]:
    count = sum(result.count for result in results if result.state == errands.DONE and result.by is None)
    if count:
        yield (
            f"{count:,} of them in files that no process has: the next one that starts sends them, or this:\n"
            f"  togai-shipper drain {directory}"
        )


def _results_json(results: Sequence[Result], done: str, left: Counter[str]) -> str:
    counts: Counter[str] = Counter()
    for result in results:
        counts[result.state] += result.count
    return json.dumps(
        {
            done: counts[errands.DONE],
            "asked": counts[errands.ASKED],
            "failed": counts[errands.FAILED] + counts[errands.GONE],
            "left": dict(left),
            "files": [
                {
                    "path": str(result.path),
                    "state": result.state,
                    "count": result.count,
                    "owner_pid": result.by or None,
                    "why": result.why,
                }
                for result in results
            ],
        },
        indent=2,
    )


@click.command()
@directory_argument
@filters
@click.option("--pending", is_flag=True, help="What is still to be sent, instead of dead letters.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this new file, instead of standard output.",
)
@click.pass_context
def export(
    ctx: click.Context, /, *, directory: str, pending: bool, output: Path | None, **given: Any
) -> None:
    """Write dead letters as NDJSON: one event a line, in Togai's own JSON.

    All of them, or those that fit every option. They stay where they are. What is written can be corrected,
    and sent with togai-shipper send; an event that keeps its id is billed once. What is damaged on disk is
    left out.

    \b
    Examples:
      togai-shipper spool export DIR > dead.ndjson
      togai-shipper spool export --schema api_call --output dead.ndjson DIR
      togai-shipper spool export --pending DIR | wc -l
    """  # noqa: D301  \b is click's sign for "keep these lines"
    selection, now = Selection(**given), now_ms()
    if pending and selection.reasons:
        raise click.UsageError("--reason chooses dead letters, and --pending is what is not dead")
    reading = Reading(open_folder(directory))
    count, damaged, old = 0, 0, 0
    entries = reading.pending() if pending else reading.dead()
    with _written_to(output) as stream:
        for entry in chosen(entries, selection, now):
            if entry.letter and entry.letter.reason == CORRUPT:
                damaged += 1
                continue
            count += 1
            old += bool(entry.letter and is_past_window(entry.letter, now))
            stream.write(entry.body + b"\n")
    click.echo(f"{plural(count, 'event')} written to {output or 'standard output'}.", err=True)
    if old:
        click.echo(
            f"{old:,} of them were accepted over 40 days ago: if they did arrive then, sending them again may"
            " bill them twice.",
            err=True,
        )
    if damaged:
        click.echo(f"{damaged:,} damaged on disk, and left out.", err=True)
    conclude(ctx, reading.problems)


@contextmanager
def _written_to(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output; or a file that is there when it is whole, and for its owner alone."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if output.exists():
        raise click.ClickException(f"{output}: is there already, and is not written over")
    unfinished = Path(f"{output}.{os.getpid()}.partial")
    try:
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(fd)
        unfinished.rename(output)
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
