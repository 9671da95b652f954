"""A relay in virtual time: what a link answers, as a test scripts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from virtual import Clock, World, world

from togai_shipper.relay.answers import Added, Server, Standing
from togai_shipper.relay.entries import Entry, read
from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.notes import Note

FIRST, SECOND = Server("first", "one"), Server("second", "two")


class FakeRelay:
    """Redis as a list of entries; a scripted error for each call, then none."""

    def __init__(self, clock: Clock, errors: Iterable[RelayError | None] = ()) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.server: Server | None = FIRST
        self.entries: list[Entry] = []
        self.asked: list[tuple[str, float]] = []
        self.out = 0
        self.drained = True  # somebody takes all out, at once
        self.replicas = [9]  # how many have an entry, at each look; the last figure stays
        self.timeouts: list[float] = []
        self.notes: list[Note] = []
        self.takes_notes = True
        self.frozen = 0.0  # seconds for which the producer stands still before it reads an answer

    @property
    def ids(self) -> list[bytes]:
        return [event for entry in self.entries for event in entry.events]

    @property
    def calls(self) -> list[str]:
        return [name for name, _ in self.asked]

    def open(self, config: Any, timeout: float) -> Any:
        self.timeouts.append(timeout)
        return self

    def _begin(self, name: str) -> None:
        self.asked.append((name, self.clock.now))
        self.clock.now += 0.001
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error

    def check(self) -> None:
        self.asked.append(("check", self.clock.now))

    def add(
        self,
        fields: Mapping[bytes, bytes],
        base_url: str,
        max_bytes: int,
        *,
        replicas: int = 0,
        patience: float = 1.0,
        note: Note | None = None,
    ) -> Added:
        self._begin("add")
        self.entries.append(read(f"{len(self.entries) + 1}-0", fields))
        standing = attrs.asdict(self._standing(note), recurse=False)
        self.clock.now += self.frozen
        if self.drained:
            self.out += len(self.entries[-1].events)
        return Added(id=self.entries[-1].id, replicas=self._reached(), **standing)

    def confirm(self, added: Added, replicas: int, patience: float) -> Added:
        self._begin("confirm")
        self.clock.now += patience
        return attrs.evolve(added, replicas=self._reached())

    def look(self, note: Note | None = None) -> Standing:
        self._begin("look")
        return self._standing(note)

    def close(self) -> None: ...

    def lose_everything(self) -> None:
        self.server, self.entries, self.out = SECOND, [], 0

    def _reached(self) -> int:
        return self.replicas.pop(0) if len(self.replicas) > 1 else self.replicas[0]

    def _standing(self, note: Note | None) -> Standing:
        held = len(self.ids) - self.out
        if note is not None and self.takes_notes:
            self.notes.append(note)
        return Standing(
            epoch="e",
            events=held,
            out=self.out,
            dead=2,
            server=self.server,
            is_noted=note is not None and self.takes_notes,
        )


def relayed(errors: Iterable[RelayError | None] = (), **options: Any) -> tuple[World, FakeRelay]:
    """A world with a relay in it."""
    made: list[FakeRelay] = []

    def link(clock: Clock) -> Any:
        made.append(FakeRelay(clock, errors))
        return made[0].open

    w = world(link=link, relay="redis://:hunter2@127.0.0.1:1", **options)
    return w, made[0]
