"""After another Redis has taken over: which of the entries that we have in memory it has, too. Pure.

Who has taken something out of the stream and not settled it knows that it must be there still. Of all else
that Redis may have lost, nobody here can know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Place: TypeAlias = tuple[str, bytes]  # an entry's id and its mark


class Census:
    """Looks for entries; ``sought``: those that must be there, and how many events each has."""

    def __init__(self, sought: Mapping[Place, int]) -> None:
        self._sought = dict(sought)
        self.known = sum(sought.values())  # events that were looked for
        self._all_read_at: float | None = None

    def pass_over(self, places: Iterable[Place]) -> None:
        """Note that these are there, or were removed by us, or may have been."""
        for place in places:
            self._sought.pop(place, None)

    def note_all_read(self, now: float) -> None:
        """Note that the whole stream was read since it began."""
        self._all_read_at = now if self._all_read_at is None else self._all_read_at

    def is_over(self, renewed: float) -> bool:
        """Whether it is sure that nobody else has removed anything: our lease was ``renewed`` after it."""
        return self._all_read_at is not None and renewed > self._all_read_at

    @property
    def missing(self) -> int:
        """How many events Redis has lost, at least."""
        return sum(self._sought.values())
