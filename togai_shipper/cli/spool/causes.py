"""Dead letters by their cause: why each is dead, alike for many, under a short name. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import attrs

from togai_shipper.cli.formats import moment

from .events import StoredEvent

WHY_MOST = 120  # characters of a message in a line
_NAME_BYTES = 3


@attrs.frozen
class Cause:
    """Why events are dead.

    Attributes:
        reason: as in ``stats()``: ``"rejected"``.
        status: of HTTP, if the server has refused them.
        message: what it said; the id of an event stands in it as an ellipsis.
        schema_name: of what schema they are.

    """

    reason: str
    status: int | None
    message: str
    schema_name: str

    @property
    def group(self) -> str:
        """The short name of the events that are dead for it, the same in each file and on each day."""
        text = f"{self.reason}\n{self.status}\n{self.message}\n{self.schema_name}"
        return hashlib.blake2s(text.encode("utf-8", "replace"), digest_size=_NAME_BYTES).hexdigest()

    def __str__(self) -> str:
        why, status = self.message or self.reason, "" if self.status is None else f" ({self.status})"
        return f"{why if len(why) <= WHY_MOST else f'{why[:WHY_MOST]}…'}{status}"


@attrs.frozen
class Group:
    """The events that are dead for one cause: how many, and when the first and the last became so."""

    cause: Cause
    count: int
    first_ms: int
    last_ms: int


def cause_of(event: StoredEvent) -> Cause:
    """Return why a dead letter is dead."""
    letter = event.letter
    assert letter  # noqa: S101  only dead letters are asked about
    message = letter.message
    if letter.id and letter.id in message:
        message = re.sub(rf"(?<!\w){re.escape(letter.id)}(?!\w)", "…", message)
    return Cause(letter.reason, letter.status, message, event.schema_name)


def grouped(letters: Iterable[StoredEvent]) -> list[Group]:
    """Return dead letters by their cause, those of most events first."""
    groups: dict[Cause, Group] = {}
    for event in letters:
        cause, since = cause_of(event), event.since_ms
        known = groups.get(cause) or Group(cause, 0, since, since)
        groups[cause] = Group(cause, known.count + 1, min(known.first_ms, since), max(known.last_ms, since))
    return sorted(groups.values(), key=lambda group: (-group.count, -group.last_ms, group.cause.group))


def time_of(milliseconds: int, now_ms: int) -> str:
    """Write a moment of UTC to the minute: ``09:12`` of the day of ``now_ms``, else ``2026-11-28 09:12``."""
    day, _, time = moment(milliseconds).partition("T")
    return time[:5] if time and moment(now_ms).startswith(day) else f"{day} {time[:5]}".strip()
