"""When a process tells others how it stands: once a second at most, and only what is news.

It does no I/O: whoever writes it down asks for the text. Used by the thread that does so, but for ``due_at``,
which is asked under the shipper's lock.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from togai_shipper._outcome import State

from .runtime import FOREVER, Runtime
from .self_report import SelfReport

EVERY = 1.0  # seconds between two looks, where something changes
SELDOM = 4.0  # seconds at most between looks where events wait and nothing changes
AGAIN = 10.0  # seconds after which it is said again, though it is no news, where events wait
AT_ONCE = 0.1  # seconds after a look, at which a change of the state is told
FAILED = 10.0  # seconds until it is tried again, where it could not be written


@attrs.frozen
class Pace:
    """How often it is said: seconds, as the constants above."""

    every: float = EVERY
    seldom: float = SELDOM
    again: float = AGAIN


_DIGITS = re.compile("[0-9]+")


class Saying:
    """What one process has said of itself, and when it says more."""

    def __init__(
        self,
        runtime: Runtime,
        report: Callable[[int], SelfReport],
        state: Callable[[], State],
        pace: Pace | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._clock = runtime.clock
        self._wall = runtime.wall
        self._self_report = report
        self._state = state
        self._said: SelfReport | None = None
        self._is_unsaid = False  # it could not be written
        self._looked_at = self._said_at = -FOREVER  # monotonic seconds
        self._wait = self._pace.every
        self._is_calm = True

    def stir(self) -> None:
        """Note that something has been done."""
        if self._is_calm:
            self._is_calm, self._wait = False, self._pace.every

    def due_at(self) -> float:
        """Monotonic seconds at which it is to be looked at again."""
        if self._said is None or self._is_calm:
            return FOREVER
        is_changed = self._state() != self._said.state
        return self._looked_at + (AT_ONCE if is_changed else self._wait)

    def begin(self, *, is_kept: bool = False) -> str:
        """Return what is to be said first; ``is_kept``: with a new file, which makes it durable.

        But where the file before it has failed: on a full disk a new one works for a moment, in the room of
        the old one, and is the last to say anything. Where it goes on working, that is said soon.
        """
        now, has_failed = self._look(), self._said is not None and not self._said.is_durable
        if is_kept and has_failed:
            self._is_calm, self._wait = False, self._pace.every
        return self._say(attrs.evolve(now, is_durable=not has_failed) if is_kept else now).as_text()

    def text(self, *, is_sparing: bool = False) -> str | None:
        """Return what is to be said now, if it is due and news.

        ``is_sparing``: only what is another state or trouble is news, since there is little room for it.
        """
        said = self._said
        if said is None or self._clock() < self.due_at():
            return None
        now = self._look()
        self._is_calm = now.is_calm
        is_news = _told(now) != _told(said)
        self._wait = self._pace.every if is_news else min(2 * self._wait, self._pace.seldom)
        is_old = bool(now.pending) and self._clock() >= self._said_at + self._pace.again
        is_due = _kind(now) != _kind(said) if is_sparing else is_news or is_old
        return self._say(now).as_text() if is_due or self._is_unsaid else None

    def last(self) -> str:
        """Return what is to be said at the end."""
        return self._say(self._look()).as_text()

    def failed(self) -> None:
        """Note that it could not be written."""
        self._is_unsaid, self._is_calm, self._wait = True, False, FAILED

    def _look(self) -> SelfReport:
        self._looked_at = self._clock()
        return self._self_report(int(self._wall() * 1000))

    def _say(self, now: SelfReport) -> SelfReport:
        if self._said is not None and _kind(self._said) == _kind(now):
            now = attrs.evolve(now, since_ms=self._said.since_ms)
        self._said, self._said_at, self._is_unsaid = now, self._clock(), False
        return now


def _kind(report: SelfReport) -> tuple[str, str]:
    """Return what begins at ``since_ms``."""
    return report.state, report.trouble


def _told(report: SelfReport) -> SelfReport:
    """Return what is news where it differs: not moments, nor the seconds that a text counts."""
    why = _DIGITS.sub("", report.why)
    return attrs.evolve(report, at_ms=0, since_ms=0, oldest_ms=None, why=why)
