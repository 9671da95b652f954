"""The table of dead letters in one file: events that were not delivered, kept to be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from togai_shipper._event import is_encoded

from . import schema
from .connection import Connection, as_text
from .rows import CORRUPT, DeadLetter, checksum, is_whole

PAGE = 100  # letters that are in memory at once while the table is gone through


class DeadLetters:
    """The dead letters of one file. Each has a number there, which is never given to another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Add letters, within a transaction; those that are there already are passed over."""
        self._connection.execute_many(
            schema.BURY,
            [
                (
                    letter.id,
                    letter.accepted_ms,
                    letter.body,
                    checksum(letter.accepted_ms, known=True, body=letter.body),
                    letter.reason,
                    letter.status,
                    letter.message,
                    letter.attempts,
                    letter.dead_ms,
                )
                for letter in letters
            ],
        )

    def each(self) -> Iterator[tuple[int, DeadLetter, bool]]:
        """Yield every letter with its number, and whether it is as it was written, the oldest first."""
        before: int | None = None  # where it gets no further, pages point to themselves
        after = -(2**63)
        while after != before and (page := self._connection.rows(schema.READ_DEAD, (after, PAGE))):
            yield from map(_letter, page)
            before, after = after, max([after, *(number for number, *_ in page)])

    def these(self, numbers: Sequence[int]) -> dict[int, DeadLetter]:
        """Return the letters with these numbers, by number, without what is damaged or gone."""
        found = self._connection.rows(schema.READ_THESE_DEAD, (json.dumps(numbers),))
        return {number: letter for number, letter, _ in map(_letter, found) if letter.reason != CORRUPT}

    def bodies(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the events of the letters with these numbers, damaged or not."""
        found = self._connection.rows(schema.READ_THESE_DEAD, (json.dumps(numbers),))
        return [letter.body for _, letter, _ in map(_letter, found)]

    def count(self) -> int:
        """Return how many there are."""
        (count,) = self._connection.row(schema.COUNT_DEAD)
        return int(count)

    def reasons(self) -> dict[str, int]:
        """Return how many there are, by reason."""
        return {
            as_text(reason): count for reason, count in self._connection.rows(schema.COUNT_DEAD_BY_REASON)
        }

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove letters, by their numbers."""
        self._connection.execute(schema.REMOVE_DEAD, (json.dumps(list(numbers)),))


def _letter(raw: tuple[Any, ...]) -> tuple[int, DeadLetter, bool]:
    """Return the number and the letter of a row, and whether the row is as it was written."""
    number, event_id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms = raw
    whole = is_whole(accepted_ms, known=True, body=body, crc=crc)
    sound = whole and (as_text(reason) == CORRUPT or is_encoded(body))  # a corrupt one is kept as it came
    return (
        number,
        DeadLetter(
            as_text(event_id),
            _number(accepted_ms),
            body if isinstance(body, bytes) else b"",
            as_text(reason) if sound else CORRUPT,
            status if isinstance(status, int) else None,
            as_text(message) if sound else f"damaged on disk; it was {as_text(reason)}: {as_text(message)}",
            _number(attempts),
            _number(dead_ms),
        ),
        sound,
    )


def _number(raw: Any) -> int:
    return raw if isinstance(raw, int) else 0
