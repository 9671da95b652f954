"""``togai-shipper drain`` on a relay: deliver what producers hand over, or stand by."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs
import click

from togai_shipper import Stats
from togai_shipper.relay.errors import Forbidden, Unreachable
from togai_shipper.relay.url import DEFAULT_NAME, checked_name, checked_url, is_url, without_text

from .display import display_on
from .formats import plural
from .screen import Screen
from .terminal import print_json, print_line, print_outcome
from .watching import DrainPicture, SpacedLines, stopped_by_signals, watch

if TYPE_CHECKING:
    from togai_shipper.relay.link import Link
    from togai_shipper.relay.view import View

FOREIGN_ALONE = 3  # the exit status where nothing but entries that are not ours is left
_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


@attrs.frozen
class RelayDrained:
    """What was delivered from a relay, and what is left in it."""

    stats: Stats
    view: View
    now: float

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits that could be sent."""
        return self.view.is_empty and not self.stats.pending

    @property
    def events(self) -> int:
        """How many events the relay holds, as it says itself."""
        text = self.view.facts.get("events", "")
        return int(text) if text.isdigit() else 0

    @property
    def foreign(self) -> int:
        """How many entries are left that are not ours; a standby reads none, and ours are counted."""
        return self.view.passed.foreign or (
            0 if self.view.role == "leads" or self.events else self.view.length
        )

    @property
    def status(self) -> int:
        """The exit status of ``--once``: of whatever holds, the first one of the documentation's table."""
        stats, view = self.stats, self.view
        lost = stats.rejected or stats.dropped or view.lost or view.full or view.passed.kept
        if not self.is_empty or lost:
            return 1
        return FOREIGN_ALONE if self.foreign else 0

    def line(self) -> str:
        """Say it in one line."""
        stats, view = self.stats, self.view
        parts = [self._role(), f"{stats.delivered:,} delivered", f"{stats.pending:,} in memory"]
        parts.append(f"{self.events:,} in the relay")
        if dead := stats.rejected + sum(stats.dropped.values()):
            parts.append(plural(dead, "dead letter"))
        if view.passed.kept_events:
            parts.append(f"{view.passed.kept_events:,} too old to be sent, perhaps")
        if self.foreign:
            parts.append(f"{plural(self.foreign, 'entry', 'entries')} not ours")
        if view.lost:
            parts.append(f"{view.lost:,} lost by Redis, at least")
        if unbilled := sum(stats.unbilled.values()):
            parts.append(f"{unbilled:,} of those looked up not billed")
        if error := view.failure or stats.last_error:
            parts.append(error)
        return ", ".join(parts)

    def _role(self) -> str:
        lease = self.view.lease
        if self.view.role == "leads":
            return f"leads for {self.now - min(lease.taken, self.now):,.0f} s"
        if self.view.role == "stands by":
            return f"stands by, {lease.holder} leads"
        return "waits for the lease"

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        stats, view = self.stats, self.view
        return {
            "role": view.role,
            "leader": view.lease.holder or None,
            "recovered": stats.recovered,
            "delivered": stats.delivered,
            "duplicates": stats.duplicates,
            "rejected": stats.rejected,
            "dropped": dict(stats.dropped),
            "pending": stats.pending,
            "relay_events": self.events,
            "relay_dead": stats.dead_letters,
            "kept": view.passed.kept_events,
            "foreign_entries": self.foreign,
            "lost": view.lost,
            "unbilled": dict(stats.unbilled),
            "last_error": view.failure or stats.last_error,
        }


def is_relay(text: str) -> bool:
    """Tell whether this names a relay, and no directory."""
    return is_url(text) or (_FUNCTION.fullmatch(text) is not None and not os.path.exists(text))  # noqa: PTH110  Path's raises where it cannot be told


def drain_relay(
    source: str,
    options: Mapping[str, Any],
    *,
    once: bool,
    name: str | None,
    on_error: str | None,
    new_key: bool,
    as_json: bool,
) -> int:
    """Drain a relay until it is stopped, or, with ``once``, until nothing is left; return the exit status."""
    # Asked for here: who has no relay needs no redis-py.
    from togai_shipper.relay.drainer import TIMEOUT, Drainer, load  # noqa: PLC0415
    from togai_shipper.relay.link import DRAINERS, Link  # noqa: PLC0415
    from togai_shipper.relay.names import new_name  # noqa: PLC0415

    given = {key: value for key, value in options.items() if value is not None}
    if on_error:
        given["on_error"] = imported(on_error, "--on-error")
    config = load(os.environ, enabled=True, **given)
    name = checked_name(name or os.environ.get("TOGAI_RELAY_NAME") or DEFAULT_NAME)
    where = checked_url(source) if is_url(source) else imported(source, "DIR")
    owner = new_name(time.time)
    link = Link(where, name, TIMEOUT, client_name=DRAINERS + owner)
    with suppress(Unreachable):  # it is waited for
        _refuse_what_cannot_be_a_relay(link)
    drainer = Drainer(config, link, name, owner, new_key=new_key)
    screen, stop = Screen(stderr=as_json), threading.Event()
    has_led = False

    def see() -> RelayDrained:
        nonlocal has_led
        drained = RelayDrained(drainer.pipeline.health.stats(), drainer.view(), drainer.now())
        has_led = has_led or drained.view.role == "leads"
        is_hopeless = drained.view.is_refused or (once and not drained.view.facts)
        if drained.view.failure and is_hopeless and not has_led:
            raise click.ClickException(drained.view.failure)
        return drained

    drainer.start()
    try:
        with (
            stopped_by_signals(stop),
            display_on(screen, DrainPicture().draw, SpacedLines(screen).print, is_animated=True) as say,
        ):
            last = watch(see, say, stop, once=once)
            say("closing")
            drainer.close()
    finally:
        drainer.close()
    before = last.view
    view = attrs.evolve(drainer.view(), role=before.role, lease=before.lease, is_empty=before.is_empty)
    end = attrs.evolve(last, stats=drainer.pipeline.health.stats(), view=view)
    told = f"{end.line()}."
    if as_json:
        print_line(told, err=True)
        print_json(end.as_json())
    else:
        print_outcome([told])
    return end.status if once else 0  # also where it was stopped: then it is empty, or it is not


def _refuse_what_cannot_be_a_relay(link: Link) -> None:
    try:
        link.check()
    except Forbidden as error:
        raise click.ClickException(str(error)) from error


def imported(text: str, option: str) -> Callable[..., Any]:
    """Return the function that ``pkg:function`` names. Raises ``ClickException``."""
    module, _, path = text.partition(":")
    if not path:
        raise click.UsageError(f"{option} must be PKG:FUNCTION, not {text}")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  as ``python -m`` has it
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise click.ClickException(f"{option}: {text}: {type(error).__name__}: {error}") from error
    except Exception as error:  # whatever the application's module does
        raise click.ClickException(f"{option}: {text}: {without_text(error)}") from None
    if not callable(found):
        raise click.ClickException(f"{option}: {text} is no function")
    function: Callable[..., Any] = found
    return function
