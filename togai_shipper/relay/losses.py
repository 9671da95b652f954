"""What Redis has lost of a relay, as far as what was seen before and what is seen now tell. Pure.

``in``, ``out`` and the stream replicate together: they never disagree by themselves. So a figure that is
smaller than before, or a relay of another name, means that something is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from togai_shipper._plural import counted


@attrs.frozen
class Sight:
    """A relay's figures as they were seen; the highest ones of its epoch.

    Attributes:
        epoch: names the relay, as long as Redis does not lose it.
        came: how many events were handed over, ever.
        out: how many of them have left it with their outcome.
        lost: how many the scripts have found gone from the stream.

    """

    epoch: str = ""
    came: int = 0
    out: int = 0
    lost: int = 0

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> Sight:
        """Return what the relay's hash says; what is no number there counts as 0."""
        return cls(facts.get("epoch", ""), number(facts, "in"), number(facts, "out"), number(facts, "lost"))

    @property
    def held(self) -> int:
        """How many events the relay had."""
        return max(0, self.came - self.out - self.lost)

    def left(self, events: int) -> Sight:
        """Return what would be seen once so many more events have left with their outcome."""
        return attrs.evolve(self, out=self.out + events)

    def after(self, before: Sight) -> Sight:
        """Return the highest figures of both, if both are of one epoch."""
        if before.epoch != self.epoch:
            return self
        return Sight(
            self.epoch, max(self.came, before.came), max(self.out, before.out), max(self.lost, before.lost)
        )


@attrs.frozen
class Loss:
    """Redis has lost ``at_least`` so many events, and ``why`` that is known.

    0: nobody can tell whether there were more than those that we have ourselves.
    """

    at_least: int
    why: str

    def line(self) -> str:
        """Say it in one line."""
        if self.at_least:
            return f"Redis has lost events that it had confirmed, at least {self.at_least}: {self.why}"
        return (
            f"Redis may have lost events that it had confirmed, and how many cannot be told: {self.why};"
            " all that is known to be gone is in memory here, or was sent"
        )


def loss(before: Sight, now: Sight, in_memory: int = 0) -> Loss | None:
    """Return what was lost between two looks; ``in_memory``: events that we have ourselves."""
    if before.epoch and now.epoch != before.epoch:
        gone = max(0, before.held - in_memory)
        return Loss(gone, "the relay has begun anew") if before.came else None
    if now.came < before.came:
        came = before.came - now.came
        delivered = max(0, before.out - now.out)
        return Loss(
            max(0, came - delivered - in_memory),
            f"it does not know of {counted(came, 'event', 'events')} that had been handed over",
        )
    if now.lost > before.lost and before.epoch:
        return Loss(max(0, now.lost - before.lost - in_memory), "somebody has deleted or trimmed the stream")
    return None


def missing(events: int) -> Loss:
    """Return the loss where another Redis answers, and lacks what we have in memory."""
    return Loss(
        events,
        "another Redis answers, and lacks these; they are in memory here, and are delivered. What else it"
        " lacks cannot be told",
    )


def another_server(events: int) -> str:
    """Return what is told where another Redis answers, and nothing is known to be lost of so many events."""
    known = f"{counted(events, 'event')} that had been read of it are still there; " if events else ""
    return (
        f"Redis was started anew, or another one has taken over: {known}with an append-only file a restart"
        " loses nothing, but a replica may lack what was confirmed last; producers that still run hand it"
        " over again, and what others had handed over would be gone"
    )


def number(facts: Mapping[str, str], name: str) -> int:
    """Return one figure of the relay's hash; 0 where it is none."""
    text = facts.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0  # noqa: PLR2004  Redis counts in 64 bits
