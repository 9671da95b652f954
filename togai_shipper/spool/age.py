"""How old an event on disk is, and so whether it may be sent once more. Pure.

Togai forgets an id after some time, and would then bill its event again. Within one boot of the machine the
age is exact, by a clock that nobody can set. Beyond it there are wall clocks alone, ours and Togai's, and
either may be wrong: where they differ, or the clock that accepted the event was wrong, the event is kept.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Literal, TypeAlias

import attrs

from togai_shipper._engine.dedupe_window import DEDUPE_WINDOW

Decision: TypeAlias = Literal["send", "dead", "keep"]

WINDOW = DEDUPE_WINDOW * 1000  # milliseconds, as all here
SANE = 1_704_067_200_000  # the start of 2024: a wall clock before that was not set
AHEAD = 86_400_000  # a wall clock may have been ahead when it accepted: a wrong time zone, and some more
STEP = 60_000  # by which a wall clock has to be set until that is noted: days are what matters


@attrs.frozen
class FileClock:
    """How the times in one file are to be read.

    They were taken from the clock of one boot, so that no setting of the wall clock changes an age.

    Attributes:
        boot: which boot that was; empty where nobody knows.
        offset: what was added to that clock's time, so that it read as the wall clock did at first.
        lowest, highest: what is to be added to get the wall clock as it was; two, where it was set meanwhile.

    """

    boot: str = ""
    offset: int = 0
    lowest: int = 0
    highest: int = 0

    @classmethod
    def begun(cls, boot: str, clock: float, wall: float) -> FileClock:
        """Return the clock of a file that is made now."""
        return cls(boot, _ms(wall) - _ms(clock))

    @classmethod
    def of_text(cls, text: str) -> FileClock:
        """Return what ``as_text`` has written; what is damaged, or was never written, says nothing."""
        with suppress(ValueError):
            crc, _, rest = text.partition(" ")
            offset, lowest, highest, boot = rest.split(" ", 3)
            if int(crc, 16) == zlib.crc32(rest.encode()):
                return cls(boot, int(offset), int(lowest), int(highest))
        return cls()

    def as_text(self) -> str:
        """Return it as it stands in the file."""
        text = f"{self.offset} {self.lowest} {self.highest} {self.boot}"
        return f"{zlib.crc32(text.encode()):08x} {text}"

    def time(self, clock: float) -> int:
        """What is written as the time when the clock stands there."""
        return _ms(clock) + self.offset

    def clock(self, time: int) -> float:
        """Where the clock stood, in seconds, when that was written as the time."""
        return (time - self.offset) / 1000

    def noted(self, clock: float, wall: float) -> FileClock:
        """Return it as it is once the wall clock is seen there."""
        time = self.time(clock)
        ahead = _ms(wall) - time
        if _ms(wall) < SANE or self.lowest - STEP <= ahead <= self.highest + STEP:
            return self
        if time + self.lowest < SANE:  # what it showed before is known to be wrong
            return attrs.evolve(self, lowest=ahead, highest=ahead)
        return attrs.evolve(self, lowest=min(self.lowest, ahead), highest=max(self.highest, ahead))


@attrs.frozen
class Clocks:
    """What time it is now, in milliseconds.

    Attributes:
        boot: which boot ``clock`` counts from; empty where nobody knows.
        clock: since then.
        wall: our wall clock.
        server: Togai's; ``None`` until it has said so.

    """

    boot: str
    clock: int
    wall: int
    server: int | None

    @classmethod
    def read(cls, boot: str, clock: float, wall: float, server: float | None) -> Clocks:
        """Return what these clocks show, in seconds."""
        return cls(boot, _ms(clock), _ms(wall), None if server is None else _ms(server))


@attrs.frozen
class Age:
    """How old an event is at least, and at most, as far as is known."""

    least: float
    most: float

    @property
    def decision(self) -> Decision:
        """What becomes of an event of this age that may have been sent already."""
        if self.least > WINDOW:
            return "dead"
        return "send" if self.least >= -AHEAD and self.most <= WINDOW else "keep"


UNKNOWN = Age(float("-inf"), float("inf"))


def age(time: int, file: FileClock, now: Clocks) -> Age:
    """Return the age of an event with this time in that file."""
    exact = now.clock - (time - file.offset)
    if file.boot and file.boot == now.boot and exact >= 0:
        return Age(exact, exact)
    earliest, latest = time + file.lowest, time + file.highest
    if earliest < SANE:
        return UNKNOWN
    if now.server is None:  # ours alone may send an event, but not give one up
        return Age(min(now.wall - latest, 0), now.wall - earliest)
    return Age(min(now.wall, now.server) - latest, max(now.wall, now.server) - earliest)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
