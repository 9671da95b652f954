"""``togai-shipper drain``: deliver what ended processes have left in a spool."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from togai_shipper import Shipper, Stats
from togai_shipper._config import Config
from togai_shipper.spool.folder import Folder

from .beside_a_relay import shipping_to_togai
from .display import display_on
from .drain_relay import drain_relay, is_relay
from .formats import plural
from .options import base_url_option, json_option, relay_name_option
from .screen import Screen
from .spool.directory import directory_argument, open_folder
from .spool.files import ASIDE, FOREIGN, OK, read_files
from .spool.trial import why_unusable
from .terminal import print_json, print_line, print_outcome
from .watching import DrainPicture, SpacedLines, stopped_by_signals, watch

LOOK_AT = 4  # it looks sooner once there are so many times fewer files than at the last look


@attrs.frozen
class Drained:
    """What was delivered from a spool, and what is left in it.

    Attributes:
        stats: the shipper's own figures.
        left: files without another owner that have events for this base URL.
        waiting: events in these files.
        foreign: events for another base URL.
        unread: files without an owner that cannot be read.
        untouched: those of them that are not ours to open; ``stats`` has one stranded event for each.

    """

    stats: Stats
    left: int = 0
    waiting: int = 0
    foreign: int = 0
    unread: int = 0
    untouched: int = 0

    @property
    def too_old(self) -> int:
        """How many of those that wait are perhaps too old to be sent: the clocks do not tell."""
        return min(self.waiting, max(0, self.stats.stranded - self.foreign - self.untouched))

    @property
    def stranded(self) -> int:
        """How many events stay where they are."""
        return self.foreign + self.too_old

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits that could be sent."""
        return not self.stats.pending and self.waiting == self.too_old

    @property
    def is_good(self) -> bool:
        """Whether every event is delivered."""
        stats = self.stats
        lost = stats.rejected or stats.dropped or stats.corrupt_rows
        return self.is_empty and not (lost or self.left or self.stranded or self.unread)

    def line(self) -> str:
        """Say it in one line."""
        stats = self.stats
        waiting = max(stats.pending, self.waiting - self.too_old)  # in files that are not taken over yet, too
        parts = [f"{stats.delivered:,} delivered", f"{waiting:,} waiting"]
        if self.left:
            parts.append(f"in {plural(self.left, 'file')}")
        if stats.rejected or stats.dropped:
            lost = stats.rejected + sum(stats.dropped.values())
            parts.append(f"{plural(lost, 'dead letter')}")
        if self.too_old:
            parts.append(f"{self.too_old:,} too old to be sent, perhaps")
        if self.foreign:
            parts.append(f"{self.foreign:,} not for this base URL")
        if self.unread:
            parts.append(f"{plural(self.unread, 'file')} that cannot be read")
        if stats.last_error:
            parts.append(stats.last_error)
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        stats = self.stats
        return {
            "recovered": stats.recovered,
            "delivered": stats.delivered,
            "duplicates": stats.duplicates,
            "rejected": stats.rejected,
            "dropped": dict(stats.dropped),
            "pending": stats.pending,
            "stranded": self.stranded,
            "corrupt_rows": stats.corrupt_rows,
            "files_left": self.left,
            "files_unread": self.unread,
            "last_error": stats.last_error,
        }


def together(parts: Sequence[Drained]) -> Drained:
    """Add up what was delivered from several spools."""
    each = [part.stats for part in parts]
    names = ("recovered", "delivered", "duplicates", "rejected", "pending", "stranded", "corrupt_rows")
    dropped: Counter[str] = Counter()
    for stats in each:
        dropped.update(stats.dropped)
    return Drained(
        attrs.evolve(
            each[0],
            dropped=dict(dropped),
            last_error=next(filter(None, (stats.last_error for stats in each)), None),
            **{name: sum(getattr(stats, name) for stats in each) for name in names},
        ),
        left=sum(part.left for part in parts),
        waiting=sum(part.waiting for part in parts),
        foreign=sum(part.foreign for part in parts),
        unread=sum(part.unread for part in parts),
        untouched=sum(part.untouched for part in parts),
    )


def spools(folder: Folder) -> list[Path]:
    """Return the directories to deliver from: as root, those of other users in this one, too.

    Each is a spool of its own, so that what we cannot deliver is left to its owner.
    """
    return [folder.given, *(folder.others() if os.geteuid() == 0 else ())]


def look(shipper: Shipper, folder: Folder, base_url: str) -> Drained:
    """Return what was delivered until now, and what is left."""
    stats = shipper.stats()  # before the files: what moves into our own file after this is found there
    free = [facts for facts in read_files(folder, is_adopting=True) if facts.owner in (None, os.getpid())]
    ours = [facts for facts in free if facts.state == OK and facts.base_url == base_url]
    return Drained(
        stats,
        left=sum(facts.pending > 0 for facts in ours),
        waiting=sum(facts.pending for facts in ours),
        foreign=sum(facts.pending for facts in free if facts.base_url != base_url),
        unread=sum(facts.state not in (OK, ASIDE) for facts in free if facts.owner is None)
        + _closed_to_us(folder),  # our own file may be in the making
        untouched=sum(facts.state == FOREIGN for facts in free),
    )


