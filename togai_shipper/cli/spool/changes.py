"""``spool replay`` and ``spool purge``: make dead letters pending again, or delete them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click

from togai_shipper.cli.formats import now_ms, plural
from togai_shipper.cli.options import json_option
from togai_shipper.cli.terminal import confirm, print_outcome
from togai_shipper.spool.rows import CORRUPT, is_past_window

from .change_request import ChangeResult, ChangeState, WaitClock
from .events import Holder, StoredEvent
from .files import owner_text
from .selection import Selection, chosen, filters
from .source import Source, opened, source_arguments
from .view import exit_with_problems, reasons_text

_REPLAY_HELP = """
Make dead letters pending again, so that they are sent once more.

All of them, or those that match every option. They keep their ids. Togai counts an id once in 45 days: if
an older event had arrived, it would be billed again. So those accepted over 40 days ago are left out,
unless --past-dedupe-window is given; check first that Togai does not have them. Those that are damaged on
disk are always left out. With that option, pending events are sent, too, that no process has sent since
the clocks do not tell how old they are.

The owner of a file makes the change, within about a second. In a file without an owner they wait for the
next process that starts, or for togai-shipper drain DIR. In a relay they go back into the stream at once.

Exit status: 0 if all is done, or the owner will do it; else 1.

\b
Examples:
  togai-shipper spool replay DIR
  togai-shipper spool replay --schema api_call --newer-than 2d DIR
  togai-shipper spool replay --id order-7 DIR
"""


@click.command(help=_REPLAY_HELP)
@source_arguments
@filters
@click.option(
    "--past-dedupe-window",
    "risky",
    is_flag=True,
    help="Also those accepted over 40 days ago, or perhaps so, which Togai may bill twice.",
)
@json_option("what was done")
@click.pass_context
def replay(
    ctx: click.Context, /, *, directory: str, name: str, risky: bool, as_json: bool, **given: Any
) -> None:
    """Make dead letters pending again, so that they are sent once more."""
    selection, clock = Selection(**given), ctx.find_object(WaitClock) or WaitClock()
    with opened(directory, name) as source:
        numbers, unsure, left = _to_replay(source, selection, risky=risky)
        kept = source.change("send", unsure, clock, is_risky=False) if unsure else []
        letters = source.change("replay", numbers, clock, is_risky=risky) if numbers else []
    results = [*kept, *letters]
    told = [] if kept and not letters else [*_told(letters, "pending again")]
    if kept:
        told += _told(kept, "to be sent, however old", "pending event")
    told += (*_told_left(left), *source.sent_by(results))
    print_outcome(told, _results_json(results, "replayed", +left) if as_json else None)
    exit_with_problems(ctx, source.problems, failed=_have_failed(results))


def _to_replay(
    source: Source, selection: Selection, *, risky: bool
) -> tuple[dict[Holder, list[int]], dict[Holder, list[int]], Counter[str]]:
    """Return which letters to replay, which pending events to send, and how many are left, by reason."""
    now = now_ms()
    numbers: dict[Holder, list[int]] = {}
    left: Counter[str] = Counter()
    for event in chosen(source.dead(), selection, now_ms()):
        why = _why_left(event, now, risky=risky)
        if why:
            left[why] += 1
        else:
            numbers.setdefault(event.path, []).append(event.number)
    unsure: dict[Holder, list[int]] = {}
    for event in chosen(source.of_unsure_age(), selection, now):
        if risky:
            unsure.setdefault(event.path, []).append(event.number)
        else:
            left["of unknown age"] += event.is_kept
    return numbers, unsure, left


def _why_left(event: StoredEvent, now: int, *, risky: bool) -> str:
    """Return why a dead letter is not replayed; empty if it is."""
    assert event.letter  # noqa: S101  only dead letters are asked about
    if event.letter.reason == CORRUPT:
        return "damaged"
    return "past dedupe window" if not risky and is_past_window(event.letter, now) else ""


_PURGE_HELP = """
Delete dead letters for ever. Their events are never billed.

