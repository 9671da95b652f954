"""Which events a command is about. Pure, but for the options that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import attrs
import click

from togai_shipper.cli.formats import seconds_of

from .events import StoredEvent

_Command = TypeVar("_Command", bound=Callable[..., Any])


@attrs.frozen
class Selection:
    """Events that fit each of what is given; nothing given: all.

    Attributes:
        ids: one of these.
        reasons: dead for one of these.
        schemas: of one of these.
        accounts: of one of these.
        older_than: dead (or, while pending, accepted) for at least so many seconds.
        newer_than: for less.

    """

    ids: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    reasons: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    schemas: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    accounts: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is given."""
        return self == Selection()

    def takes(self, event: StoredEvent, now_ms: int) -> bool:
        """Whether ``event`` fits."""
        seconds = (now_ms - event.since_ms) / 1000
        return (
            (self.older_than is None or seconds >= self.older_than)
            and (self.newer_than is None or seconds < self.newer_than)
            and (not self.ids or event.id in self.ids)
            and (not self.reasons or (event.letter is not None and event.letter.reason in self.reasons))
            and (not self.schemas or event.schema_name in self.schemas)
            and (not self.accounts or event.account_id in self.accounts)
        )


def chosen(events: Iterable[StoredEvent], selection: Selection, now_ms: int) -> Iterator[StoredEvent]:
    """Those that fit."""
    return (event for event in events if selection.takes(event, now_ms))


def filters(command: _Command) -> _Command:
    """The options that make a ``Selection``, for a command that takes them as ``**given``."""
    for option in (
        click.option("--newer-than", type=seconds_of, metavar="AGE", help="For less than so long."),
        click.option("--older-than", type=seconds_of, metavar="AGE", help="For so long: 90s, 15m, 12h, 2d."),
        click.option("--account", "accounts", multiple=True, metavar="ID", help="Of this account."),
        click.option("--schema", "schemas", multiple=True, metavar="NAME", help="Of this schema."),
        click.option("--reason", "reasons", multiple=True, metavar="REASON", help="Dead for this reason."),
        click.option("--id", "ids", multiple=True, metavar="ID", help="This event (repeat it for more)."),
    ):
        command = option(command)
    return command
