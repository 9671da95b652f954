"""How a producer stands, as it notes that in its relay: what, and when. It does no I/O.

A note goes along with what is asked of Redis anyhow, every 10 seconds at most, and where it is not taken,
nothing else waits for that. Who does not reach Redis notes nothing there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import attrs

from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.saying import Pace, Saying
from togai_shipper._engine.self_report import SelfReport
from togai_shipper._outcome import State

from .answers import Standing
from .names import new_name

BEGINS = 10.0  # seconds of life until the first note: jobs that live for less note nothing
PACE = Pace(every=10.0, seldom=30.0, again=30.0)
KEPT = 3600.0  # seconds for which Redis keeps a note
MISSED = 180.0  # seconds without one in which several are missing, where events wait
MOST_PRODUCERS = 1_000  # that may have a note there

_Found = TypeVar("_Found", bound=Standing)


@attrs.frozen
class Note:
    """What ``who`` says of itself; an empty ``text``: it has ended."""

    who: str
    text: str


class Notes:
    """The notes of one shipper in one process. They change under the shipper's lock."""

    def __init__(
        self,
        runtime: Runtime,
        lock: threading.RLock,
        report: Callable[[int], SelfReport],
        state: Callable[[], State],
    ) -> None:
        self._clock = runtime.clock
        self._lock = lock
        self._stands = report
        self._saying = Saying(runtime, self._report, state, PACE)
        self._who = new_name(runtime.wall)
        self._begins_at = runtime.clock() + BEGINS
        self._has_begun = False
        self._is_known = False  # Redis has, or may have, a note of ours
        self._is_ending = False
        self._is_failing = False  # what was asked last was not done
        self._leaving = 0  # events that have left once the note is read

    def ride(self, ask: Callable[..., _Found], leaving: int = 0) -> _Found:
        """Ask, with a note where one is due; ``leaving``: events that are handed over by that."""
        note, is_done, is_noted = self._next(leaving), False, False
        try:
            found = ask(note=note)
            is_done, is_noted = True, found.is_noted
        finally:
            with self._lock:
                self._is_failing = not is_done
                if note is not None and not is_noted:
                    self._saying.failed()
        return found

    def end(self) -> bool:
        """Take back at the next ride what was noted; return whether anything was."""
        with self._lock:
            self._is_ending = True
            return self._is_known

    def _next(self, leaving: int) -> Note | None:
        with self._lock:
            if self._is_ending:
                is_known, self._is_known = self._is_known, False
                return Note(self._who, "") if is_known else None
            # Where nothing gets through, these do not leave either.
            self._leaving = 0 if self._is_failing else leaving
            text = self._text()
            if text is None:
                return None
            self._is_known = True
            return Note(self._who, text)

    def _text(self) -> str | None:
        if self._has_begun:
            self._saying.stir()
            return self._saying.text()
        if self._clock() < self._begins_at:
            return None
        self._has_begun = True
        return self._saying.begin()

    def _report(self, now_ms: int) -> SelfReport:
        now = self._stands(now_ms)
        pending = max(0, now.pending - self._leaving)
        return attrs.evolve(now, pending=pending, oldest_ms=now.oldest_ms if pending else None)