Those that match every option. If in doubt, export them first. Pending events are not touched.

Exit status: 0 if all is done, or the owner will do it; else 1.

\b
Examples:
  togai-shipper spool purge --reason rejected --older-than 30d DIR
  togai-shipper spool purge --all --yes DIR
"""


@click.command(help=_PURGE_HELP)
@source_arguments
@filters
@click.option(
    "--all", "everything", is_flag=True, help="Every dead letter. Needed if no option chooses some."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option("what was done")
@click.pass_context
def purge(
    ctx: click.Context,
    /,
    *,
    directory: str,
    name: str,
    everything: bool,
    yes: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Delete dead letters for ever. Their events are never billed."""
    selection, clock = Selection(**given), ctx.find_object(WaitClock) or WaitClock()
    if selection.is_everything and not everything:
        raise click.UsageError("choose some (--reason, --older-than, ...), or every dead letter with --all")
    numbers: dict[Holder, list[int]] = {}
    reasons: Counter[str] = Counter()
    with opened(directory, name) as source:
        for event in chosen(source.dead(), selection, now_ms()):
            numbers.setdefault(event.path, []).append(event.number)
            reasons[event.letter.reason if event.letter else ""] += 1
        if numbers and not yes:
            question = f"Delete {plural(reasons.total(), 'dead letter')} for ever ({reasons_text(reasons)})?"
            confirm(question)
        results = source.change("purge", numbers, clock, is_risky=False) if numbers else []
    told = [*_told(results, "deleted")]
    print_outcome(told, _results_json(results, "purged", Counter()) if as_json else None)
    exit_with_problems(ctx, source.problems, failed=_have_failed(results))


def _have_failed(results: Sequence[ChangeResult]) -> bool:
    return any(result.state in (ChangeState.GONE, ChangeState.FAILED) for result in results)


def _told(results: Sequence[ChangeResult], done: str, what: str = "dead letter") -> Iterator[str]:
    count = sum(result.count for result in results if result.state == ChangeState.DONE)
    if count or not results:
        yield (
            f"{plural(count, f'{what} is', f'{what}s are')} {done}." if count else "No dead letter matches."
        )
    for result in results:
        letters = plural(result.count, what)
        match result.state:
            case ChangeState.ASKED:
                yield (
                    f"{result.path.name}: {letters}: its process ({owner_text(result.by)}) has been asked,"
                    " and will do it later."
                )
            case ChangeState.GONE:
                yield (
                    f"{result.path.name}: has disappeared, with {letters}; another process may have taken"
                    " it over: try again."
                )
            case ChangeState.FAILED:
                yield f"{result.path.name}: {letters} unchanged: {result.why}"


def _told_left(left: Counter[str]) -> Iterator[str]:
    if left["past dedupe window"]:
        yield (
            f"{left['past dedupe window']:,} left: accepted over 40 days ago. Those that Togai has"
            " may be billed again."
        )
        yield "If Togai has none of them, replay them with --past-dedupe-window."
    if left["of unknown age"]:
        yield (
            f"{left['of unknown age']:,} pending, and left so: this machine's clock does not tell how old,"
            " and no process"
        )
        yield "sends them. If Togai has none of them, send them with --past-dedupe-window."
    if left["damaged"]:
        yield f"{left['damaged']:,} left: damaged on disk (reason {CORRUPT}); these are never sent."


def _results_json(results: Sequence[ChangeResult], done: str, left: Counter[str]) -> dict[str, Any]:
    counts: Counter[ChangeState] = Counter()
    for result in results:
        counts[result.state] += result.count
    return {
        done: counts[ChangeState.DONE],
        "asked": counts[ChangeState.ASKED],
        "failed": counts[ChangeState.FAILED] + counts[ChangeState.GONE],
        "left": dict(left),
        "files": [
            {
                "path": str(result.path),
                "state": result.state.value,
                "count": result.count,
                "owner_pid": result.by or None,
                "why": result.why,
            }
            for result in results
        ],
    }
