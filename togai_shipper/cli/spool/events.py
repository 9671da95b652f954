"""Read the events in a spool's files, pending and dead, one after another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol

import attrs

from togai_shipper._process import boot
from togai_shipper.cli.formats import plural
from togai_shipper.spool.age import Clocks, age
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.rows import DeadLetter, Row


class Holder(Protocol):
    """What holds events: the path of a file, or a key of a relay; as a text, all of its name."""

    @property
    def name(self) -> str:
        """Its name in a listing."""


@attrs.frozen(slots=False)
class StoredEvent:
    """One event, on disk or in a relay.

    Attributes:
        path: what holds it.
        number: its number there.
        body: the encoded event, or what is left of a damaged one.
        accepted_ms: when it was accepted.
        letter: why it is dead; ``None`` if it is pending.
        row: it as it is pending; ``None`` if it is dead.
        is_kept: our clocks do not tell how old it is, or say that it is too old; so it is not sent.

    """

    path: Holder
    number: int
    body: bytes
    accepted_ms: int
    letter: DeadLetter | None = None
    row: Row | None = None
    is_kept: bool = False

    @property
    def since_ms(self) -> int:
        """When it became what it is now: dead, or pending."""
        return self.letter.dead_ms if self.letter else self.accepted_ms

    @cached_property
    def wire(self) -> dict[str, object]:
        """The event in Togai's JSON; empty if it is damaged."""
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
        """The event's schema name; empty if it is damaged."""
        return str(self.wire.get("schemaName", ""))

    @property
    def account_id(self) -> str:
        """The event's account id; empty if it is damaged."""
        return str(self.wire.get("accountId", ""))


class EventReader:
    """Reads every event, in constant memory; ``problems`` says what could not be read."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def dead(self) -> Iterator[StoredEvent]:
        """Read every dead letter."""
        self.problems += [left.why for left in self._folder.foreign()]
        yield from self.letters_in(self._folder.paths())

    def letters_in(self, paths: Iterable[Path]) -> Iterator[StoredEvent]:
        """Read every dead letter in these files."""
        for path in paths:
            yield from self._each(path, self._letters)

    def pending(self) -> Iterator[StoredEvent]:
        """Read every pending event."""
        self.problems += [left.why for left in self._folder.foreign()]
        for path in self._folder.paths():
            yield from self._each(path, self._rows)

    def of_unsure_age(self) -> Iterator[StoredEvent]:
        """Read every pending event without an owner that was accepted before the machine started last."""
        for path in self._folder.paths():
            if self._folder.owner(path) is None:
                yield from self._each(path, self._unsure_rows)

    def _each(self, path: Path, read: Callable[[SpoolFile], Iterator[StoredEvent]]) -> Iterator[StoredEvent]:
        try:
            with closing(SpoolFile.peek(path)) as file:
                yield from read(file)
        except SpoolError as error:
            gone = f"{path}: has disappeared; another process may have taken over what was in it"
            self.problems.append(str(error) if path.exists() else gone)

    def _letters(self, file: SpoolFile) -> Iterator[StoredEvent]:
        for number, letter in file.dead():
            yield StoredEvent(file.path, number, letter.body, letter.accepted_ms, letter)

    def _rows(self, file: SpoolFile) -> Iterator[StoredEvent]:
        damaged = 0
        for rows, wrong in file.scan():
            damaged += len(wrong)
            for row in rows:
                yield StoredEvent(file.path, row.seq, row.body, row.accepted_ms, row=row)
        if damaged:
            self.problems.append(f"{file.path}: skipped {plural(damaged, 'damaged pending event')}")

    def _unsure_rows(self, file: SpoolFile) -> Iterator[StoredEvent]:
        now = Clocks.read(boot.boot_id(), boot.clock(), time.time(), None)
        if file.clock.boot and file.clock.boot == now.boot:
            return
        for event in self._rows(file):
            if event.row and not event.row.is_asked_for:
                is_kept = age(event.accepted_ms, file.clock, now).decision != "send"
                yield attrs.evolve(event, is_kept=is_kept)
