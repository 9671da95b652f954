"""What became of one event of one request."""

from __future__ import annotations

from typing import Literal

import attrs

Kind = Literal["billed", "known", "refused", "not billed"]


@attrs.frozen
class EventOutcome:
    """What became of an event.

    Attributes:
        kind: ``"billed"``; ``"known"``: accepted and not billed, since its id came before; ``"refused"``: not
            accepted; ``"not billed"``: accepted, and Togai would never bill it.
        reason: why it was refused, or is not billed.

    """

    kind: Kind
    reason: str = ""


BILLED = EventOutcome("billed")
KNOWN = EventOutcome("known")


def refused(reason: str) -> EventOutcome:
    """Return the outcome of an event that was not accepted."""
    return EventOutcome("refused", reason)


def not_billed(reason: str) -> EventOutcome:
    """Return the outcome of an event that was accepted, and that Togai does not bill."""
    return EventOutcome("not billed", reason)
