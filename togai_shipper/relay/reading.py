"""Reading the stream: what is in an entry, whether it is ours, and whether it may be sent by its age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import attrs

from togai_shipper._engine.server_clock import ServerClock
from togai_shipper._event import is_encoded
from togai_shipper.spool.age import Clocks, FileClock, age

from .entries import Entry, NotOurs, read

DAY = 86_400_000  # milliseconds
Decision: TypeAlias = Literal["send", "dead", "keep", "wait"]

_NO_BOOT = FileClock()  # the times in a stream are wall clocks'


@attrs.frozen
class Judged:
    """An entry of ours: what becomes of it, and how many seconds ago its oldest event was accepted."""

    entry: Entry
    decision: Decision
    seconds: float


def ours(entry_id: str, fields: Mapping[bytes, bytes]) -> Entry:
    """Return the entry, all of whose events are as we write them. Raises ``NotOurs``."""
    entry = read(entry_id, fields)
    if not all(map(is_encoded, entry.events)):
        raise NotOurs("it has a line that is no event")
    return entry


class Judge:
    """Judges entries by their age: Togai forgets an id after some time, and any entry may be a repeat."""

    def __init__(
        self, clock: Callable[[], float], wall: Callable[[], float], server_clock: ServerClock
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._server_clock = server_clock

    def judge(self, entry: Entry, *, is_reply_expected: bool) -> Judged:
        """Say what becomes of an entry now.

        Our own clock alone sends what is a day old at most. Of anything older one entry goes, if there is
        nothing else, since only a reply says what time it is at Togai; the others wait for that.
        """
        now = Clocks.read("", self._clock(), self._wall(), self._server_clock.now())
        how_old = age(entry.accepted_ms, _NO_BOOT, now)
        seconds = max(0.0, how_old.most / 1000)
        decision: Decision = how_old.decision
        will_be_told = is_reply_expected and not self._server_clock.has_replied
        if decision == "send" and how_old.most > DAY and will_be_told:
            decision = "wait"
        return Judged(entry, decision, seconds)
