"""A relay in memory and virtual time: what a fleet's producers hand over to, and drainers take from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from togai_shipper.relay.answers import Added, Done, Removed, Server, Standing
from togai_shipper.relay.entries import size_of
from togai_shipper.relay.notes import Note

from .virtual import Time

TRIP = 0.001  # seconds of a question and its answer


class VirtualRelay:
    """What Redis holds; also every link to it, since each question takes but a moment."""

    def __init__(self, time: Time, base_url: str) -> None:
        self._time = time
        self._numbers = count(1)
        self._last = 0
        self._stream: dict[int, dict[bytes, bytes]] = {}
        self._lease = ""
        self._server = Server("run", "replication")
        self._facts = dict.fromkeys(("bytes", "events", "in", "out", "lost", "dead"), 0)
        self._words = {"v": "1", "epoch": "epoch", "base_url": base_url}
        self.handed_over = 0
        self.most_bytes = 0

    # --- producers ---

    def open(self, config: Any, timeout: float) -> Any:  # noqa: ARG002  a link's
        """There is no connection to make."""
        return self

    def close(self) -> None:
        """Likewise."""

    def check(self) -> None:
        """It is fit for a relay."""

    def add(
        self,
        fields: Mapping[bytes, bytes],
        base_url: str,  # noqa: ARG002  there is one
        max_bytes: int,  # noqa: ARG002  there is room
        *,
        replicas: int = 0,
        patience: float = 1.0,  # noqa: ARG002  nobody waits
        note: Note | None = None,  # noqa: ARG002  nobody reads it
    ) -> Added:
        """Append an entry."""
        self._time.sleep(TRIP)
        self._last = next(self._numbers)
        self._stream[self._last] = dict(fields)
        events = int(fields[b"n"])
        self._count(1, events, size_of(fields))
        self._facts["in"] += events
        self.handed_over += 1
        self.most_bytes = max(self.most_bytes, self._facts["bytes"])
        standing = self._standing()
        return Added(
            id=_id(self._last),
            epoch=standing.epoch,
            events=standing.events,
            out=standing.out,
            server=standing.server,
            replicas=replicas,
            is_noted=True,
        )

    def look(self, note: Note | None = None) -> Standing:  # noqa: ARG002  nobody reads it
        """Say how it stands."""
        self._time.sleep(TRIP)
        return self._standing()

    def _standing(self) -> Standing:
        return Standing(
            epoch="epoch",
            events=self._facts["events"],
            out=self._facts["out"],
            server=self._server,
            is_noted=True,
        )

    def _count(self, sign: int, events: int, size: int) -> None:
        self._facts["events"] += sign * events
        self._facts["bytes"] += sign * size

    # --- drainers ---

    def lease(self, act: str, owner: str, seen: str = "", **_more: Any) -> tuple[str, str]:
        """Do as the script does, for drainers with one key."""
        self._time.sleep(TRIP)
        holder, _, beat = self._lease.rpartition(":")
        if act == "release" and holder == owner:
            self._lease = "released"
            return "released", owner
        if act == "renew" and holder != owner:
            return "lost", self._lease
        if act == "renew" or (act == "take" and seen == self._lease):
            self._lease = f"{owner}:{int(beat) + 1 if act == 'renew' else 1}"
            return "held", self._lease
        return "seen", self._lease

    def tell_key(self, *_said: Any, **_more: Any) -> str:
        """Answer as where Togai has taken something with the drainers' key."""
        return "taken"

    def settle(
        self,
        owner: str,
        done: Sequence[Done],
        max_dead: int,  # noqa: ARG002  nobody is dead
        counts: object = None,  # noqa: ARG002  there is no journal
    ) -> Removed:
        """Remove entries."""
        self._time.sleep(TRIP)
        if self._lease.rpartition(":")[0] != owner:
            return Removed(lost_to=self._lease)
        for each in done:
            del self._stream[_number(each.id)]
            self._count(-1, each.count, each.size)
            self._facts["out"] += each.count
        return Removed([each.id for each in done])

    def read(self, after: str, count: int) -> list[tuple[str, dict[bytes, bytes]]]:
        """Return the entries after an id."""
        self._time.sleep(TRIP)
        found: list[tuple[str, dict[bytes, bytes]]] = []
        for number in range(_number(after) + 1, self._last + 1):
            if number in self._stream and len(found) < count:
                found.append((_id(number), self._stream[number]))
        return found

    def facts(self) -> dict[str, str]:
        """Return its hash."""
        return {**self._words, **{name: str(figure) for name, figure in self._facts.items()}}

    def length(self) -> int:
        """Return how many entries there are."""
        return len(self._stream)

    def server(self) -> Server:
        """Return who answers."""
        return self._server


def _id(number: int) -> str:
    return f"1-{number:09}"


def _number(entry_id: str) -> int:
    return int(entry_id.rpartition("-")[2])
