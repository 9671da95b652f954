"""Which events a command is about, and the options that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import attrs
import click

from togai_shipper.cli.formats import seconds_of

from .causes import cause_of
from .events import StoredEvent

_Command = TypeVar("_Command", bound=Callable[..., Any])


@attrs.frozen
class Selection:
    """Chooses the events that match all of these; without any, all events.

    Attributes:
        ids: the event has one of these ids.
        reasons: it is dead for one of these reasons.
        groups: it is dead for one of these causes, by the short name of each.
        schemas: it is of one of these schemas.
        accounts: it is of one of these accounts.
        older_than: it has been dead (or, if pending, accepted) for at least so many seconds.
        newer_than: it has been so for less.

    """

    ids: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    reasons: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    groups: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    schemas: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    accounts: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def is_of_dead_letters(self) -> bool:
        """Whether only dead letters can match."""
        return bool(self.reasons or self.groups)

    @property
    def is_everything(self) -> bool:
        """Whether it chooses all events."""
        return self == Selection()

    def takes(self, event: StoredEvent, now_ms: int) -> bool:
        """Whether ``event`` matches."""
        seconds = (now_ms - event.since_ms) / 1000
        return (
            (self.older_than is None or seconds >= self.older_than)
            and (self.newer_than is None or seconds < self.newer_than)
            and (not self.ids or event.id in self.ids)
            and (not self.reasons or (event.letter is not None and event.letter.reason in self.reasons))
            and (not self.groups or (event.letter is not None and cause_of(event).group in self.groups))
            and (not self.schemas or event.schema_name in self.schemas)
            and (not self.accounts or event.account_id in self.accounts)
        )


def chosen(events: Iterable[StoredEvent], selection: Selection, now_ms: int) -> Iterator[StoredEvent]:
    """Return the events that match."""
    return (event for event in events if selection.takes(event, now_ms))


def filters(command: _Command) -> _Command:
    """Add the options of a ``Selection`` to a command, which takes them as ``**given``."""
    for option in (
        click.option(
            "--newer-than", type=seconds_of, metavar="AGE", help="Dead (or pending) for less time than this."
        ),
        click.option(
            "--older-than",
            type=seconds_of,
            metavar="AGE",
            help="Dead (or pending) for at least this time: 90s, 15m, 12h, 2d.",
        ),
        click.option(
            "--account", "accounts", multiple=True, metavar="ID", help="Of this account (may be repeated)."
        ),
        click.option(
            "--schema", "schemas", multiple=True, metavar="NAME", help="Of this schema (may be repeated)."
        ),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            metavar="REASON",
            help="Dead for this reason (may be repeated).",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="NAME",
            help="Dead for this cause, by its name in spool dead (may be repeated).",
        ),
        click.option(
            "--id", "ids", multiple=True, metavar="ID", help="The event with this id (may be repeated)."
        ),
    ):
        command = option(command)
    return command