def _closed_to_us(folder: Folder) -> int:
    return len(folder.others()) if os.geteuid() else 0


def _count_files(places: Sequence[Path]) -> int:
    """How many files there are, about: none is opened."""
    return sum(1 for place in places for _ in place.glob("*.db"))


_DRAIN_HELP = """
Deliver what a relay holds, or what is left in a spool whose application is gone.

DIR is a spool's directory: it takes over every file there that has no living owner, and delivers its
events, with the ids that they have had from the start, until it is stopped (Ctrl-C, SIGTERM) or, with
--once, until nothing is left. The files of living processes are left to them. The key is read from
TOGAI_API_KEY.

DIR is a relay's URL (redis://, rediss://, unix://), or PKG:FUNCTION, which returns a redis.Redis: it
delivers what producers hand over. Run it on two hosts or three: one leads, the others stand by.

Exit status: 0 if all is delivered, else 1. A relay's without --once: 0 where it was stopped, since all
else is in the relay.

\b
A relay's with --once, the first that holds:
  1  events are left: it was stopped, or nobody knows how old they are,
     or the relay has no room for more dead letters
  1  events are dead letters now: refused, or past Togai's memory of ids
  1  Redis has lost events, as far as this drainer has seen
  3  nothing but entries that are not ours is left
  0  nothing is left; beside a leader, it may have made dead letters

Where TOGAI_RELAY is set, DIR's events and those of "send" take 5 requests a second, beside the 45 of the
relay's drainer; --rate-limit and TOGAI_RATE_LIMIT say otherwise.

\b
Examples:
  togai-shipper drain --once /var/lib/app/togai-spool
  TOGAI_BASE_URL=https://sandbox-api.togai.com togai-shipper drain DIR
  togai-shipper drain redis://redis.internal
"""


@click.command(help=_DRAIN_HELP)
@directory_argument
@click.option("--once", is_flag=True, help="Stop once nothing is left.")
@base_url_option
@click.option(
    "--rate-limit",
    type=float,
    metavar="N",
    help="Requests a second, at most.  [default: TOGAI_RATE_LIMIT, or 45; 5 for DIR beside TOGAI_RELAY]",
)
@click.option(
    "--verify",
    type=float,
    metavar="N",
    help="Look-ups a minute, whether Togai bills what it took; 0 is off.  [default: TOGAI_VERIFY, or 0.1]",
)
@relay_name_option(has_default=False)
@click.option("--on-error", metavar="PKG:FUNCTION", help="A relay's: called with what is not delivered.")
@click.option("--new-key", is_flag=True, help="A relay's: our key is another one of the same account, once.")
@json_option("the result; the progress goes to stderr")
@click.pass_context
def drain(
    ctx: click.Context,
    /,
    *,
    directory: str,
    once: bool,
    base_url: str | None,
    rate_limit: float | None,
    verify: float | None,
    name: str | None,
    on_error: str | None,
    new_key: bool,
    as_json: bool,
) -> None:
    """Deliver what a relay holds, or what is left in a spool whose application is gone."""
    if is_relay(directory):
        given = {"base_url": base_url, "rate_limit": rate_limit, "verify": verify}
        ctx.exit(
            drain_relay(
                directory, given, once=once, name=name, on_error=on_error, new_key=new_key, as_json=as_json
            )
        )
    for option, value in (("--name", name), ("--on-error", on_error), ("--new-key", new_key)):
        if value:
            raise click.UsageError(f"{option} is for a relay, and {directory} is none")
    folder, screen = open_folder(directory), Screen(stderr=as_json)
    given = {"base_url": base_url, "rate_limit": rate_limit, "verify": verify}
    options = shipping_to_togai(
        os.environ, {name: value for name, value in given.items() if value is not None}
    )
    config = Config.load(os.environ, **options)
    if (why := why_unusable(directory, config)) is not None:  # nothing could be taken over, however long
        raise click.ClickException(why)
    places = spools(folder)
    shippers = [(Shipper(spool=str(path), enabled=True, **options), Folder(str(path))) for path in places]
    stop, count = threading.Event(), 0

    def see() -> Drained:
        nonlocal count
        count = _count_files(places)
        for shipper, _ in shippers:
            shipper.flush(0.0)  # starts the shipper, and sends what waits at once
        return together([look(shipper, place, config.base_url) for shipper, place in shippers])

    with (
        stopped_by_signals(stop),
        display_on(screen, DrainPicture().draw, SpacedLines(screen).print, is_animated=True) as say,
    ):
        watch(see, say, stop, once=once, is_quick=lambda: _count_files(places) * LOOK_AT <= count)
        say("closing")
        for shipper, _ in shippers:
            shipper.close()
    end = see()
    told = f"{end.line()}."
    if as_json:
        print_line(told, err=True)
        print_json(end.as_json())
    else:
        print_outcome([told])
    ctx.exit(0 if end.is_good else 1)
