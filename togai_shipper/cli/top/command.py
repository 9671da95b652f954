"""``togai-shipper top``: look again and again, and draw."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn, Protocol

import attrs
import click

from togai_shipper.cli.display import display_on
from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.options import json_option, relay_name_option
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.spool.directory import directory_argument, open_folder
from togai_shipper.cli.terminal import print_json
from togai_shipper.cli.watching import stopped_by_signals
from togai_shipper.relay.url import is_url

from .looking import Sight, SpoolLook
from .picture import Picture, below, picture_json
from .rates import Rates, Row

EVERY = 1.0  # seconds between two looks
APART = (
    2.2  # seconds between the two looks of --once: every process in which something moves says it meanwhile
)


class Look(Protocol):
    """What is looked at."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def look(self) -> Sight:
        """Look once."""


@attrs.frozen
class Pause:
    """How time passes between two looks; a test gives its own.

    Attributes:
        clock: monotonic seconds.
        wait: wait for so many seconds, or until the event is set; say whether it is.

    """

    clock: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait


@attrs.frozen
class Seen:
    """All that one look gives."""

    rows: list[Row]
    sight: Sight
    place: str
    now_ms: int


_TOP_HELP = """
Show how each process stands, a line for each, the worst first.

DIR is the directory of a spool; it may be left out if TOGAI_SPOOL, or TOGAI_RELAY, is set. Each process
says in its own file what it does, once a second while something changes, and why events do not get
through. DIR may be the URL of a relay: it has one line, who drains it another, and each process that
hands over to it. Nothing is changed, and nobody waits for who looks.

The states, the worst first:

\b
  parked        the key is refused, or all events are: nothing is sent
  refusing      the buffer is full, and has refused events within the last minute
  not durable   the disk fails, or is full
  gone          the process has ended, and has left events
  unwell        anything else for which `healthy` is false: see why
  old events    one waits for over 5 minutes
  silent        nothing said for a minute (3 in a relay), though events wait: is it stopped,
                or its disk full?
  unknown       an older version, which says nothing of itself
  closing, ok, ended

Ends at Ctrl-C. What to do stands below the lines; togai-shipper doctor looks further.

\b
Examples:
  togai-shipper top DIR
  togai-shipper top --once --json DIR
"""


@click.command(help=_TOP_HELP)
@directory_argument
@relay_name_option()
@click.option("--once", is_flag=True, help="Look twice, 2 seconds apart, for the rates; print once, and end.")
@json_option("a line for each look, or with --once all of it")
@click.pass_context
def top(ctx: click.Context, /, *, directory: str, name: str, once: bool, as_json: bool) -> None:
    """Show how each process stands, a line for each, the worst first."""
    pause = ctx.find_object(Pause) or Pause()
    look = _looking_at(directory, name, pause)
    if as_json:
        seen = _tell(look, pause, lambda seen: print_json(_json(seen), indent=2 if once else None), once=once)
        _exit(ctx, seen)
    screen = Screen()
    if once:
        _exit(ctx, _tell(look, pause, partial(_print, screen), once=True))
    live = partial(_picture, is_live=True)
    with display_on(screen, live, partial(_print, screen), stays=True) as show:
        _tell(look, pause, show, once=False)


def _looking_at(directory: str, name: str, pause: Pause) -> Look:
    if not is_url(directory):
        return SpoolLook(open_folder(directory))
    from .relay_looking import RelayLook  # noqa: PLC0415  redis-py is an extra

    return RelayLook(directory, name, pause.clock)


def _exit(ctx: click.Context, seen: Seen) -> NoReturn:
    """Exit, with status 1 where nothing could be read at the last look."""
    ctx.exit(1 if seen.sight.problems and not seen.sight.processes else 0)


def _tell(look: Look, pause: Pause, tell: Callable[[Seen], object], *, once: bool) -> Seen:
    """Look again and again until a signal comes, and tell each time; or twice, and tell the second time.

    Return what was told last.
    """
    rates, stop = Rates(), threading.Event()
    with stopped_by_signals(stop):
        if once:
            _see(look, rates, pause)
            pause.wait(stop, APART)
        while True:
            seen = _see(look, rates, pause)
            tell(seen)
            if once or pause.wait(stop, EVERY):
                return seen


def _see(look: Look, rates: Rates, pause: Pause) -> Seen:
    sight = look.look()
    return Seen(rates.rows(sight.processes, pause.clock()), sight, look.place, now_ms())


def _picture(seen: Seen, *, is_live: bool = False) -> Picture:
    return Picture(seen.rows, seen.sight, seen.place, seen.now_ms, is_live=is_live)


def _print(screen: Screen, seen: Seen) -> None:
    screen.draw(_picture(seen))
    for line in below(seen.rows, seen.sight, seen.place, seen.now_ms):
        screen.say(line)


def _json(seen: Seen) -> object:
    return picture_json(seen.rows, seen.sight, seen.place, seen.now_ms)
