"""The events in a spool's files, pending or dead, one after the other. Only reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path

import attrs

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.rows import DeadLetter


@attrs.frozen(slots=False)
class StoredEvent:
    """One event on disk, and where it is.

    Attributes:
        path: its file.
        number: what names it there.
        body: the event, encoded; of a damaged one what is left of it.
        accepted_ms: when it was accepted.
        letter: why it is dead; ``None`` while it is pending.

    """

    path: Path
    number: int
    body: bytes
    accepted_ms: int
    letter: DeadLetter | None = None

    @property
    def since_ms(self) -> int:
        """When it came to be what it is: dead, or pending."""
        return self.letter.dead_ms if self.letter else self.accepted_ms

    @cached_property
    def wire(self) -> dict[str, object]:
        """The event; empty where that is damaged."""
        with suppress(ValueError, RecursionError):
            wire = json.loads(self.body)
            if isinstance(wire, dict):
                return wire
        return {}

    @property
    def id(self) -> str:
        """The event's id."""
        return self.letter.id if self.letter else str(self.wire.get("id", ""))

    @property
    def schema_name(self) -> str:
        """Its schema's name; empty where that is damaged."""
        return str(self.wire.get("schemaName", ""))

    @property
    def account_id(self) -> str:
        """Its account's id; empty where that is damaged."""
        return str(self.wire.get("accountId", ""))


class EventReader:
    """Goes through every event, in constant memory. What cannot be read is a problem; the rest is read."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def dead(self) -> Iterator[StoredEvent]:
        """Every dead letter."""
        for path in self._folder.paths():
            yield from self._each(path, self._letters)

    def pending(self) -> Iterator[StoredEvent]:
        """Every event that is to be sent."""
        for path in self._folder.paths():
            yield from self._each(path, self._rows)

    def _each(self, path: Path, read: Callable[[SpoolFile], Iterator[StoredEvent]]) -> Iterator[StoredEvent]:
        try:
            with closing(SpoolFile.peek(path)) as file:
                yield from read(file)
        except SpoolError as error:
            gone = f"{path}: is gone meanwhile; another process may have taken over what was in it"
            self.problems.append(str(error) if path.exists() else gone)

    def _letters(self, file: SpoolFile) -> Iterator[StoredEvent]:
        for number, letter in file.dead():
            yield StoredEvent(file.path, number, letter.body, letter.accepted_ms, letter)

    def _rows(self, file: SpoolFile) -> Iterator[StoredEvent]:
        damaged = 0
        for rows, wrong in file.scan():
            damaged += len(wrong)
            for row in rows:
                yield StoredEvent(file.path, row.seq, row.body, row.accepted_ms)
        if damaged:
            self.problems.append(f"{file.path}: passed over {damaged:,} damaged among the pending")
