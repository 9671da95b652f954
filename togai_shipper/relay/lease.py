"""Who drains a relay: the lease, as one drainer knows it. Pure.

    next_act -> Redis -> answered, or unanswered -> next_act -> ...

The holder renews its lease every 2 s, and sends nothing once its last renewal began 5 s ago. Another one
takes the lease where that has not changed for 10 s, and waits a second before its first request. All seconds
are of each drainer's own clock, which counts on while the machine sleeps: no two clocks are ever compared.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal, TypeAlias

import attrs

RENEW_EVERY = 2.0  # seconds between renewals
LOOK_EVERY = 0.5  # seconds between looks of a drainer that stands by
FRESH = 5.0  # seconds since the last renewal began, for which the holder may send
TAKE_AFTER = 10.0  # seconds for which a lease has to stay as it is until another one takes it
WAIT = 1.0  # seconds between taking it and the first request: the one before may have sent just now
BLIND = 3.0  # seconds between two looks, after which nobody knows what came in between
RELEASED = "released"
NEVER = -math.inf

Act: TypeAlias = Literal["look", "take", "renew"]


@attrs.frozen
class Lease:
    """What one drainer knows of the lease.

    Attributes:
        owner: who we are.
        said: what the lease said last; ``None``: nobody has looked yet.
        since: monotonic seconds at which it was first seen to say so.
        asked: when it was last asked for anything.
        told: when the last answer came.
        renewed: when the last renewal that was granted began; ``NEVER``: it is not ours.
        taken: when it was seen that it is ours.

    """

    owner: str
    said: str | None = None
    since: float = 0.0
    asked: float = NEVER
    told: float = NEVER
    renewed: float = NEVER
    taken: float = math.inf

    @property
    def is_held(self) -> bool:
        """Whether it is ours, as far as we know; ``may_send`` says whether that is sure."""
        return self.renewed > NEVER

    @property
    def holder(self) -> str:
        """Who has it; empty where nobody has, or nobody has looked."""
        return (self.said or "").rpartition(":")[0]

    @property
    def is_another_s(self) -> bool:
        """Whether somebody else has it."""
        return self.holder not in ("", self.owner)

    def may_send(self, now: float) -> bool:
        """Whether a request may go now."""
        return self.taken + WAIT <= now and now - self.renewed < FRESH

    def due_at(self) -> float:
        """Monotonic seconds at which Redis is to be asked next."""
        is_answered = self.told >= self.asked
        if is_answered and self.said == RELEASED:
            return self.asked
        is_renewed = self.is_held and is_answered
        return self.asked + (RENEW_EVERY if is_renewed else LOOK_EVERY)

    def next_act(self, now: float) -> Act:
        """Return what to ask for now."""
        if self.is_held or self.holder == self.owner:  # the answer that we have it may have been lost
            return "renew"
        is_in_sight = now - self.told <= BLIND
        has_stayed = self.said is not None and is_in_sight and now - self.since >= TAKE_AFTER
        return "take" if has_stayed or self.said == RELEASED else "look"

    def unanswered(self, began: float) -> Lease:
        """Return it after a question without an answer: what it says may have changed, or not."""
        return attrs.evolve(self, asked=began)

    def answered(self, began: float, now: float, *, is_held: bool, said: str) -> Lease:
        """Return it after an answer, which came ``now`` to what was asked when it ``began``."""
        if is_held:
            return attrs.evolve(
                self,
                said=said,
                asked=began,
                told=now,
                renewed=began,
                taken=self.taken if self.is_held else now,
            )
        is_as_before = said == self.said and now - self.told <= BLIND
        return attrs.evolve(
            self,
            said=said,
            since=self.since if is_as_before else now,
            asked=began,
            told=now,
            renewed=NEVER,
            taken=math.inf,
        )


def fingerprint_of(key: str) -> str:
    """Return what is kept of a key in Redis, so that another one is noticed."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]
