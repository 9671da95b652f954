"""How far the end of a shipper is: one value, made once, which all its parts share.

Changed only while holding the shipper's lock; one attribute by itself may be read without it. Nothing in it
is ever taken back, but for ``is_probed``; the deadline comes later where the process was frozen.
"""

from __future__ import annotations

import attrs

from .runtime import FOREVER

# Seconds beyond its end that a wait takes only where the process was frozen: stopped, moved, asleep.
OVERSLEPT = 0.5
AFTER_FREEZE = 2.0  # seconds for another attempt, where the deadline passed while the process was frozen
UNREAD = 0.5  # seconds of those for the reply to the attempt that was under way: it may be there, and unread


def thawed(deadline: float, planned: float, now: float, moment: float = AFTER_FREEZE) -> float:
    """Return the deadline, once a wait that was to end at ``planned`` has ended now.

    One that passed while the process was frozen is a ``moment`` from now.
    """
    was_frozen = now - planned > OVERSLEPT
    return now + moment if was_frozen and now >= deadline else deadline


@attrs.define(eq=False)
class Shutdown:
    """By when everything has to be over, and what has happened of it.

    Attributes:
        has_begun: ``close()`` was called: no more events are taken.
        deadline: monotonic seconds by which all has to be over.
        is_abandoned: nobody can track any more, or close: it ends once nothing is pending.
        is_probed: a parked line was probed since, or is being: enough where a key or events are refused.
        is_given_up: nothing more can be sent before the deadline.
        was_frozen: the process was, past the deadline, and so has got another one: once, since a machine that
            is overloaded for long looks the same.
        is_done: what was left is given up; whatever comes back now changes nothing.

    """

    has_begun: bool = False
    deadline: float = FOREVER
    is_abandoned: bool = False
    is_probed: bool = False
    is_given_up: bool = False
    was_frozen: bool = False
    is_done: bool = False

    def has_begun_by_now(self) -> bool:
        """``has_begun``, asked again: a signal handler may have closed since it was asked before."""
        return self.has_begun

    def begin(self, now: float, timeout: float, *, is_probing: bool) -> None:
        """Take no more events, and have all over in ``timeout`` seconds."""
        self.is_probed = is_probing
        self.deadline = now + timeout
        self.has_begun = (
            True  # last: Ctrl-C between these lines leaves a shipper that is open, and can be closed
        )

    def shorten(self, now: float, timeout: float) -> bool:
        """Have all over in ``timeout`` seconds, where it had longer; return whether it had."""
        is_shorter = self.has_begun and now + timeout < self.deadline
        if is_shorter:
            self.deadline = now + timeout
        return is_shorter

    def woke(self, planned: float, now: float) -> None:
        """Note that a wait which was to end at ``planned`` has ended now."""
        if self.has_begun and not self.is_done and not self.was_frozen:
            before, self.deadline = self.deadline, thawed(self.deadline, planned, now)
            self.was_frozen = self.deadline != before

    def abandon(self) -> None:
        """End once nothing is pending: nobody is left who could track, or close."""
        self.is_abandoned = True

    def note_probe(self) -> None:
        """A parked line is being probed."""
        self.is_probed = True

    def allow_probe(self) -> None:
        """The line is open again: what parks it once more is probed once more."""
        self.is_probed = False

    def give_up(self) -> None:
        """Send nothing more."""
        self.is_given_up = True

    def finish(self) -> None:
        """All is over."""
        self.is_done = True
